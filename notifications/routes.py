"""Which message goes where: now, in the digest, later, or not again. Pure; the hour until which it is quiet is handed in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from notifications.findings import FindingFacts
from notifications.message import SEVERITIES


class Routed(Protocol):
    """What a route is chosen by; of a request the risk is the severity."""

    @property
    def severity(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def job(self) -> str: ...
    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All that are given must hold; an empty one matches everything."""

    severity: str = "info"
    """This one or worse."""
    environments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    jobs: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def accepts(self, finding: Routed) -> bool:
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
    """Which findings and requests go to which channels, when, and when again."""

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
    approvals: bool = True
    """Whether requests go this way too."""


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


@dataclass(frozen=True, slots=True)
class Announce:
    """Who is told of a request now, and when to look again for those who are spared until then."""

    channels: tuple[str, ...]
    people: bool
    """Whether those who may decide have their own messages now."""
    again_at: datetime | None = None


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


def announce(routes: Routes, request: Routed, *, quiet_until: datetime | None, now: datetime) -> Announce:
    """Whom to tell of a request now. A route `when = "digest"` is silent: every digest lists what waits.

    Quiet hours hold for people as they do for channels: until the end, unless a matching route minds none.
    """
    quiet = quiet_until if quiet_until is not None and quiet_until > now else None
    asked = [route for route in routes.routes if route.approvals]
    loud = [route for route in _accepting(asked, request) if route.when == "now"]
    ready = [route for route in loud if quiet is None or not route.quiet]
    people = quiet is None or bool(ready)
    waits = not people or len(ready) < len(loud)
    return Announce(_channels(iter([route.channels for route in ready])), people, quiet if waits else None)


def _accepting(routes: Iterable[Route], what: Routed) -> list[Route]:
    found: list[Route] = []
    for route in routes:
        if route.match.accepts(what):
            found.append(route)
            if not route.go_on:
                break
    return found


def _matching(routes: Routes, finding: FindingFacts) -> list[Route]:
    # Never silently nowhere.
    return _accepting(routes.routes, finding) or [Route(channels=routes.digest_channels, when="digest")]


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
