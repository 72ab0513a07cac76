"""Which fires a span of time has, by a calendar and a clock on the wall that is read minute by minute.

It shares no code with `schedules`: what the crons of `watch.timetable` mean is spelled out by hand.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from tests.scheduler.stage import BERLIN


def fire_keys(first: date, last: date, hours: frozenset[int]) -> dict[str, set[str]]:
    """By schedule, for the days of Berlin from `first` to `last`; `hours` are those of `hourly`."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return {
        "nightly": {f"{day}T02:30" for day in days},
        "jittered": {f"{day}T01:15" for day in days},
        "weekdays": {f"{day}T03:00" for day in days if day.isoweekday() <= 5},
        "weekly": {f"{day}T02:45" for day in days if day.isoweekday() == 7},
        "monthly": {f"{day}T00:05" for day in days if day.day == 1},
        "half-hours": {_key(at) for at, wall in _minutes(first, last) if wall.hour == 2 and wall.minute in (0, 30)},
        "hourly": {_key(at) for at, wall in _minutes(first, last) if wall.hour in hours and wall.minute == 0},
        "by-n8n": {f"{day}T04:00" for day in days},
    }


def _minutes(first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    at = midnight(first)
    while at < midnight(last + timedelta(days=1)):
        if at.minute in (0, 30):
            yield at, at.astimezone(BERLIN)
        at += timedelta(minutes=1)


def midnight(day: date) -> datetime:
    """In Berlin, as an instant."""
    return datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)


def _key(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"
