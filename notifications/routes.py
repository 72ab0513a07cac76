"""Which message goes where: now, in the digest, later, or not again. Pure; the hour until which it is quiet is handed in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from notifications.findings import FindingFacts
from notifications.message import SEVERITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All that are given must hold; an empty one matches every finding."""

    severity: str = "info"
    """This one or worse."""
    environments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    jobs: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def accepts(self, finding: FindingFacts) -> bool:
        allowed = (
            (self.environments, finding.environment),
            (self.owners, finding.owner),
            (self.jobs, finding.job),
            (self.reasons, finding.reason),
        )
        return (
            SEVERITIES.index(finding.severity) >= SEVERITIES.index(self.severity)
            and all(not names or name in names for names, name in allowed)
            and self.labels.items() <= finding.labels.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which findings go to which channels, when, and when again."""

    channels: tuple[str, ...]
    match: Match = Match()
    when: Literal["now", "digest"] = "now"
    again_after: timedelta | None = None
    """None: an open finding is told once."""
    resolved: bool = True
    quiet: bool = True
    """Whether quiet hours are honoured."""
    go_on: bool = False
    """Whether later routes may match as well."""


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes in their order, and where the digest goes."""

    routes: tuple[Route, ...] = ()
    digest_channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """When each channel was last told of one finding: that it is open, and that it is resolved."""

    opened: Mapping[str, datetime] = field(default_factory=dict)
    resolved: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TellNow:
    """Send a message to these channels."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InDigest:
    """The next digest to these channels says it; none: the digest is only on the console page."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again at `until`: it is quiet, or a reminder is not due yet."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nobody is told (again)."""

    reason: str


Decision: TypeAlias = TellNow | InDigest | Wait | Nothing


def decide(
    routes: Routes, finding: FindingFacts, told: Told, *, quiet_until: datetime | None, now: datetime
) -> tuple[Decision, ...]:
    """What to do about `finding` now: at most one decision of each sort, and never none.

    A resolved finding is told to those who were told that it is open. `Nothing` stands alone.
    """
    if finding.state in {"muted", "acknowledged"}:
        return (Nothing(finding.state),)
    matching = _matching(routes, finding)
    decisions = [one for route in matching for one in _by_route(route, finding, told, quiet_until, now)]
    return _merged(decisions) or (Nothing(_why_nothing(finding, told)),)


def _matching(routes: Routes, finding: FindingFacts) -> list[Route]:
    found: list[Route] = []
    for route in routes.routes:
        if route.match.accepts(finding):
            found.append(route)
            if not route.go_on:
                break
    # Never silently nowhere.
    return found or [Route(channels=routes.digest_channels, when="digest")]


def _by_route(route: Route, finding: FindingFacts, told: Told, quiet_until: datetime | None, now: datetime) -> Iterator[Decision]:
    due = {channel: _due(route, channel, finding, told) for channel in route.channels}
    ready = tuple(channel for channel, at in due.items() if at is not None and at <= now)
    later = [at for at in due.values() if at is not None and at > now]
    if later:
        yield Wait(min(later))
    if route.when == "digest":
        if ready or (not route.channels and finding.state == "open"):
            yield InDigest(ready)
    elif ready and route.quiet and quiet_until is not None and quiet_until > now:
        yield Wait(quiet_until)
    elif ready:
        yield TellNow(ready)


def _due(route: Route, channel: str, finding: FindingFacts, told: Told) -> datetime | None:
    """When `channel` is to be told; None: not (again). What was told of an earlier opening does not count."""
    last = told.opened.get(channel)
    knows = last is not None and last >= finding.opened_at
    if finding.state == "resolved":
        end = finding.resolved_at or finding.opened_at
        already = channel in told.resolved and told.resolved[channel] >= end
        return end if knows and route.resolved and not already else None
    if last is None or not knows:
        return finding.opened_at
    return last + route.again_after if route.again_after is not None else None


def _merged(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """One decision of each sort. A channel that is told now is not told again by its digest."""
    now = _channels(one.channels for one in decisions if isinstance(one, TellNow))
    digests = [one for one in decisions if isinstance(one, InDigest)]
    digest = tuple(channel for channel in _channels(one.channels for one in digests) if channel not in now)
    waits = [one.until for one in decisions if isinstance(one, Wait)]
    merged: list[Decision] = []
    if now:
        merged.append(TellNow(now))
    if digest or any(not one.channels for one in digests):
        merged.append(InDigest(digest))
    if waits:
        merged.append(Wait(min(waits)))
    return tuple(merged)


def _channels(groups: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    """In their order, each once."""
    return tuple(dict.fromkeys(channel for group in groups for channel in group))


def _why_nothing(finding: FindingFacts, told: Told) -> str:
    if finding.state == "resolved":
        return "resolved, and nobody is left to be told"
    return "told already" if told.opened else "no channel is configured"
