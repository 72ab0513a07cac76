"""Where to look: each entry's addresses, pinned or resolved, and why there are none."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tasks.certificates.entry import CertificateEntry, is_address
from tasks.context import Context, Probe
from tasks.errors import ProviderError
from tasks.model import CannotTell

# Resolving waits for others; a night of black-holed names shall not wait for one after the other.
_RESOLVED_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One entry with its probes, or the reason why there is nothing to probe."""

    entry: CertificateEntry
    probes: tuple[Probe, ...] = ()
    blocked: CannotTell | None = None


def targets(ctx: Context, entries: Sequence[CertificateEntry]) -> Iterator[Target]:
    """In the order of `entries`."""
    with ThreadPoolExecutor(_RESOLVED_AT_ONCE, thread_name_prefix="resolve") as pool:
        waiting = [pool.submit(_target, ctx, entry) for entry in entries]
        try:
            for future in waiting:
                ctx.checkpoint()
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _target(ctx: Context, entry: CertificateEntry) -> Target:
    try:
        anchors = ctx.tls.read_anchors(Path(entry.ca_file)) if entry.ca_file else None
        addresses = _addresses(ctx, entry)
    except ProviderError as error:
        return Target(entry=entry, blocked=_blocked(entry, error.stage, str(error)))
    if not addresses:
        return Target(entry=entry, blocked=_blocked(entry, "addresses", f"{entry.host} has neither A nor AAAA records"))
    timeout = timedelta(seconds=entry.timeout_seconds)
    name = None if is_address(entry.expected_name) else entry.expected_name
    probes = (
        Probe(address=address, port=port, server_name=name, timeout=timeout, trust_anchors_pem=anchors)
        for address, port in dict.fromkeys(addresses)
    )
    return Target(entry=entry, probes=tuple(probes))


def _addresses(ctx: Context, entry: CertificateEntry) -> list[tuple[str, int]]:
    if entry.addresses:
        return entry.pinned()
    if is_address(entry.host):
        return [(entry.host, entry.port)]
    found = ctx.tls.resolve(entry.host, timedelta(seconds=entry.timeout_seconds))
    return [(address, entry.port) for address in found]


_REASONS = {"resolve": "resolve_failed", "addresses": "no_addresses", "anchors": "ca_unreadable"}


def _blocked(entry: CertificateEntry, stage: str, detail: str) -> CannotTell:
    told = "resolve" if stage == "addresses" else stage
    return CannotTell(entry=entry.name, subject=entry.place, reason=_REASONS.get(stage, stage), stage=told, detail=detail)
