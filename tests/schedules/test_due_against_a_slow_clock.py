"""A year of a dozen crons, compared with a clock on the wall that is read minute by minute.

The clock shares no code with the package: it knows the zone's offset and the sets of numbers that a cron line means.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest

from schedules.schedule import Schedule, due_between

YEAR = 2026
FIRST = datetime(YEAR, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_HOUR, EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY = range(24), range(1, 32), range(1, 13), range(1, 8)


@dataclass(frozen=True)
class Meaning:
    """What a cron line means, spelled out by hand; weekdays from Monday = 1."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] = frozenset(EVERY_DAY)
    months: frozenset[int] = frozenset(EVERY_MONTH)
    weekdays: frozenset[int] = frozenset(EVERY_WEEKDAY)
    either_day: bool = False

    def holds(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        of_month, of_week = wall.day in self.days, wall.isoweekday() in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week


def some(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


FIXED = {
    "30 2 * * *": Meaning(some(30), some(2)),
    "30 1 * * *": Meaning(some(30), some(1)),
    "0 0 * * *": Meaning(some(0), some(0)),
    "5,20,50 1-3 * * *": Meaning(some(5, 20, 50), some(1, 2, 3)),
    "0 0-23 * * *": Meaning(some(0), frozenset(EVERY_HOUR)),
    "15 2 * * 7": Meaning(some(15), some(2), weekdays=some(7)),
    "45 1 1-7 4,10 *": Meaning(some(45), some(1), days=frozenset(range(1, 8)), months=some(4, 10)),
    "0 3 13 * 5": Meaning(some(0), some(3), days=some(13), weekdays=some(5), either_day=True),
}
ELAPSED = {
    "*/30 1 * * *": Meaning(some(0, 30), some(1)),
    "*/20 2 * * *": Meaning(some(0, 20, 40), some(2)),
    "0 * * * *": Meaning(some(0), frozenset(EVERY_HOUR)),
    "45 */2 * * 1-5": Meaning(some(45), frozenset(range(0, 24, 2)), weekdays=frozenset(range(1, 6))),
    "* 1,2 25,29 3,10,11 *": Meaning(frozenset(range(60)), some(1, 2), days=some(25, 29), months=some(3, 10, 11)),
}
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]


@lru_cache
def readings(zone: str) -> list[tuple[datetime, datetime]]:
    """Every minute of the year with what the wall clock shows."""
    instants = (FIRST + minute * MINUTE for minute in range(365 * 24 * 60))
    return [(instant, instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)) for instant in instants]


def simulated(cron: str, zone: str) -> list[tuple[datetime, str]]:
    schedule = Schedule(name="any", cron=cron, job="any", zone=ZoneInfo(zone))
    dues = due_between(schedule, FIRST, readings(zone)[-1][0])
    return [(due.at, due.fire_key) for due in dues]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", FIXED)
def test_fixed_time_cron_fires_as_the_wall_clock_first_reaches_it(cron: str, zone: str) -> None:
    expected = []
    furthest = readings(zone)[0][1]
    for instant, wall in readings(zone):
        if wall <= furthest:
            continue
        reached = [furthest + minute * MINUTE for minute in range(1, (wall - furthest) // MINUTE + 1)]
        furthest = wall
        if due := [one for one in reached if FIXED[cron].holds(one)]:
            expected.append((instant, due[0].isoformat(timespec="minutes")))
    assert simulated(cron, zone) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", ELAPSED)
def test_cron_with_a_star_fires_at_every_minute_whose_wall_time_matches(cron: str, zone: str) -> None:
    expected = [(instant, f"{instant:%Y-%m-%dT%H:%MZ}") for instant, wall in readings(zone)[1:] if ELAPSED[cron].holds(wall)]
    assert simulated(cron, zone) == expected
