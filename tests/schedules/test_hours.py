"""Working hours and quiet hours, on ordinary days and on those the clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.hours import QuietHours, WorkingHours

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = WorkingHours(zone=BERLIN, holidays=frozenset({date(2026, 5, 1)}))
NIGHT = QuietHours(zone=BERLIN, start=time(22), end=time(7))


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        ("2026-11-16T03:00", "2026-11-16T17:00"),  # a Monday's night: the same Monday
        ("2026-11-16T09:00", "2026-11-16T17:00"),
        ("2026-11-16T10:00", "2026-11-17T17:00"),  # Monday's work has begun: Tuesday
        ("2026-11-20T18:00", "2026-11-23T17:00"),  # over the weekend
        ("2026-04-30T10:00", "2026-05-04T17:00"),  # over a holiday and the weekend
        ("2026-03-27T10:00", "2026-03-30T17:00"),  # over the night the clocks go forward
    ],
)
def test_whoever_is_asked_has_one_whole_working_day(asked: str, end: str) -> None:
    assert OFFICE.end_of_next_working_day(local(asked)) == local(end)


@pytest.mark.parametrize(
    ("at", "hours", "until"),
    [
        ("2026-11-16T10:00", 2, "2026-11-16T12:00"),
        ("2026-11-16T10:00", 7, "2026-11-16T17:00"),
        ("2026-11-16T10:00", 8, "2026-11-17T10:00"),
        ("2026-11-16T03:00", 0, "2026-11-16T09:00"),
        ("2026-11-21T12:00", 1, "2026-11-23T10:00"),
        ("2026-10-23T16:00", 2, "2026-10-26T10:00"),
    ],
)
def test_working_time_passes_at_work_alone(at: str, hours: int, until: str) -> None:
    assert OFFICE.add_working_time(local(at), timedelta(hours=hours)) == local(until)


def test_night_shift_that_works_as_the_clocks_change_has_its_real_hours() -> None:
    sunday = WorkingHours(zone=BERLIN, weekdays=frozenset({6}), start=time(0), end=time(6))
    assert sunday.add_working_time(local("2026-03-29T00:00"), timedelta(hours=5)) == utc("2026-03-29T04:00")
    assert sunday.add_working_time(local("2026-10-25T00:00"), timedelta(hours=7)) == utc("2026-10-25T05:00")


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    one=st.timedeltas(timedelta(minutes=1), timedelta(days=3)),
    two=st.timedeltas(timedelta(minutes=1), timedelta(days=3)),
)
@settings(deadline=None)
def test_working_time_added_in_two_parts_is_the_sum(at: datetime, one: timedelta, two: timedelta) -> None:
    assert OFFICE.add_working_time(OFFICE.add_working_time(at, one), two) == OFFICE.add_working_time(at, one + two)


def test_working_time_is_not_taken_away() -> None:
    with pytest.raises(ValueError, match="not taken away"):
        OFFICE.add_working_time(local("2026-11-16T10:00"), timedelta(seconds=-1))


def test_working_hours_need_a_weekday() -> None:
    for weekdays in (frozenset[int](), frozenset({7})):
        with pytest.raises(ValueError, match="at least one of 0"):
            WorkingHours(zone=BERLIN, weekdays=weekdays)


def test_working_hours_end_after_they_start() -> None:
    with pytest.raises(ValueError, match="end at 09:00"):
        WorkingHours(zone=BERLIN, start=time(9), end=time(9))


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-16T21:59", None),
        ("2026-11-16T22:00", "2026-11-17T07:00"),
        ("2026-11-17T00:30", "2026-11-17T07:00"),
        ("2026-11-17T07:00", None),
        ("2026-10-24T23:00", "2026-10-25T07:00"),
        ("2026-03-28T23:00", "2026-03-29T07:00"),
    ],
)
def test_quiet_crosses_midnight(at: str, until: str | None) -> None:
    assert NIGHT.quiet_until(local(at)) == (local(until) if until else None)


def test_quiet_within_one_day() -> None:
    lunch = QuietHours(zone=BERLIN, start=time(12), end=time(13))
    assert lunch.quiet_until(local("2026-11-16T12:30")) == local("2026-11-16T13:00")
    assert lunch.quiet_until(local("2026-11-16T13:00")) is None


def test_quiet_that_ends_in_a_repeated_hour_ends_once() -> None:
    early = QuietHours(zone=BERLIN, start=time(22), end=time(2, 30))
    assert early.quiet_until(utc("2026-10-25T00:15")) == utc("2026-10-25T00:30")
    assert early.quiet_until(utc("2026-10-25T01:15")) is None


def test_quiet_hours_need_a_length() -> None:
    with pytest.raises(ValueError, match="22:00"):
        QuietHours(zone=BERLIN, start=time(22), end=time(22))
