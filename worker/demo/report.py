"""What the demo's night must have found, and how it is shown."""

from collections.abc import Mapping, Sequence

from worker.records import FindingRow

EXPECTED: Mapping[str, frozenset[str]] = {
    "healthy": frozenset(),
    "nearly-expired": frozenset({"expires_soon"}),
    "expired": frozenset({"expired"}),
    "half-renewed": frozenset({"addresses_differ"}),
    "wrong-name": frozenset({"name_mismatch"}),
    "hangs": frozenset({"handshake_timeout"}),
}
"""Reason codes by entry of the farm."""


def missing(found: Sequence[FindingRow], expected: Mapping[str, frozenset[str]] = EXPECTED) -> list[str]:
    """What the night should have said of these entries and did not, and the other way round; empty when all is right."""
    seen = {entry: frozenset(row.reason for row in found if row.entry == entry) for entry in expected}
    return [
        f"{entry}: expected {_listed(expected[entry])}, found {_listed(seen[entry])}"
        for entry in expected
        if seen[entry] != expected[entry]
    ]


def _listed(reasons: frozenset[str]) -> str:
    return ", ".join(sorted(reasons)) or "nothing"
