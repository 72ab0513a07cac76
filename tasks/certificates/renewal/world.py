"""What the addresses of an entry, and its certificate file, show now. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.certificates.answers import MENDED_BY_RENEWAL, Look
from tasks.certificates.entry import CertificateEntry, join_place
from tasks.certificates.judging import Judgement, Presented, Thresholds, judge
from tasks.certificates.looking import looked
from tasks.certificates.targets import targets
from tasks.context import Context, Probe, ProbeFailure
from tasks.errors import ProviderError
from tasks.model import Json

_COMES_WITH_TIME = MENDED_BY_RENEWAL | {"not_yet_valid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The certificate at one place. `troubles`: the reasons of the check, without those that come and go with the time."""

    sha256: str
    not_after: datetime | None
    not_before: datetime | None = None
    troubles: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()
    """Reasons that the time brings: expired, not yet valid, …; never pinned, since the same world has others an hour later."""

    @property
    def ends(self) -> datetime:
        return self.not_after or datetime.min.replace(tzinfo=UTC)

    @property
    def until(self) -> str:
        return f"{self.not_after:%Y-%m-%d %H:%M} UTC" if self.not_after else "an unreadable date"

    def pinned(self) -> Json:
        """As a plan holds it."""
        not_after = self.not_after.isoformat() if self.not_after else None
        return {"sha256": self.sha256, "not_after": not_after, "troubles": list(self.troubles)}

    @classmethod
    def of_pin(cls, pin: Mapping[str, Json]) -> "Leaf":
        not_after, troubles = pin["not_after"], pin["troubles"]
        assert isinstance(troubles, Sequence)
        ends = datetime.fromisoformat(str(not_after)) if not_after else None
        return cls(sha256=str(pin["sha256"]), not_after=ends, troubles=tuple(map(str, troubles)))

    @classmethod
    def of(cls, judgement: Judgement) -> "Leaf":
        reasons = {trouble.reason for trouble in judgement.troubles}
        return cls(
            sha256=judgement.leaf.sha256,
            not_after=judgement.leaf.not_after,
            not_before=judgement.leaf.not_before,
            troubles=tuple(sorted(reasons - _COMES_WITH_TIME)),
            passing=tuple(sorted(reasons & _COMES_WITH_TIME)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """By address, in the order of the addresses; each of `probes` is in one of `looks` and `failures`."""

    probes: Mapping[str, Probe]
    looks: Mapping[str, Look]
    failures: Mapping[str, ProbeFailure]

    def leaves(self) -> dict[str, Leaf]:
        return {address: Leaf.of(look.judgement) for address, look in self.looks.items()}


def look_around(ctx: Context, entry: CertificateEntry, limits: Thresholds, also: Sequence[tuple[str, int]] = ()) -> World:
    """Every address of `entry` now, and those of `also`. Raises `ProviderError` when its addresses cannot be found."""
    (target,) = targets(ctx, [entry])
    if target.blocked:
        raise ProviderError(f"{entry.place}: {target.blocked.detail}", stage=target.blocked.stage, retryable=True)
    probes = {_where(probe): probe for probe in target.probes}
    pattern = target.probes[0]
    for address, port in also:
        probes.setdefault(join_place(address, port), _elsewhere(pattern, address, port))
    looks: dict[str, Look] = {}
    failures: dict[str, ProbeFailure] = {}
    for probe, result in ctx.tls.handshakes([probes[where] for where in sorted(probes)], cancelled=ctx.cancelled):
        if isinstance(result, ProbeFailure):
            failures[_where(probe)] = result
        else:
            looks[_where(probe)] = looked(entry, probe, result, limits, ctx.clock())
    ctx.checkpoint()
    return World(probes=probes, looks=dict(sorted(looks.items())), failures=dict(sorted(failures.items())))


def file_leaf(ctx: Context, entry: CertificateEntry, limits: Thresholds) -> Leaf | None:
    """The certificate that the entry's file holds, judged as if it were served to somebody who trusts its issuer; None if the
    file cannot be read or there is none.
    """
    if entry.certificate_file is None:
        return None
    try:
        chain = ctx.tls.read_certificates(Path(entry.certificate_file))
    except ProviderError:
        return None
    presented = Presented(chain_der=chain)
    return Leaf.of(judge(presented, name=entry.expected_name, now=ctx.clock(), thresholds=limits))


def _where(probe: Probe) -> str:
    return join_place(probe.address, probe.port)


def _elsewhere(pattern: Probe, address: str, port: int) -> Probe:
    return Probe(
        address=address,
        port=port,
        server_name=pattern.server_name,
        timeout=pattern.timeout,
        trust_anchors_pem=pattern.trust_anchors_pem,
    )
