"""A schedule, and when it is due next. Pure; every instant is aware and UTC unless a name says wall.

The nights the clocks change (Debian's cron has the same convention, see its cron(8)):

- A *fixed-time* cron (no `*` in minute and hour, see `Cron`) runs once for each wall time. If the wall time comes
  twice, the first counts. If the clock jumps over it, it is due the moment the jump ends (02:30 in Berlin becomes
  03:00); all times that then fall on one moment are one fire, under the key of the earliest.
  Fire key: the wall time the cron names, `2026-10-25T02:30`. `0 0-23 * * *` is fixed-time too: it lets the repeated
  hour pass; write `0 * * * *` for every hour that elapses.
- Any other cron means elapsed time: it is due at every instant whose wall time matches, so `*/30 1 * * *` fires four
  times when 01:00 to 02:00 comes twice, and not at all when the clock jumps over that hour.
  Fire key: the instant, `2026-10-25T00:30Z`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice, takewhile
from typing import Literal
from zoneinfo import ZoneInfo

from schedules.cron import Cron, parse_cron
from schedules.walls import first_instant, instants_of, repeat_after, wall_at

CatchUp = Literal["skip", "one", "all"]
Overlap = Literal["forbid", "queue", "replace"]
Trigger = Literal["scheduler", "n8n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which entries of the job's estate table: all conditions must hold; an empty selector takes all."""

    entries: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One table of a schedules file."""

    name: str
    cron: str
    job: str
    zone: ZoneInfo
    select: Selector = Selector()
    parameters: Mapping[str, object] = field(default_factory=dict)
    catch_up: CatchUp = "one"
    """Fires missed while no scheduler ran: none, the latest, or every one."""
    overlap: Overlap = "forbid"
    """The last batch of this schedule still runs: skip this fire, queue it, or cancel the old one."""
    jitter: timedelta = timedelta(0)
    """Each schedule starts late by a fixed share of this, from a hash of its name."""
    start_deadline: timedelta | None = None
    """A fire that could not be started within this is a skipped run."""
    trigger: Trigger = "scheduler"
    """`n8n`: n8n's own clock rings; we only open a finding if its call was not seen by `start_deadline`."""
    ping_url: str | None = None
    """Dead-man's switch: told after every night that was complete. May be a secret reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One moment at which a schedule fires. `fire_key` is the same whoever computes it, and unique per schedule."""

    at: datetime
    """UTC, jitter included."""
    fire_key: str


def next_due(schedule: Schedule, after: datetime) -> Due:
    """The first due later than `after`. Raises `CronError` for a cron that `load_schedules` would have refused."""
    cron, late = parse_cron(schedule.cron), delay(schedule)
    if cron.fixed_time:
        moment, wall = _next_fixed(cron, schedule.zone, after.astimezone(UTC) - late)
        return Due(at=moment + late, fire_key=f"{wall:%Y-%m-%dT%H:%M}")
    moment = _next_elapsed(cron, schedule.zone, after.astimezone(UTC) - late)
    return Due(at=moment + late, fire_key=f"{moment:%Y-%m-%dT%H:%MZ}")


def due_between(schedule: Schedule, after: datetime, until: datetime, *, limit: int | None = None) -> list[Due]:
    """Every due with `after < at <= until`, earliest first; at most `limit` of them."""
    return list(islice(takewhile(lambda due: due.at <= until, _dues(schedule, after)), limit))


def latest_due(schedule: Schedule, after: datetime, until: datetime, *, limit: int) -> list[Due]:
    """The last `limit` dues with `after < at <= until`, earliest first, without walking through all those before."""
    span = timedelta(minutes=limit)
    while True:
        start = until - min(span, until - after)
        dues = due_between(schedule, start, until)
        if len(dues) >= limit or start <= after:
            return dues[-limit:]
        span *= 4


def delay(schedule: Schedule) -> timedelta:
    """How late this schedule starts: the share of `jitter` that its name hashes to, in whole seconds."""
    share = int.from_bytes(sha256(schedule.name.encode()).digest()[:8])
    return timedelta(seconds=(schedule.jitter // timedelta(seconds=1)) * share >> 64)


def _dues(schedule: Schedule, after: datetime) -> Iterator[Due]:
    while True:
        due = next_due(schedule, after)
        yield due
        after = due.at


def _next_fixed(cron: Cron, zone: ZoneInfo, after: datetime) -> tuple[datetime, datetime]:
    """The instant, and the wall time it stands for."""
    wall = cron.after(wall_at(after, zone))
    while (instant := first_instant(wall, zone)) <= after:
        wall = cron.after(wall)  # the clock went back, and this wall time has had its turn
    return instant, wall


def _next_elapsed(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime:
    wall = wall_at(after, zone)
    following = _first_later(cron, zone, wall, after)
    repeat = repeat_after(after, zone)
    # Once the clock goes back, walls before this one come again; they may be due sooner than the one that follows.
    return min(following, _first_later(cron, zone, wall - repeat, after)) if repeat else following


def _first_later(cron: Cron, zone: ZoneInfo, wall: datetime, after: datetime) -> datetime:
    while True:
        wall = cron.after(wall)
        for instant in instants_of(wall, zone):
            if instant > after:
                return instant
