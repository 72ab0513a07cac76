"""A cron line of five fields, as wall-clock times. It knows no zone: `schedule.py` turns walls into instants."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from croniter import CroniterBadDateError, CroniterError, croniter

from schedules.errors import CronError

_FIELDS = "minute hour day-of-month month day-of-week"
_CHOSEN_BY_CRONITER = re.compile(r"(?:^|,)[hr](?:$|[,/(])", re.IGNORECASE)
_ANY_LEAP_DAY = datetime(2024, 2, 28, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cron:
    """The wall times at which a cron line is due.

    A line is *fixed-time* if neither its minute nor its hour holds a `*`: it names times of the day
    (`30 2 * * *`, `0,30 1-5 * * 1-5`), and each of them is meant once a day. Any other line means elapsed time.
    """

    fixed_time: bool
    minutes: tuple[int, ...]
    """Minutes since midnight, ascending."""
    days: str
    """The cron line of the days alone."""

    def after(self, wall: datetime) -> datetime:
        """The first wall time later than `wall`."""
        day = _matching_day(self.days, wall.date())
        if day == wall.date():
            at = bisect_right(self.minutes, wall.hour * 60 + wall.minute)
            if at < len(self.minutes):
                return _wall(day, self.minutes[at])
            day = _matching_day(self.days, day + timedelta(days=1))
        return _wall(day, self.minutes[0])


@lru_cache(maxsize=4096)
def parse_cron(line: str) -> Cron:
    """Raises `CronError` for a line that is not cron, has not five fields, or names days that never come."""
    fields = line.split()
    if len(fields) != 5:  # noqa: PLR2004 - croniter also takes seconds, years and @nicknames, which cron users read differently
        raise CronError(f"has {len(fields)} fields; five are accepted: {_FIELDS}, e.g. `30 2 * * *`")
    if any(_CHOSEN_BY_CRONITER.search(field) for field in fields):
        raise CronError(
            "`H` and `R` are not accepted, since every scheduler must come to the same time; use `jitter` to spread the load"
        )
    minute, hour, *days = fields
    return Cron("*" not in minute + hour, _minutes(line), _checked_days(" ".join(["0", "0", *days])))


def _minutes(line: str) -> tuple[int, ...]:
    try:
        (minutes, hours, *_), _ = croniter.expand(line)
    except CroniterError as error:
        raise CronError(f"is not a cron line ({error}); accepted: {_FIELDS}, e.g. `30 2 * * *`") from None
    return tuple(sorted(hour * 60 + minute for hour in _numbers(hours, 24) for minute in _numbers(minutes, 60)))


def _numbers(field: list[int | str], end: int) -> list[int]:
    return list(range(end)) if "*" in field else [int(number) for number in field]


def _checked_days(days: str) -> str:
    try:
        croniter(days, _ANY_LEAP_DAY).get_next(datetime)
    except CroniterBadDateError:
        raise CronError("names a date that never comes, such as 30 February") from None
    except CroniterError as error:
        raise CronError(f"is not a cron line ({error}); accepted: {_FIELDS}, e.g. `30 2 * * *`") from None
    return days


@lru_cache(maxsize=65536)
def _matching_day(days: str, at_or_after: date) -> date:
    # UTC stands in for the wall clock here: croniter's own sums on zones run `30 1 * * *` twice when clocks go back.
    eve = datetime.combine(at_or_after, time.min, UTC) - timedelta(seconds=1)
    found: datetime = croniter(days, eve).get_next(datetime)
    return found.date()


def _wall(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(minute // 60, minute % 60))
