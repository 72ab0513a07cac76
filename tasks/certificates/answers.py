"""From what each address showed to what is said about the entry: one finding per cause, however many addresses. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks.certificates.entry import CertificateEntry, join_place
from tasks.certificates.evidence import evidence, recheck, subject_at
from tasks.certificates.judging import EXPIRY_REASONS, Judgement
from tasks.certificates.trouble import Trouble
from tasks.context import Handshake, Probe, ProbeFailure
from tasks.model import Answer, CannotTell, Finding, Json, Ok, Severity

# Nodes that each hold a certificate of their own renew days apart; a node that was left behind is off by most of a lifetime.
_LEFT_BEHIND = 0.1

RENEWAL_DUE = "renewal_due"
"""The one cause of all that a renewal mends: one request for a name, however many of its addresses and reasons."""
MENDED_BY_RENEWAL = EXPIRY_REASONS | {"chain_expires_soon", "addresses_differ"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one address presented, judged."""

    probe: Probe
    handshake: Handshake
    judgement: Judgement

    @property
    def where(self) -> str:
        return join_place(self.probe.address, self.probe.port)

    @property
    def expiry(self) -> Trouble | None:
        return next((trouble for trouble in self.judgement.troubles if trouble.reason in EXPIRY_REASONS), None)


def answers(entry: CertificateEntry, looks: Sequence[Look], now: datetime) -> Iterator[Answer]:
    """At least one answer, if there is a look. The key of a finding holds no address: those change with the night's DNS."""
    stale = stale_looks(looks)
    if stale:
        yield _differs(entry, looks, stale, now)
    for reason in _reasons(looks, stale):
        yield _finding(entry, looks, reason, now, stale)
    for look in looks:
        if not look.judgement.troubles and look not in stale:
            yield _ok(entry, look, now)


def failures(entry: CertificateEntry, failed: Sequence[tuple[Probe, ProbeFailure]]) -> Iterator[Answer]:
    """What did not come to a handshake; that OpenSSL cannot read the certificate is the server's trouble, not ours."""
    unreadable = [(probe, failure) for probe, failure in failed if failure.reason == "unparseable_certificate"]
    if unreadable:
        yield _unreadable(entry, unreadable)
    for probe, failure in failed:
        if failure.reason != "unparseable_certificate":
            yield _cannot_tell(entry, probe, failure)


def _unreadable(entry: CertificateEntry, failed: Sequence[tuple[Probe, ProbeFailure]]) -> Finding:
    probe, failure = failed[0]
    return Finding(
        entry=entry.name,
        subject=entry.place,
        key=f"unparseable_certificate:handshake:{entry.place}",
        reason="unparseable_certificate",
        severity=Severity.HIGH,
        title=f"{entry.place}: certificate cannot even be read in the handshake",
        detail=failure.detail,
        evidence={"addresses": sorted(join_place(probe.address, probe.port) for probe, _ in failed)},
        recheck=recheck(entry, probe),
    )


def _cannot_tell(entry: CertificateEntry, probe: Probe, failure: ProbeFailure) -> CannotTell:
    seconds = round(failure.elapsed.total_seconds(), 3)
    return CannotTell(
        entry=entry.name,
        subject=subject_at(entry, probe),
        reason=failure.reason,
        stage=failure.stage,
        detail=failure.detail,
        evidence={"address": join_place(probe.address, probe.port), "elapsed_seconds": seconds},
        recheck=recheck(entry, probe),
    )


def stale_looks(looks: Sequence[Look]) -> list[Look]:
    """The addresses that still present an older certificate than another, which was renewed and is in order."""
    renewed = [_not_after(look) for look in looks if look.expiry is None]
    if not renewed:
        return []
    newest = max(renewed)
    return [look for look in looks if newest - _not_after(look) > _lifetime(look) * _LEFT_BEHIND]


def _not_after(look: Look) -> datetime:
    return look.judgement.leaf.not_after or datetime.max.replace(tzinfo=UTC)


def _lifetime(look: Look) -> timedelta:
    leaf = look.judgement.leaf
    return leaf.not_after - leaf.not_before if leaf.not_after and leaf.not_before else timedelta.max


def _differs(entry: CertificateEntry, looks: Sequence[Look], stale: Sequence[Look], now: datetime) -> Finding:
    worst = min(stale, key=_not_after)
    expiry = worst.expiry
    addresses = sorted(look.where for look in stale)
    old = expiry.title if expiry else f"certificate valid until {_not_after(worst):%Y-%m-%d}"
    return Finding(
        entry=entry.name,
        subject=entry.place,
        key=f"addresses_differ:{entry.place}",
        reason="addresses_differ",
        severity=expiry.severity if expiry else Severity.LOW,
        title=f"{entry.place}: renewed, but not at {len(stale)} of {len(looks)} addresses ({_listed(addresses)}): {old}",
        detail=f"still the old certificate at {', '.join(addresses)}; the others present a newer one",
        evidence=_facts(worst, now) | {"stale_addresses": addresses, "expiry": expiry.reason if expiry else None},
        recheck=recheck(entry, worst.probe),
        cause=RENEWAL_DUE,
        desired=max(_not_after(look) for look in looks if look not in stale).isoformat(),
        actual=_not_after(worst).isoformat(),
    )


def _reasons(looks: Sequence[Look], stale: Sequence[Look]) -> list[str]:
    """Every reason once, in the order met; that a stale address expires is said by `addresses_differ`."""
    return list(dict.fromkeys(trouble.reason for look in looks for trouble in _told(look, stale)))


def _told(look: Look, stale: Sequence[Look]) -> list[Trouble]:
    said = EXPIRY_REASONS if look in stale else frozenset()
    return [trouble for trouble in look.judgement.troubles if trouble.reason not in said]


def _finding(entry: CertificateEntry, looks: Sequence[Look], reason: str, now: datetime, stale: Sequence[Look]) -> Finding:
    met = [(look, trouble) for look in looks for trouble in _told(look, stale) if trouble.reason == reason]
    look, trouble = max(met, key=lambda pair: pair[1].severity.rank)
    addresses = sorted({look.where for look, _ in met})
    partly = f" (at {_listed(addresses)})" if len(addresses) < len(looks) else ""
    return Finding(
        entry=entry.name,
        subject=entry.place,
        key=f"{reason}:{entry.place}",
        reason=reason,
        severity=trouble.severity,
        title=f"{entry.place}: {trouble.title}{partly}",
        detail="; ".join(dict.fromkeys(trouble.detail for _, trouble in met if trouble.detail)),
        evidence=_facts(look, now) | {"addresses": addresses},
        recheck=recheck(entry, look.probe),
        cause=RENEWAL_DUE if reason in MENDED_BY_RENEWAL else None,
    )


def _ok(entry: CertificateEntry, look: Look, now: datetime) -> Ok:
    summary = f"valid until {_not_after(look):%Y-%m-%d}, {look.handshake.protocol}"
    subject = subject_at(entry, look.probe)
    return Ok(entry=entry.name, subject=subject, summary=summary, evidence=_facts(look, now), recheck=recheck(entry, look.probe))


def _facts(look: Look, now: datetime) -> dict[str, Json]:
    return {"address": look.where} | evidence(look.judgement, look.handshake, now)


def _listed(addresses: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(addresses) - shown} more" if len(addresses) > shown else ""
    return ", ".join(addresses[:shown]) + more
