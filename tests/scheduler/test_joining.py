"""A night has one fire key, whoever rings first."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.scheduler.stage import CLOCKWORK, N8N, Stage, nightly
from worker.flow import verbs
from worker.flow.errors import Forbidden, Invalid, NotFound, Refused
from worker.flow.nights import join_night
from worker.ledger import findings, outbox
from worker.records import FindingState, RunState, Topic, Trigger

StageWith = Callable[..., Stage]
BY_N8N = nightly("by-n8n", trigger="n8n", start_deadline=timedelta(hours=1))


def findings_of(stage: Stage) -> list[tuple[str, str, FindingState, int]]:
    with stage.ledger.read() as connection:
        rows = findings.listing(connection, states=tuple(FindingState))
    return [(row.job, row.key, row.state, row.times_seen) for row in rows if row.entry != "night"]


def test_a_call_before_the_scheduler_starts_the_night_and_the_scheduler_joins_it(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    stage.at("02:25")
    made = join_night(stage.shift, "nightly", N8N)
    stage.step_at("02:30")
    stage.step_at("02:31")

    assert not made.joined
    assert (made.batch.trigger, made.batch.fire_key) == (Trigger.N8N, "2026-03-11T02:30")
    assert [batch.id for batch in stage.batches()] == [made.batch.id]
    assert len(stage.rung) == 1


def test_a_call_after_the_scheduler_joins_the_night(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    stage.step_at("02:30")
    stage.at("02:35")
    made = join_night(stage.shift, "nightly", N8N)
    assert made.joined
    assert [batch.id for batch in stage.batches()] == [made.batch.id]
    assert [run.id for run in made.runs] == [run.id for run in stage.rung]


def test_a_second_call_joins_the_first(stage_with: StageWith) -> None:
    stage = stage_with(BY_N8N)
    stage.at("02:30")
    assert [join_night(stage.shift, "by-n8n", N8N).joined for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(("name", "hint"), [("nightli", "did you mean 'nightly'?"), ("weekly", "schedules are nightly")])
def test_an_unknown_schedule_is_refused_with_the_nearest_name(stage_with: StageWith, name: str, hint: str) -> None:
    stage = stage_with(nightly())
    with pytest.raises(NotFound, match=f"no schedule is called '{name}'.*") as refusal:
        join_night(stage.shift, name, N8N)
    assert hint in str(refusal.value)
    assert (refusal.value.code, refusal.value.field) == ("unknown_schedule", "schedule")


def test_a_schedule_that_another_process_just_dropped_is_refused(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    known = stage.known
    stage.put_in_force()
    stage.known = known
    with pytest.raises(NotFound, match="nightly"):
        join_night(stage.shift, "nightly", N8N)


def test_a_paused_schedule_is_refused_and_says_by_whom(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    verbs.pause(stage.shift, "nightly", CLOCKWORK, "data centre moves")
    with pytest.raises(Refused, match=r"paused by scheduler:scheduler \(data centre moves\)") as refusal:
        join_night(stage.shift, "nightly", N8N)
    assert refusal.value.code == "schedule_paused"
    assert stage.batches() == []


def test_the_permit_is_asked_for_every_environment_before_anything_is_written(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    asked: list[tuple[str, str, bool]] = []

    def permit(job: str, environment: str, ad_hoc: bool) -> None:  # noqa: FBT001 - the shape of a Permit
        asked.append((job, environment, ad_hoc))
        if environment == "staging":
            raise Forbidden("not staging")

    with pytest.raises(Forbidden):
        join_night(stage.shift, "nightly", N8N, permit)
    assert asked == [("hosts", "production", False), ("hosts", "production", False), ("hosts", "staging", False)]
    assert stage.batches() == []


def test_a_night_that_selects_nothing_is_refused_to_the_caller(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.table = {}
    with pytest.raises(Invalid, match="selects none") as refusal:
        join_night(stage.shift, "nightly", N8N)
    assert refusal.value.code == "nothing_selected"
    assert stage.batches() == []


def test_with_overlap_queue_a_call_is_refused_while_the_night_before_still_runs(stage_with: StageWith) -> None:
    stage = stage_with(nightly(overlap="queue"))
    stage.step_at("02:30")
    stage.at("02:25", day=12)
    with pytest.raises(Refused, match="call again later") as refusal:
        join_night(stage.shift, "nightly", N8N)
    assert refusal.value.code == "overlap"
    assert len(stage.batches()) == 1


def test_with_overlap_forbid_a_call_gets_a_skipped_run(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    stage.step_at("02:30")
    stage.at("02:25", day=12)
    made = join_night(stage.shift, "nightly", N8N)
    assert [(run.state, run.reason, run.trigger) for run in made.runs] == [(RunState.SKIPPED, "overlap", Trigger.N8N)]


def test_with_overlap_replace_a_call_cancels_the_night_before(stage_with: StageWith) -> None:
    stage = stage_with(nightly(overlap="replace"))
    stage.step_at("02:30")
    stage.at("02:25", day=12)
    join_night(stage.shift, "nightly", N8N)
    assert [run.state for run in stage.runs()] == [RunState.CANCELLED, RunState.QUEUED]


def test_a_schedule_of_n8n_fires_nothing_by_itself(stage_with: StageWith) -> None:
    stage = stage_with(BY_N8N)
    stage.step_at("03:29")
    assert stage.batches() == []
    assert findings_of(stage) == []


def test_a_call_that_was_not_seen_by_its_deadline_is_a_finding_until_the_next_is_seen(stage_with: StageWith) -> None:
    stage = stage_with(BY_N8N)
    key = "n8n_call_missed:by-n8n"
    stage.step_at("03:30")
    stage.step_at("03:31")
    assert findings_of(stage) == [("nightshift", key, FindingState.OPEN, 1)]
    with stage.ledger.read() as connection:
        [row] = findings.listing(connection)
        [message] = outbox.due(connection, Topic.MESSAGE, stage.now, 10)
    assert (row.entry, row.severity, row.reason, row.environment) == ("by-n8n", "high", "n8n_call_missed", "default")
    assert "2026-03-11T02:30" in row.detail
    assert (message.subject, message.payload["kind"]) == (row.id, "finding_opened")

    stage.step_at("03:30", day=12)
    assert findings_of(stage) == [("nightshift", key, FindingState.OPEN, 2)]

    stage.at("02:30", day=13)
    join_night(stage.shift, "by-n8n", N8N)
    stage.step_at("03:30", day=13)
    assert findings_of(stage) == [("nightshift", key, FindingState.RESOLVED, 2)]

    stage.step_at("03:30", day=14)
    assert findings_of(stage) == [("nightshift", key, FindingState.OPEN, 1)]
    with stage.ledger.read() as connection:
        kinds = [one.payload["kind"] for one in outbox.due(connection, Topic.MESSAGE, stage.now, 10) if one.subject == row.id]
    assert kinds.count("finding_opened") == 2
    assert kinds.count("finding_resolved") == 1


def test_a_call_seen_in_time_leaves_no_finding(stage_with: StageWith) -> None:
    stage = stage_with(BY_N8N)
    stage.at("02:31")
    join_night(stage.shift, "by-n8n", N8N)
    stage.step_at("03:30")
    assert findings_of(stage) == []


def test_a_paused_schedule_of_n8n_misses_no_call(stage_with: StageWith) -> None:
    stage = stage_with(BY_N8N)
    verbs.pause(stage.shift, "by-n8n", CLOCKWORK, "data centre moves")
    stage.step_at("03:00")
    verbs.resume(stage.shift, "by-n8n", CLOCKWORK)
    stage.step_at("03:30")
    assert findings_of(stage) == []
