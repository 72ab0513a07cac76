"""Working hours and quiet hours. Pure; every instant taken is aware, every instant returned is UTC.

Hours are those the clock on the wall shows; a day on which the clocks change is an hour longer or shorter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from schedules.walls import first_instant, wall_at

MONDAY_TO_FRIDAY = frozenset(range(5))

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingHours:
    """When the people who decide are at work. `weekdays` as `date.weekday()` counts them: Monday is 0."""

    zone: ZoneInfo
    weekdays: frozenset[int] = MONDAY_TO_FRIDAY
    start: time = time(9)
    end: time = time(17)
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= set(range(7)):
            raise ValueError(f"weekdays {sorted(self.weekdays)}: at least one of 0 (Monday) to 6 (Sunday) is needed")
        if self.start >= self.end:
            raise ValueError(f"working hours end at {self.end:%H:%M}, not after their start at {self.start:%H:%M}")

    def end_of_next_working_day(self, at: datetime) -> datetime:
        """The end of the first working day that starts at `at` or later: whoever is asked has one whole day."""
        return next(end for start, end in self._days(at) if start >= at)

    def add_working_time(self, at: datetime, amount: timedelta) -> datetime:
        """The instant by which `amount` of working time has passed since `at`; zero gives the next working instant."""
        if amount < timedelta(0):
            raise ValueError(f"working time is added, not taken away: {amount}")
        left = amount
        for start, end in self._days(at):
            begin = max(start, at.astimezone(UTC))
            if begin < end and begin + left <= end:
                return begin + left
            left -= max(end - begin, timedelta(0))
        raise AssertionError("days never end")

    def _days(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Start and end of each working day, from the local day of `at` on."""
        today = wall_at(at, self.zone).date()
        for day in (today + offset * _DAY for offset in count()):
            if day.weekday() in self.weekdays and day not in self.holidays:
                yield _instant(day, self.start, self.zone), _instant(day, self.end, self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A time of every day in which nobody is paged; `end` before `start` means that it crosses midnight."""

    zone: ZoneInfo
    start: time
    end: time

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError(f"quiet hours start and end at {self.start:%H:%M}; leave them out, or give them a length")

    def quiet_until(self, at: datetime) -> datetime | None:
        """When the quiet that holds at `at` ends; None: it is not quiet. The end itself is not quiet."""
        today = wall_at(at, self.zone).date()
        overnight = _DAY if self.end < self.start else timedelta(0)
        for day in (today - _DAY, today):
            end = _instant(day + overnight, self.end, self.zone)
            if _instant(day, self.start, self.zone) <= at < end:
                return end
        return None


def _instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return first_instant(datetime.combine(day, clock), zone)
