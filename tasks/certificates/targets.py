"""Where to look: each entry's addresses, pinned or resolved, and why there are none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
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
    hosts = dict.fromkeys((entry.host, _timeout(entry)) for entry in entries if _is_resolved(entry))
    with ThreadPoolExecutor(_RESOLVED_AT_ONCE, thread_name_prefix="resolve") as pool:
        waiting = {host: pool.submit(ctx.tls.resolve, *host) for host in hosts}
        read_anchors = cache(ctx.tls.read_anchors)
        try:
            for entry in entries:
                ctx.checkpoint()
                yield _target(entry, waiting, read_anchors)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _target(
    entry: CertificateEntry,
    waiting: Mapping[tuple[str, timedelta], Future[Sequence[str]]],
    read_anchors: Callable[[Path], str],
) -> Target:
    try:
        anchors = read_anchors(Path(entry.ca_file)) if entry.ca_file else None
        found = waiting[entry.host, _timeout(entry)].result() if _is_resolved(entry) else ()
    except ProviderError as error:
        return Target(entry=entry, blocked=_blocked(entry, error.stage, str(error)))
    addresses = entry.pinned() or [(address, entry.port) for address in found or _literal(entry)]
    if not addresses:
        return Target(entry=entry, blocked=_blocked(entry, "addresses", f"{entry.host} has neither A nor AAAA records"))
    # RFC 6066 section 3: no literal addresses in SNI.
    name = None if is_address(entry.expected_name) else entry.expected_name
    probes = (
        Probe(address=address, port=port, server_name=name, timeout=_timeout(entry), trust_anchors_pem=anchors)
        for address, port in dict.fromkeys(addresses)
    )
    return Target(entry=entry, probes=tuple(probes))


def _is_resolved(entry: CertificateEntry) -> bool:
    return not entry.addresses and not is_address(entry.host)


def _literal(entry: CertificateEntry) -> Sequence[str]:
    return [entry.host] if is_address(entry.host) else []


def _timeout(entry: CertificateEntry) -> timedelta:
    return timedelta(seconds=entry.timeout_seconds)


_REASONS = {"resolve": "resolve_failed", "addresses": "no_addresses", "anchors": "ca_unreadable"}


def _blocked(entry: CertificateEntry, stage: str, detail: str) -> CannotTell:
    told = "resolve" if stage == "addresses" else stage
    return CannotTell(entry=entry.name, subject=entry.place, reason=_REASONS.get(stage, stage), stage=told, detail=detail)
