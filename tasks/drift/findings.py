"""From what one round saw to what is said of the stack: one finding per cause, however many resources. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tasks.drift.breaker import Tripped
from tasks.drift.classes import IN_THE_CLOUD, Class, Classified, worst_first
from tasks.drift.coverage import Coverage
from tasks.drift.entry import DriftEntry
from tasks.drift.looking import Round
from tasks.drift.severity import worst
from tasks.drift.telling import by_hand, changes, desired_and_actual, listed, moved, short, what_differs
from tasks.model import Finding, Json, Severity
from tasks.stacks import Stack

DRIFT, CONFLICT, ADOPTED, CLOUD_DIFFERS = "drift", "conflict", "adopted", "cloud_differs"
_REASONS = {Class.DRIFT: DRIFT, Class.CONFLICT: CONFLICT, Class.ADOPTED: ADOPTED, Class.UNKNOWN: CLOUD_DIFFERS}
_NOBODY_KNOWS = "not known to Pulumi"
_LEAST = {Class.CONFLICT: Severity.MEDIUM}
_MOST = {Class.ADOPTED: Severity.LOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One stack after a round: all that its findings are made of."""

    entry: DriftEntry
    stack: Stack
    place: str
    seen: Round
    found: Sequence[Classified]
    """Without what cannot be told."""
    coverage: Coverage
    blamed: Sequence[Tripped] = ()
    since: Mapping[str, datetime] = field(default_factory=dict)
    flips: Mapping[str, int] = field(default_factory=dict)
    who: Mapping[str, str] = field(default_factory=dict)
    """By URN, what a log says."""
    now: datetime

    @property
    def flapping(self) -> frozenset[str]:
        return frozenset(key for key, times in self.flips.items() if times >= self.entry.flips)

    def finding(
        self,
        found: Sequence[Classified],
        *,
        reason: str,
        key: str,
        severity: Severity,
        title: str,
        detail: str,
        cause: str | None = None,
        in_cloud: bool = True,
    ) -> Finding:
        desired, actual = desired_and_actual(found) if in_cloud else (None, None)
        return Finding(
            entry=self.entry.name,
            subject=self.place,
            key=key,
            reason=reason,
            severity=severity,
            title=f"{self.place}: {title}",
            detail=detail,
            evidence=self._evidence(found),
            recheck=by_hand(self.stack, program=not in_cloud),
            cause=cause,
            desired=desired,
            actual=actual,
        )

    def _evidence(self, found: Sequence[Classified]) -> dict[str, Json]:
        state = self.seen.state
        since = [self.since[one.key] for one in found if one.key in self.since]
        return {
            "changes": changes(found),
            "changes_count": len(found),
            "since": min(since).isoformat() if since else None,
            "last_update": {
                "at": state.updated_at.isoformat() if state.updated_at else None,
                "commit": state.git_commit,
                "dirty": state.git_dirty,
            },
            "who": listed(list(dict.fromkeys(self.who[one.urn] for one in found if one.urn in self.who))) or _NOBODY_KNOWS,
            "coverage": self.coverage.facts(),
        }


def findings(sight: Sight) -> Iterator[Finding]:
    """In a fixed order: what flips, what differs in the cloud, what was not deployed, noise."""
    yield from _flapping(sight)
    for why, alike in in_the_cloud(sight):
        yield _in_cloud(sight, why, alike)
    rest = _steady(sight)
    undeployed = [one for one in rest if one.why is Class.UNDEPLOYED]
    if undeployed:
        yield _undeployed(sight, undeployed)
    yield from _noise(sight, [one for one in rest if one.why is Class.NOISE])
    unknown = [one for one in rest if one.why is Class.UNKNOWN and not one.in_cloud]
    if unknown:
        yield _unexplained(sight, "unknown", unknown, Severity.LOW)


def in_the_cloud(sight: Sight) -> Iterator[tuple[Class, list[Classified]]]:
    """What differs in the cloud, each group for one cause; without what flips."""
    rest = _steady(sight)
    for why in _REASONS:
        for alike in _alike([one for one in rest if one.why is why and one.in_cloud]):
            yield why, alike


def key_of(why: Class, found: Sequence[Classified]) -> str:
    """Of these resources at these values: known drift that moves on, or spreads, is news."""
    told = "\n".join(sorted(f"{one.key} {one.fingerprint}" for one in found))
    return f"{_REASONS[why]}:{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _steady(sight: Sight) -> list[Classified]:
    return [one for one in sight.found if one.key not in sight.flapping]


def _in_cloud(sight: Sight, why: Class, found: Sequence[Classified]) -> Finding:
    bad = worst(found, sight.entry.severity)
    bad = max(bad, _LEAST.get(why, bad), key=lambda one: one.rank)
    bad = min(bad, _MOST.get(why, bad), key=lambda one: one.rank)
    told = {
        Class.DRIFT: "",
        Class.CONFLICT: f"; the program says {listed([short(one.desired) for one in found if not one.masked])}",
        Class.ADOPTED: ", as the program says",
        Class.UNKNOWN: "; not compared with the program",
    }[why]
    return sight.finding(
        found,
        reason=_REASONS[why],
        key=key_of(why, found),
        severity=bad,
        title=f"{what_differs(found)}{told}",
        detail="; ".join(dict.fromkeys(one.because for one in found)),
    )


def _alike(found: Sequence[Classified]) -> Iterator[list[Classified]]:
    """Resources that changed in the same way changed for one cause, and are told as one."""
    by_urn: dict[str, list[Classified]] = {}
    for one in found:
        by_urn.setdefault(one.urn, []).append(one)
    groups: dict[tuple[object, ...], list[Classified]] = {}
    for ones in by_urn.values():
        shape = tuple(sorted((one.path, one.kind, repr(one.actual), one.masked) for one in ones))
        groups.setdefault(shape, []).extend(ones)
    yield from (worst_first(group) for group in groups.values())


def _undeployed(sight: Sight, found: Sequence[Classified]) -> Finding:
    names = list(dict.fromkeys(f"{one.resource.name} ({moved(one)})" for one in found))
    return sight.finding(
        found,
        reason="undeployed_code",
        key="undeployed_code",
        severity=Severity.LOW,
        title=f"the program has what is not deployed: {listed(names)}",
        detail="this is no drift: it waits for its deployment",
        in_cloud=False,
    )


def _noise(sight: Sight, found: Sequence[Classified]) -> Iterator[Finding]:
    upgrades = sorted({one.upgrade for one in found if one.upgrade})
    for upgrade in upgrades:
        told = [one for one in found if one.upgrade == upgrade]
        yield sight.finding(
            told,
            reason="provider_upgrade",
            key=f"provider_upgrade:{upgrade}",
            severity=Severity.INFO,
            title=f"{upgrade}: {len(told)} properties that nobody wrote differ",
            detail="the program runs with another version of the provider than the state was written by",
            cause=f"provider_upgrade:{upgrade}",
            in_cloud=False,
        )
    # A new default provider alone changes nothing in a cloud.
    rest = [one for one in found if one.upgrade is None and not one.resource.type.startswith("pulumi:providers:")]
    if rest:
        yield _unexplained(sight, "noise", rest, Severity.INFO)


def _unexplained(sight: Sight, reason: str, found: Sequence[Classified], severity: Severity) -> Finding:
    told = "noise" if reason == "noise" else "unexplained"
    return sight.finding(
        found,
        reason=told,
        key=told,
        severity=severity,
        title=f"differences that are neither drift nor undeployed code: {what_differs(found)}",
        detail="; ".join(dict.fromkeys(one.because for one in found)),
        in_cloud=False,
    )


def _flapping(sight: Sight) -> Iterator[Finding]:
    now = {one.key: one for one in sight.found if one.why in IN_THE_CLOUD and one.in_cloud}
    for key in sorted(sight.flapping):
        one = now.get(key)
        urn, _, path = key.rpartition("#")
        name = f"{urn.rpartition('::')[2]} {path}".strip()
        told = f"now {moved(one)}" if one else "now as it should be"
        yield sight.finding(
            [one] if one else [],
            reason="flapping",
            key=f"flapping:{hashlib.sha256(key.encode()).hexdigest()[:16]}",
            severity=worst([one], sight.entry.severity) if one else Severity.LOW,
            title=f"{name} flips: {sight.flips[key]} times in 14 days, {told}",
            detail="somebody and something else keep setting it to different values; a repair would be one more flip",
            in_cloud=one is not None,
        )
