"""What is wrong with a presented chain at a given moment: pure, no clock, no network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tasks.certificates.names import speaks_for
from tasks.certificates.path import Path, follow
from tasks.certificates.reading import Certificate, read_certificate
from tasks.certificates.trouble import Trouble
from tasks.certificates.trust import Trust, judge_trust
from tasks.model import Severity

# The longest a public CA was ever allowed of late (398 days); a private leaf of ten years shall not warn for three of them.
_LONGEST_LIFETIME = timedelta(days=398)
_HOURS_MATTER_BELOW_DAYS = 2
_NAMES_SHOWN = 5
_WEAK_HASHES = frozenset({"md5", "sha1"})
_OLD_PROTOCOLS = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})
EXPIRY_REASONS = frozenset({"expired", "expires_soon"})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Fractions of the lifetime below which we speak up."""

    warn_below: float
    critical_below: float

    def severity(self, left: timedelta, lifetime: timedelta) -> Severity | None:
        """None: there is time enough."""
        counted = min(lifetime, _LONGEST_LIFETIME)
        if left < counted * self.critical_below:
            return Severity.CRITICAL
        return Severity.MEDIUM if left < counted * self.warn_below else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What one address sent, and what OpenSSL made of it."""

    chain_der: Sequence[bytes]
    protocol: str = "TLSv1.3"
    trust: Trust = field(default_factory=Trust)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The leaf, the certificates as sent, and every trouble, independent of each other."""

    leaf: Certificate
    chain: tuple[Certificate, ...]
    troubles: tuple[Trouble, ...]


def judge(presented: Presented, *, name: str, now: datetime, thresholds: Thresholds) -> Judgement:
    """Every trouble of a chain. `presented.chain_der` holds at least the leaf."""
    chain = tuple(read_certificate(der) for der in presented.chain_der)
    path = follow(chain)
    troubles = (
        *_readability(chain),
        *_leaf_expiry(chain[0], now, thresholds),
        *_chain_expiry(path, now, thresholds, trusted=presented.trust.code == 0),
        *_name(chain[0], name),
        *judge_trust(path, presented.trust),
        *_order(path),
        *_strength(path, presented.protocol),
    )
    return Judgement(leaf=chain[0], chain=chain, troubles=troubles)


def fraction_left(certificate: Certificate, now: datetime) -> float | None:
    if certificate.not_before is None or certificate.not_after is None:
        return None
    lifetime = certificate.not_after - certificate.not_before
    return round((certificate.not_after - now) / lifetime, 4) if lifetime else 0.0


def _readability(chain: Sequence[Certificate]) -> Iterator[Trouble]:
    for position, certificate in enumerate(chain):
        if certificate.unreadable:
            where = "certificate" if position == 0 else f"certificate {position + 1} of the chain"
            severity = Severity.MEDIUM if certificate.not_after else Severity.HIGH
            title = f"{where} breaks the rules of X.509"
            yield Trouble("unparseable_certificate", severity, title, "; ".join(certificate.unreadable))


def _leaf_expiry(leaf: Certificate, now: datetime, thresholds: Thresholds) -> Iterator[Trouble]:
    if leaf.not_before is None or leaf.not_after is None:
        return
    if now < leaf.not_before:
        title = f"certificate is not valid before {_instant(leaf.not_before)}"
        yield Trouble("not_yet_valid", Severity.CRITICAL, title, f"in {_span(leaf.not_before - now)}; or our clock is wrong")
    elif now > leaf.not_after:
        title = f"certificate expired {_span(now - leaf.not_after)} ago"
        yield Trouble("expired", Severity.CRITICAL, title, f"on {_instant(leaf.not_after)}")
    elif severity := thresholds.severity(leaf.not_after - now, leaf.not_after - leaf.not_before):
        title = f"certificate expires in {_span(leaf.not_after - now)}"
        yield Trouble("expires_soon", severity, title, _share(leaf, now))


def _share(certificate: Certificate, now: datetime) -> str:
    if certificate.not_after is None or certificate.not_before is None:
        return ""
    lifetime = certificate.not_after - certificate.not_before
    return f"on {_instant(certificate.not_after)}; {(certificate.not_after - now) / lifetime:.0%} of {_span(lifetime)} left"


def _chain_expiry(path: Path, now: datetime, thresholds: Thresholds, *, trusted: bool) -> Iterator[Trouble]:
    """An intermediate is swapped when a leaf is renewed: it must outlast the leaf's alarm, whatever its own lifetime."""
    leaf = path.certificates[0]
    for certificate in path.intermediates:
        if certificate.not_after is None:
            continue
        if now > certificate.not_after:
            # Trusted all the same: a newer root replaces it for everyone but old clients.
            severity = Severity.LOW if trusted else Severity.CRITICAL
            title = f"intermediate {_common_name(certificate)} expired {_span(now - certificate.not_after)} ago"
            yield Trouble("chain_expired", severity, title, f"on {_instant(certificate.not_after)}")
        elif leaf.not_after and leaf.not_before:
            soon = thresholds.severity(certificate.not_after - now, leaf.not_after - leaf.not_before)
            if soon:
                title = f"intermediate {_common_name(certificate)} expires in {_span(certificate.not_after - now)}"
                yield Trouble("chain_expires_soon", soon, title, f"on {_instant(certificate.not_after)}")


def _name(leaf: Certificate, name: str) -> Iterator[Trouble]:
    unknown = any(part.startswith(("certificate", "extensions", "subject alternative names")) for part in leaf.unreadable)
    if unknown or speaks_for(leaf, name):
        return
    more = len(leaf.names) - _NAMES_SHOWN
    shown = ", ".join(leaf.names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    detail = f"it speaks for {shown}" if shown else "it has no subject alternative name; the common name does not count"
    yield Trouble("name_mismatch", Severity.HIGH, f"certificate does not speak for {name}", detail)


def _order(path: Path) -> Iterator[Trouble]:
    if not path.in_order:
        sent = ", ".join(str(position + 1) for position in path.positions)
        detail = f"each certificate should certify the one before it; followed by issuer they are {sent} of {path.sent}"
        yield Trouble("chain_order", Severity.LOW, "chain is sent in the wrong order", detail)


def _strength(path: Path, protocol: str) -> Iterator[Trouble]:
    for certificate in path.certificates:
        if certificate.key_is_weak:
            yield Trouble("weak_key", Severity.MEDIUM, f"{_common_name(certificate)} has a weak key ({certificate.key})")
        if certificate.signature_hash in _WEAK_HASHES and not certificate.self_issued:
            title = f"{_common_name(certificate)} is signed with {certificate.signature_hash.upper()}"
            yield Trouble("weak_signature", Severity.MEDIUM, title)
    if protocol in _OLD_PROTOCOLS:
        yield Trouble("old_protocol", Severity.MEDIUM, f"the best protocol offered is {protocol}", "RFC 8996 forbids it")


def _common_name(certificate: Certificate) -> str:
    names = [part.removeprefix("CN=") for part in certificate.subject.split(",") if part.startswith("CN=")]
    return next(iter(names), certificate.subject) or f"certificate {certificate.sha256[:16]}"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    days, hours = span.days, span.seconds // 3600
    if days >= _HOURS_MATTER_BELOW_DAYS:
        return f"{days} days"
    return f"{days * 24 + hours} h" if days or hours else f"{span.seconds // 60} min"
