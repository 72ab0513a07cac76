"""What the scheduler does about schedules that are due: fires, or writes why not."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from schedules.fires import tonight
from schedules.schedule import Selector
from tests.scheduler.stage import CLOCKWORK, Stage, nightly
from worker.flow import execute_run, nights, verbs
from worker.flow.nights.selecting import draw_up
from worker.flow.nights.skipping import NotRun
from worker.ledger import audit_rows, outbox, schedules
from worker.records import RunState, Topic, Trigger

StageWith = Callable[..., Stage]
RAN = ("2026-03-11T02:30", "queued", None)


def finish(stage: Stage) -> None:
    for run in stage.runs():
        if run.state is RunState.QUEUED:
            execute_run(stage.shift, run.id, run.job, "worker-1")


def test_a_schedule_that_is_due_becomes_one_batch_of_queued_runs_and_is_rung(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    stage.step_at("02:29")
    assert stage.batches() == []

    stage.step_at("02:30")
    stage.step_at("02:31")

    [batch] = stage.batches()
    assert (batch.schedule, batch.fire_key, batch.trigger, batch.total) == ("nightly", "2026-03-11T02:30", Trigger.SCHEDULE, 1)
    assert [run.id for run in stage.rung] == [run.id for run in stage.runs()]
    with stage.ledger.read() as connection:
        assert set(outbox.depth(connection)) == {Topic.BELL}
        [row] = schedules.listing(connection)
    assert (row.last_fire_key, row.cursor_at) == ("2026-03-11T02:30", batch.due_at)


def test_batch_and_cursor_move_in_one_transaction(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    stage.at("02:30")
    with stage.ledger.transaction() as tx:
        tx.exec_driver_sql("DROP TABLE outbox")

    with pytest.raises(Exception, match="outbox"):
        stage.scheduler.step()

    assert stage.batches() == []
    with stage.ledger.read() as connection:
        assert schedules.listing(connection)[0].last_fire_key is None


def test_two_schedulers_with_the_same_plan_fire_once(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    [schedule] = stage.known
    seen = stage.now
    stage.at("02:30")
    due = tonight(schedule, stage.now)

    first = nights.fire(stage.shift, schedule, due, CLOCKWORK, seen=seen)
    second = nights.fire(stage.shift, schedule, due, CLOCKWORK, seen=seen)

    assert first is not None
    assert second is None
    assert len(stage.batches()) == 1


@pytest.mark.parametrize(
    ("select", "entries"),
    [
        (Selector(), [["a"], ["b"], ["c"]]),
        (Selector(entries=("b", "c")), [["b"], ["c"]]),
        (Selector(environments=("production",)), [["a"], ["b"]]),
        (Selector(owners=("ops",)), [["a"], ["c"]]),
        (Selector(labels={"tier": "1"}), [["a"]]),
        (Selector(environments=("production",), owners=("ops",)), [["a"]]),
    ],
)
def test_runs_are_those_of_the_entries_that_the_selector_accepts(
    stage_with: StageWith, select: Selector, entries: list[list[str]]
) -> None:
    stage = stage_with(nightly(job="hosts", select=select))
    stage.step_at("02:30")
    assert [run.params["entries"] for run in stage.runs()] == entries
    assert stage.batches()[0].entries_expected == len(entries)


def test_nothing_selected_is_a_skipped_run_with_its_reason(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", select=Selector(owners=("nobody",))))
    stage.step_at("02:30")
    [run] = stage.runs()
    assert (run.state, run.reason, run.entries_expected) == (RunState.SKIPPED, "nothing_selected", 0)
    assert run.summary == "nightly selects none of the 3 hosts entries"
    [batch] = stage.batches()
    assert (batch.total, batch.remaining, batch.ended_at) == (1, 0, batch.created_at)
    with stage.ledger.read() as connection:
        [told] = [row.entry for row in audit_rows.recent(connection) if row.entry.verb == "run.skipped"]
    assert (told.object_id, told.facts["reason"], told.facts["fire_key"]) == (run.id, "nothing_selected", batch.fire_key)
    assert stage.rung == []


def test_a_job_that_is_gone_is_a_skipped_run_that_names_the_nearest(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="host"))
    stage.step_at("02:30")
    [run] = stage.runs()
    assert (run.job, run.state, run.reason) == ("host", RunState.SKIPPED, "unknown_job")
    assert "did you mean 'hosts'?" in run.summary


def test_parameters_that_the_job_no_longer_takes_are_a_skipped_run(stage_with: StageWith) -> None:
    stage = stage_with(nightly(parameters={"depth": 3}))
    stage.step_at("02:30")
    assert stage.told() == [("2026-03-11T02:30", "skipped", "invalid_parameter")]


def test_with_overlap_forbid_a_fire_is_skipped_while_the_batch_before_it_runs(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.step_at("02:30")
    stage.step_at("02:30", day=12)
    skipped = stage.runs()[-1]
    assert (skipped.state, skipped.reason, skipped.entries_expected) == (RunState.SKIPPED, "overlap", 3)
    assert skipped.summary == 'the batch of 2026-03-11T02:30 still runs, and `overlap` is "forbid"'

    finish(stage)
    stage.step_at("02:30", day=13)
    assert [state for key, state, _ in stage.told() if key == "2026-03-13T02:30"] == ["queued"] * 3


def test_with_overlap_queue_a_fire_waits_for_the_end_of_the_batch_before_it(stage_with: StageWith) -> None:
    stage = stage_with(nightly(overlap="queue"))
    stage.step_at("02:30")
    stage.step_at("02:30", day=12)
    stage.step_at("07:00", day=12)
    assert stage.told() == [RAN]

    finish(stage)
    stage.step_at("07:01", day=12)
    assert [key for key, *_ in stage.told()] == ["2026-03-11T02:30", "2026-03-12T02:30"]


def test_fires_that_wait_in_a_queue_obey_catch_up(stage_with: StageWith) -> None:
    stage = stage_with(nightly("hourly", cron="0 * * * *", overlap="queue", catch_up="one"))
    stage.step_at("01:00")
    stage.step_at("02:00")
    stage.step_at("03:00")
    finish(stage)
    stage.step_at("03:01")
    assert [(state, reason) for _, state, reason in stage.told()] == [
        ("succeeded", None),
        ("skipped", "superseded"),
        ("queued", None),
    ]
    assert "while it waited for the batch before it" in stage.runs()[1].summary


def test_with_overlap_replace_what_still_runs_of_the_batch_before_is_cancelled(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", overlap="replace"))
    stage.step_at("02:30")
    stage.step_at("02:30", day=12)
    assert [state for _, state, _ in stage.told()] == ["cancelled"] * 3 + ["queued"] * 3
    assert "replaced by the fire 2026-03-12T02:30 of nightly" in stage.runs()[0].summary


def test_replacing_that_a_dead_scheduler_left_undone_is_done_by_the_next_step(stage_with: StageWith) -> None:
    stage = stage_with(nightly(overlap="queue"))
    stage.step_at("02:30")
    [schedule] = stage.known
    stage.put_in_force(nightly(overlap="replace"))
    seen = stage.batches()[0].due_at
    assert seen is not None
    stage.at("02:30", day=12)
    # As if the process died between the commit of the new batch and the cancelling of the old one.
    due = tonight(schedule, stage.now)
    with stage.ledger.transaction() as tx:
        made = nights.firing._start(stage.shift, tx, stage.known[0], due, CLOCKWORK, draw_up(stage.shift, schedule))
        schedules.advance(tx, "nightly", seen=seen, to=due.at)
    assert made is not None

    stage.step_at("02:31", day=12)

    assert [state for _, state, _ in stage.told()] == ["cancelled", "queued"]


def test_a_fire_that_could_not_start_by_its_deadline_is_skipped_as_too_late(stage_with: StageWith) -> None:
    stage = stage_with(nightly(start_deadline=timedelta(hours=1), job="hosts"))
    stage.step_at("03:31")
    assert stage.told() == [("2026-03-11T02:30", "skipped", "too_late")]
    assert stage.batches()[0].entries_expected == 3


def test_missed_nights_are_told_one_by_one_and_the_latest_runs(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", select=Selector(entries=("a",))))
    stage.step_at("05:00", day=13)
    assert stage.told() == [
        ("2026-03-11T02:30", "skipped", "superseded"),
        ("2026-03-12T02:30", "skipped", "superseded"),
        ("2026-03-13T02:30", "queued", None),
    ]
    assert [batch.entries_expected for batch in stage.batches()] == [0, 0, 1]


def test_with_catch_up_skip_the_missed_night_is_expected_and_not_run(stage_with: StageWith) -> None:
    stage = stage_with(nightly(catch_up="skip", job="hosts"))
    stage.step_at("05:00")
    assert stage.told() == [("2026-03-11T02:30", "skipped", "missed")]
    assert stage.batches()[0].entries_expected == 3


def test_misses_too_many_to_list_are_one_skipped_run_that_says_until_when(stage_with: StageWith) -> None:
    stage = stage_with(nightly("minutely", cron="* * * * *", catch_up="one"))
    stage.step_at("18:00")
    told = stage.told()
    assert len(told) == 1 + 1000
    assert told[0] == ("2026-03-10T23:01Z", "skipped", "missed")
    assert stage.runs()[0].summary.startswith("missed, with all others due before 2026-03-11 00:21 UTC")
    assert told[1][0] == "2026-03-11T00:21Z"
    assert told[-1] == ("2026-03-11T17:00Z", "queued", None)


def test_a_paused_schedule_does_not_fire_and_goes_on_with_the_next_once_resumed(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    verbs.pause(stage.shift, "nightly", CLOCKWORK, "data centre moves")
    stage.step_at("02:30")
    verbs.resume(stage.shift, "nightly", CLOCKWORK)
    stage.step_at("02:31")
    assert stage.batches() == []

    stage.step_at("02:30", day=12)
    assert [key for key, *_ in stage.told()] == ["2026-03-12T02:30"]


@pytest.mark.parametrize("verb", ["fire", "skip"])
def test_a_plan_made_before_the_pause_is_refused(stage_with: StageWith, verb: str) -> None:
    stage = stage_with(nightly())
    [schedule], seen = stage.known, stage.now
    stage.at("02:30")
    due = tonight(schedule, stage.now)
    verbs.pause(stage.shift, "nightly", CLOCKWORK, "data centre moves")
    if verb == "fire":
        made = nights.fire(stage.shift, schedule, due, CLOCKWORK, seen=seen)
    else:
        made = nights.skip(stage.shift, schedule, due, NotRun("missed", ""), CLOCKWORK, seen=seen)
    assert made is None
    assert stage.batches() == []


def test_a_schedule_that_the_configuration_dropped_does_not_fire(stage_with: StageWith) -> None:
    stage = stage_with(nightly())
    stage.put_in_force()
    stage.step_at("02:30")
    assert stage.batches() == []


def test_trouble_with_one_schedule_does_not_keep_the_others_from_firing(stage_with: StageWith) -> None:
    stage = stage_with(nightly("broken", cron="never"), nightly())
    stage.at("02:30")
    with pytest.raises(ValueError, match="fields"):
        stage.scheduler.step()
    assert stage.told() == [RAN]
