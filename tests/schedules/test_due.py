"""When a schedule is due: the nights the clocks change, the calendar's odd days, jitter."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.schedule import Due, Schedule, delay, due_between, latest_due, next_due

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


def schedule(cron: str, zone: ZoneInfo = BERLIN, jitter: timedelta = timedelta(0), name: str = "nightly") -> Schedule:
    return Schedule(name=name, cron=cron, job="certificates", zone=zone, jitter=jitter)


def fires(cron: str, zone: ZoneInfo, after: str, until: str) -> list[tuple[str, str]]:
    dues = due_between(schedule(cron, zone), at(after), at(until))
    return [(f"{due.at:%m-%dT%H:%M}", due.fire_key) for due in dues]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "until", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-25T12:00", [("10-25T00:30", "2026-10-25T02:30")]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", "2026-11-01T12:00", [("11-01T05:30", "2026-11-01T01:30")]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T02:00", "2026-04-05T02:00", [("04-04T14:45", "2026-04-05T01:45")]),
        ("30 2 * * *", ZoneInfo("UTC"), "2026-10-24T12:00", "2026-10-25T12:00", [("10-25T02:30", "2026-10-25T02:30")]),
    ],
)
def test_fixed_time_cron_runs_once_when_clocks_go_back(
    cron: str, zone: ZoneInfo, after: str, until: str, expected: list[tuple[str, str]]
) -> None:
    assert fires(cron, zone, after, until) == expected


@pytest.mark.parametrize(
    ("cron", "zone", "after", "until", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00", [("03-29T01:00", "2026-03-29T02:30")]),
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", "2026-03-08T12:00", [("03-08T07:00", "2026-03-08T02:30")]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T02:00", "2026-10-04T02:00", [("10-03T15:30", "2026-10-04T02:15")]),
        ("0,30 2,3 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00",
         [("03-29T01:00", "2026-03-29T02:00"), ("03-29T01:30", "2026-03-29T03:30")]),
    ],
)  # fmt: skip
def test_fixed_time_cron_in_the_gap_runs_once_at_its_end(
    cron: str, zone: ZoneInfo, after: str, until: str, expected: list[tuple[str, str]]
) -> None:
    assert fires(cron, zone, after, until) == expected


def test_cron_with_a_star_runs_in_both_passes_of_the_repeated_hour() -> None:
    expected = ["2026-11-01T05:00Z", "2026-11-01T05:30Z", "2026-11-01T06:00Z", "2026-11-01T06:30Z"]
    assert [key for _, key in fires("*/30 1 * * *", NEW_YORK, "2026-11-01T00:00", "2026-11-02T00:00")] == expected


def test_cron_with_a_star_runs_in_both_passes_of_a_repeated_half_hour() -> None:
    expected = ["2026-04-04T14:30Z", "2026-04-04T14:45Z", "2026-04-04T15:00Z", "2026-04-04T15:15Z"]
    assert [key for _, key in fires("30-59/15 * * * *", LORD_HOWE, "2026-04-04T14:29", "2026-04-04T15:29")] == expected


def test_cron_with_a_star_does_not_run_in_an_hour_that_is_jumped_over() -> None:
    assert fires("*/30 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00") == []


def test_hourly_cron_runs_twenty_five_times_on_the_long_day_and_twenty_three_times_on_the_short() -> None:
    assert len(fires("0 * * * *", BERLIN, "2026-10-24T21:59", "2026-10-25T22:59")) == 25
    assert len(fires("0 * * * *", BERLIN, "2026-03-28T22:59", "2026-03-29T21:59")) == 23


def test_leap_day_comes_every_four_years() -> None:
    assert [key for _, key in fires("0 0 29 2 *", ZoneInfo("UTC"), "2026-01-01", "2033-01-01")] == [
        "2028-02-29T00:00",
        "2032-02-29T00:00",
    ]


def test_last_day_of_the_month_and_the_thirty_first() -> None:
    days = [key[5:10] for _, key in fires("0 4 L * *", BERLIN, "2026-01-01", "2026-05-01")]
    assert days == ["01-31", "02-28", "03-31", "04-30"]
    days = [key[5:10] for _, key in fires("0 4 31 * *", BERLIN, "2026-01-01", "2026-06-01")]
    assert days == ["01-31", "03-31", "05-31"]


def test_due_itself_is_not_after_itself_and_is_before_its_own_until() -> None:
    nightly = schedule("30 2 * * *", ZoneInfo("UTC"))
    due = Due(at=at("2026-05-01T02:30"), fire_key="2026-05-01T02:30")
    assert next_due(nightly, due.at - timedelta.resolution) == due
    assert next_due(nightly, due.at).fire_key == "2026-05-02T02:30"
    assert due_between(nightly, due.at - timedelta(hours=1), due.at) == [due]


def test_due_between_stops_at_its_limit() -> None:
    assert len(due_between(schedule("* * * * *"), at("2026-01-01"), at("2027-01-01"), limit=7)) == 7


def test_jitter_moves_the_start_by_the_same_share_every_night_and_never_the_key() -> None:
    plain = schedule("30 2 * * *")
    late = schedule("30 2 * * *", jitter=timedelta(minutes=10))
    one, two = due_between(late, at("2026-06-01T12:00"), at("2026-06-03T12:00"))
    assert [one.fire_key, two.fire_key] == ["2026-06-02T02:30", "2026-06-03T02:30"]
    assert two.at - one.at == timedelta(days=1)
    assert one.at - next_due(plain, at("2026-06-01T12:00")).at == delay(late) == timedelta(seconds=98)


@given(name=st.text(min_size=1), jitter=st.integers(0, 86400).map(lambda seconds: timedelta(seconds=seconds)))
@settings(deadline=None)
def test_delay_is_never_more_than_the_jitter(name: str, jitter: timedelta) -> None:
    assert timedelta(0) <= delay(schedule("0 0 * * *", name=name, jitter=jitter)) <= jitter


CRONS = ["30 2 * * *", "*/30 1 * * *", "0 * * * *", "0,20,40 1-3 * * *", "*/7 * * * 1-5", "15 2 L * *", "* 2 * * 7"]
ZONES = [BERLIN, NEW_YORK, LORD_HOWE, ZoneInfo("UTC"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")]


@given(
    cron=st.sampled_from(CRONS),
    zone=st.sampled_from(ZONES),
    after=st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    jitter=st.sampled_from([timedelta(0), timedelta(minutes=10), timedelta(hours=3)]),
)
@settings(deadline=None, max_examples=300)
def test_whoever_starts_the_sum_wherever_comes_to_the_same_dues(
    cron: str, zone: ZoneInfo, after: datetime, jitter: timedelta
) -> None:
    one = schedule(cron, zone, jitter)
    dues = due_between(one, after, after + timedelta(days=9), limit=20)
    assert dues == sorted(dues, key=lambda due: due.at)
    assert len({due.fire_key for due in dues}) == len(dues)
    for earlier, later in pairwise(dues):
        middle = earlier.at + (later.at - earlier.at) / 2
        assert next_due(one, middle) == later
        assert latest_due(one, middle - timedelta(days=60), middle, limit=1) == [earlier]
