"""Which fires to start and which to skip after a gap, and which night a caller's own clock means. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from schedules.schedule import Due, Schedule, delay, due_between, latest_due, next_due

SkipReason = Literal["missed", "superseded", "too_many", "too_late"]

ON_TIME = timedelta(minutes=5)
"""A fire that starts within this was not missed: a restart of the scheduler in mid-night is no gap."""
MOST_FIRES = 100
"""As many fires are caught up at once, whatever `catch_up` says."""
NAMED_SKIPS = 1000
"""As many misses are listed one by one: a minutely schedule that slept for a year has half a million."""

_LONGEST_WAIT = timedelta(days=60 * 366)
"""The rarest cron that is accepted (29 February on one weekday) comes every 28 years, over a century's turn every 40."""

_DETAILS: dict[SkipReason, str] = {
    "missed": 'missed while no scheduler ran, and the schedule has `catch_up = "skip"`',
    "superseded": 'missed, and a later fire is due: `catch_up = "one"` makes up for the latest alone',
    "too_many": f"missed, and more than {MOST_FIRES} fires were: the latest {MOST_FIRES} are made up for",
    "too_late": "could not be started within the schedule's `start_deadline`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A due that is not run, and why."""

    due: Due
    reason: SkipReason

    @property
    def detail(self) -> str:
        return _DETAILS[self.reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """What to do now, each list earliest first. Misses before `unnamed_before`, if set, were too many to list."""

    fire: tuple[Due, ...] = ()
    skip: tuple[Skipped, ...] = ()
    unnamed_before: datetime | None = None


def plan_fires(schedule: Schedule, last_fire_at: datetime, now: datetime) -> Fires:
    """What the scheduler does about the dues with `last_fire_at < at <= now`.

    `last_fire_at` is the `at` of the last due that was fired or skipped, or when the schedule was first seen or resumed.
    `catch_up` picks: `skip` the latest if it is not older than `ON_TIME`, `one` the latest, `all` each of the latest
    `MOST_FIRES`. Of those picked, the ones later than `start_deadline` are skipped after all.
    A schedule that n8n triggers fires nothing here; see `calls_missed`.
    """
    if schedule.trigger == "n8n":
        return Fires()
    dues = latest_due(schedule, last_fire_at, now, limit=NAMED_SKIPS + 1)
    unnamed_before = dues[1].at if len(dues) > NAMED_SKIPS else None
    skip = {due: reason for due in dues[-NAMED_SKIPS:] if (reason := _reason(schedule, due, dues, now))}
    return Fires(
        fire=tuple(due for due in dues[-NAMED_SKIPS:] if due not in skip),
        skip=tuple(Skipped(due=due, reason=reason) for due, reason in skip.items()),
        unnamed_before=unnamed_before,
    )


def _reason(schedule: Schedule, due: Due, dues: list[Due], now: datetime) -> SkipReason | None:
    """Why this one of `dues` is not to be fired; None: fire it."""
    late = now - due.at
    if schedule.catch_up == "skip" and (due != dues[-1] or late > ON_TIME):
        return "missed"
    if schedule.catch_up == "one" and due != dues[-1]:
        return "superseded"
    if due.at < dues[-MOST_FIRES:][0].at:
        return "too_many"
    if schedule.start_deadline is not None and late > schedule.start_deadline:
        return "too_late"
    return None


def calls_missed(schedule: Schedule, checked_until: datetime, now: datetime) -> list[Due]:
    """For a schedule that n8n triggers: the dues whose `start_deadline` ran out after `checked_until` and by `now`.

    The caller looks for a batch under each fire key, and opens a finding where there is none.
    """
    grace = schedule.start_deadline or ON_TIME
    return due_between(schedule, checked_until - grace, now - grace)


def tonight(schedule: Schedule, now: datetime) -> Due:
    """The fire that a caller joins who names this schedule at `now`, whoever rings first.

    It is the one nearest to `now`, before or after; halfway between two, the earlier. So for a nightly schedule every
    clock that is less than twelve hours early or late means the same night. Jitter is left out of that sum, as another
    clock does not know of it; it is in the `at` of the answer.
    """
    plain = replace(schedule, jitter=timedelta(0))
    [before] = latest_due(plain, now - _LONGEST_WAIT, now, limit=1)
    after = next_due(plain, now)
    due = before if now - before.at <= after.at - now else after
    return replace(due, at=due.at + delay(schedule))
