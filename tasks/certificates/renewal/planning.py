"""The plan of a renewal: what is pinned, which steps, and what people are shown of it. Reads only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.certificates.answers import MENDED_BY_RENEWAL, stale_looks
from tasks.certificates.entry import CertificateEntry, CertificatesParams
from tasks.certificates.judging import Thresholds
from tasks.certificates.looking import thresholds
from tasks.certificates.renewal.orders import RELOAD, RENEW, order
from tasks.certificates.renewal.world import Leaf, World, file_leaf, look_around
from tasks.context import Context
from tasks.errors import ProviderError
from tasks.model import Finding, Json, Plan, Reversibility, Step

ACCOUNT = "the user of the worker that carries it out"
"""No name: checks and effects may run as different users, and the plan is made by both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """All that a plan and its simulation are made of. `due`: the addresses that had the finding and are not mended yet."""

    entry: CertificateEntry
    limits: Thresholds
    leaves: Mapping[str, Leaf]
    due: Sequence[str]
    in_file: Leaf | None

    @property
    def reload_is_enough(self) -> bool:
        """The file holds what every due address lacks: a certificate in order that lasts longer."""
        leaf = self.in_file
        if leaf is None or leaf.troubles or leaf.passing or not self.entry.reload_command:
            return False
        return all(leaf.ends > self.leaves[address].ends for address in self.due)


def prospect(ctx: Context, params: CertificatesParams, findings: Sequence[Finding]) -> Prospect | None:
    """None: there is no remedy for the entry, or nothing to mend. Raises `ProviderError` if an address cannot be looked at."""
    named = _named(findings)
    entries = [entry for entry in ctx.entries(CertificateEntry) if findings and entry.name == findings[0].entry]
    if not named or not entries or not entries[0].renew_command:
        return None
    entry = entries[0]
    limits = thresholds(entry, params)
    world = look_around(ctx, entry, limits)
    if world.failures:
        told = "; ".join(failure.detail for failure in world.failures.values())
        raise ProviderError(f"{entry.place}: no plan without a look at every address: {told}", stage="plan", retryable=True)
    due = [address for address in _to_mend(world) if address in named]
    if not due:
        return None
    return Prospect(entry=entry, limits=limits, leaves=world.leaves(), due=due, in_file=file_leaf(ctx, entry, limits))


def plan_of(made: Prospect, findings: Sequence[Finding]) -> Plan:
    """For the same world the same plan: no clock values, everything in order."""
    entry = made.entry
    return Plan(
        job="certificates",
        scope=entry.place,
        account=ACCOUNT,
        finding_keys=tuple(sorted(finding.key for finding in findings if finding.reason in MENDED_BY_RENEWAL)),
        steps=tuple(_steps(made)),
        parameters={
            "entry": entry.name,
            "warn_below": made.limits.warn_below,
            "critical_below": made.limits.critical_below,
        },
    )


def _named(findings: Sequence[Finding]) -> set[str]:
    """The addresses that the findings speak of."""
    named: set[str] = set()
    for finding in findings:
        listed = finding.evidence.get("stale_addresses" if finding.reason == "addresses_differ" else "addresses")
        if finding.reason in MENDED_BY_RENEWAL and isinstance(listed, Sequence):
            named.update(map(str, listed))
    return named


def _to_mend(world: World) -> list[str]:
    stale = {look.where for look in stale_looks(list(world.looks.values()))}
    return [
        address
        for address, look in world.looks.items()
        if address in stale or any(trouble.reason in MENDED_BY_RENEWAL for trouble in look.judgement.troubles)
    ]


def _steps(made: Prospect) -> list[Step]:
    if made.reload_is_enough and made.in_file:
        return [_step(made, RELOAD, {address: made.in_file.pinned() for address in made.due})]
    later: Json = {"not_after": {"later_than": max(made.leaves[address].ends for address in made.due).isoformat()}}
    renew = _step(made, RENEW, later)
    if not made.entry.reload_command:
        return [renew]
    return [renew, replace(_step(made, RELOAD, later), precondition="", depends_on=(RENEW,))]


def _step(made: Prospect, action: str, after: Json) -> Step:
    """`before` is what the world was like before the whole plan; probe and verification measure by it."""
    before: dict[str, Json] = {
        "addresses": {address: leaf.pinned() for address, leaf in made.leaves.items()},
        "due": list(made.due),
        "certificate_file": made.in_file.pinned() if made.in_file else None,
    }
    return Step(
        id=action,
        action=action,
        target=made.entry.place,
        arguments=order(made.entry, action),
        before=before,
        after=after,
        precondition=fingerprint(before),
        reversibility=Reversibility.R2,
    )


def fingerprint(before: Json) -> str:
    """Of what must still be so just before a step."""
    return hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()
