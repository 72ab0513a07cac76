"""What is made up for after a gap, and which night a caller's clock means."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.fires import MOST_FIRES, NAMED_SKIPS, Fires, calls_missed, plan_fires, tonight
from schedules.schedule import CatchUp, Schedule, due_between, next_due

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = Schedule(name="nightly", cron="30 2 * * *", job="certificates", zone=ZoneInfo("UTC"))
LAST = datetime(2026, 5, 1, 2, 30, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)


def keys(fires: Fires) -> tuple[list[str], list[tuple[str, str]]]:
    return [due.fire_key[5:10] for due in fires.fire], [(skip.due.fire_key[5:10], skip.reason) for skip in fires.skip]


def after_three_nights(catch_up: CatchUp, late: timedelta, start_deadline: timedelta | None = None) -> Fires:
    schedule = replace(NIGHTLY, catch_up=catch_up, start_deadline=start_deadline)
    return plan_fires(schedule, LAST, LAST + timedelta(days=3) + late)


def test_nothing_is_due_before_its_time() -> None:
    assert plan_fires(NIGHTLY, LAST, LAST + timedelta(hours=23)) == Fires()


def test_fire_that_is_due_now_is_fired_whatever_the_catch_up() -> None:
    for catch_up in ("skip", "one", "all"):
        fires = plan_fires(replace(NIGHTLY, catch_up=catch_up), LAST, LAST + timedelta(days=1))
        assert keys(fires) == (["05-02"], [])


def test_skip_lets_missed_fires_pass_and_runs_the_one_that_is_due_now() -> None:
    assert keys(after_three_nights("skip", A_MINUTE)) == (["05-04"], [("05-02", "missed"), ("05-03", "missed")])


def test_skip_lets_the_latest_pass_too_once_it_is_late() -> None:
    missed = [("05-02", "missed"), ("05-03", "missed"), ("05-04", "missed")]
    assert keys(after_three_nights("skip", timedelta(hours=1))) == ([], missed)


def test_one_makes_up_for_the_latest_alone() -> None:
    superseded = [("05-02", "superseded"), ("05-03", "superseded")]
    assert keys(after_three_nights("one", timedelta(hours=1))) == (["05-04"], superseded)


def test_all_makes_up_for_every_one_earliest_first() -> None:
    assert keys(after_three_nights("all", timedelta(hours=1))) == (["05-02", "05-03", "05-04"], [])


@pytest.mark.parametrize(
    ("catch_up", "fired", "skipped"),
    [
        ("one", [], [("05-02", "superseded"), ("05-03", "superseded"), ("05-04", "too_late")]),
        ("all", [], [("05-02", "too_late"), ("05-03", "too_late"), ("05-04", "too_late")]),
    ],
)
def test_fire_past_its_start_deadline_is_skipped(catch_up: CatchUp, fired: list[str], skipped: list[tuple[str, str]]) -> None:
    assert keys(after_three_nights(catch_up, timedelta(hours=2), timedelta(hours=1))) == (fired, skipped)


def test_fire_within_its_start_deadline_is_fired() -> None:
    assert keys(after_three_nights("one", timedelta(hours=1), timedelta(hours=1)))[0] == ["05-04"]


def test_all_is_bounded_and_the_oldest_are_skipped_with_a_reason() -> None:
    fires = plan_fires(replace(NIGHTLY, catch_up="all"), LAST, LAST + timedelta(days=MOST_FIRES + 2))
    assert len(fires.fire) == MOST_FIRES
    assert keys(fires)[1] == [("05-02", "too_many"), ("05-03", "too_many")]
    assert "100" in fires.skip[0].detail


def test_a_year_without_a_scheduler_names_the_latest_misses_and_where_they_begin() -> None:
    minutely = replace(NIGHTLY, cron="* * * * *")
    fires = plan_fires(minutely, LAST - timedelta(days=365), LAST)
    assert len(fires.fire) + len(fires.skip) == NAMED_SKIPS
    assert fires.unnamed_before == fires.skip[0].due.at == LAST - (NAMED_SKIPS - 1) * A_MINUTE


def test_schedule_that_n8n_triggers_fires_nothing_itself() -> None:
    assert plan_fires(replace(NIGHTLY, trigger="n8n"), LAST, LAST + timedelta(days=3)) == Fires()


def test_call_of_n8n_is_missed_once_when_its_deadline_has_run_out() -> None:
    schedule = replace(NIGHTLY, trigger="n8n", start_deadline=timedelta(hours=1))
    due = LAST + timedelta(days=1)
    too_early = due + timedelta(minutes=59)
    assert calls_missed(schedule, LAST + timedelta(hours=2), too_early) == []
    assert [missed.at for missed in calls_missed(schedule, too_early, due + timedelta(hours=1))] == [due]
    assert calls_missed(schedule, due + timedelta(hours=1), due + timedelta(hours=2)) == []


@given(
    last=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    gap=st.timedeltas(timedelta(0), timedelta(days=20)),
    catch_up=st.sampled_from(["skip", "one", "all"]),
    cron=st.sampled_from(["30 2 * * *", "*/30 1 * * *", "0 */4 * * *"]),
    deadline=st.sampled_from([None, timedelta(hours=1), timedelta(days=2)]),
)
@settings(deadline=None)
def test_every_due_is_either_fired_or_skipped_and_never_both(
    last: datetime, gap: timedelta, catch_up: CatchUp, cron: str, deadline: timedelta | None
) -> None:
    schedule = replace(NIGHTLY, zone=BERLIN, cron=cron, catch_up=catch_up, start_deadline=deadline)
    fires = plan_fires(schedule, last, last + gap)
    planned = [*fires.fire, *(skip.due for skip in fires.skip)]
    assert sorted(planned, key=lambda due: due.at) == due_between(schedule, last, last + gap)


def test_caller_halfway_between_two_nights_joins_the_earlier() -> None:
    noon = LAST + timedelta(hours=12)
    assert tonight(NIGHTLY, noon).fire_key == "2026-05-01T02:30"
    assert tonight(NIGHTLY, noon + timedelta.resolution).fire_key == "2026-05-02T02:30"


def test_night_joined_carries_the_jitter_and_the_key_that_the_scheduler_uses() -> None:
    schedule = replace(NIGHTLY, jitter=timedelta(hours=1))
    assert tonight(schedule, LAST) == next_due(schedule, LAST - timedelta(hours=1))


def test_rarest_cron_has_a_night_too() -> None:
    rare = replace(NIGHTLY, cron="0 0 29 2 sat#5")
    assert tonight(rare, LAST).fire_key == "2020-02-29T00:00"


@given(
    around=st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    zone=st.sampled_from([BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("UTC")]),
    cron=st.sampled_from(["30 2 * * *", "30 1 * * *", "0 0 * * 1-5", "15 2 1 * *"]),
    off=st.timedeltas(timedelta(hours=-11), timedelta(hours=11)),
)
@settings(deadline=None, max_examples=300)
def test_clocks_early_or_late_by_hours_mean_the_same_night(around: datetime, zone: ZoneInfo, cron: str, off: timedelta) -> None:
    schedule = replace(NIGHTLY, zone=zone, cron=cron)
    due = next_due(schedule, around)
    assert tonight(schedule, due.at + off) == due
