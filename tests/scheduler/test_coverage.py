"""What a night covered: each entry once, by its newest run."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifications.digest import Night, digest_message
from schedules.schedule import Selector
from tasks.context import Context
from tasks.job import Job, Params
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tests.scheduler.stage import CLOCKWORK, CONSOLE, Stage, nightly
from worker.flow import Order, Request, enqueue, execute_run, nights
from worker.flow.verbs import acknowledge, mute
from worker.ledger import findings, schedules
from worker.records import Actor, ActorKind, RunState, Trigger

StageWith = Callable[..., Stage]
ANA = Actor(ActorKind.PERSON, "ana")
TROUBLE = Finding(
    entry="a", key="k", subject="a", reason="expired", severity=Severity.HIGH, title="a has expired", detail="", evidence={}
)
UNTOLD = CannotTell(entry="b", subject="b", reason="connect_timeout", stage="connect", detail="no answer")


def answering(stage: Stage, *answers: Answer) -> None:
    def check(ctx: Context, params: Params) -> Iterable[Answer]:
        named = {answer.entry: answer for answer in answers}
        return [named.get(entry.name, Ok(entry=entry.name, subject=entry.name)) for entry in ctx.selected]

    before = stage.jobs["hosts"]
    stage.jobs["hosts"] = Job(name="hosts", summary="", check=check, params=Params, entry=before.entry)


def work(stage: Stage) -> None:
    for run in stage.runs():
        if run.state is RunState.QUEUED:
            execute_run(stage.shift, run.id, run.job, "worker-1")


def by_hand(stage: Stage, *entries: str, at_work: bool = True) -> None:
    params: dict[str, Any] = {"entries": list(entries)} if entries else {}
    enqueue(stage.shift, Request(orders=[Order(job="hosts", params=params)], trigger=Trigger.CLI, actor=ANA))
    if at_work:
        work(stage)


def so_far(stage: Stage) -> Night:
    stage.now += timedelta(minutes=1)
    return nights.night_so_far(stage.shift, stage.routing, CONSOLE)


def test_runs_asked_for_by_hand_again_and_again_do_not_make_more_entries(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.step_at("02:30")
    work(stage)
    for _ in range(3):
        stage.now += timedelta(minutes=5)
        by_hand(stage, "a", "b")
    night = so_far(stage)
    assert (night.expected, night.looked_at, night.ok, night.green) == (3, 3, 3, True)
    assert digest_message(night).title == "Night of 11 Mar: all 3 ok"


def test_a_schedule_of_every_minute_counts_its_entries_once(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", cron="* * * * *"))
    for minute in range(5):
        stage.step_at(f"02:{30 + minute}")
        work(stage)
    night = so_far(stage)
    assert (night.expected, night.looked_at, night.ok) == (3, 3, 3)


def test_an_entry_with_an_open_finding_or_that_nobody_could_tell_of_is_not_ok(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    answering(stage, TROUBLE, UNTOLD)
    stage.step_at("02:30")
    work(stage)
    by_hand(stage)
    night = so_far(stage)
    assert (night.expected, night.looked_at, night.ok, night.green) == (3, 3, 1, False)
    assert digest_message(night).title == "Night of 11 Mar: 1 new finding, 1 could not tell, 1 ok"


def test_a_run_on_its_way_hides_no_look_that_was_taken_and_alone_is_no_look(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.step_at("02:30")
    waiting = so_far(stage)
    assert (waiting.expected, waiting.looked_at, waiting.ok, waiting.complete) == (3, 0, 0, False)
    work(stage)
    stage.now += timedelta(hours=1)
    by_hand(stage, "a", at_work=False)
    again = so_far(stage)
    assert (again.expected, again.looked_at, again.ok, again.complete) == (3, 3, 3, True)


def test_a_night_whose_every_fire_was_skipped_is_incomplete_and_names_the_entries(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", start_deadline=timedelta(minutes=1)))
    stage.step_at("03:30")
    night = so_far(stage)
    assert (night.expected, night.looked_at, night.ok, night.complete) == (3, 0, 0, False)
    assert stage.runs()[0].params["entries"] == ["a", "b", "c"]


def test_what_was_due_and_that_no_scheduler_dealt_with_is_expected(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.at("02:00")
    by_hand(stage, "a")
    stage.at("02:31")
    night = so_far(stage)
    assert (night.expected, night.looked_at, night.complete) == (3, 1, False)
    assert night.incomplete == ["2 entries of hosts: nightly was due and did not run"]
    with stage.ledger.transaction() as tx:
        schedules.pause(tx, "nightly", actor="person:ana", reason="moving", at=stage.now)
    assert so_far(stage).expected == 1


def test_a_call_by_n8n_that_was_missed_leaves_its_entries_expected(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", trigger="n8n", start_deadline=timedelta(hours=1)))
    stage.at("02:00")
    by_hand(stage, "a")
    stage.step_at("03:00")
    assert so_far(stage).expected == 1
    stage.step_at("04:00")
    night = so_far(stage)
    assert (night.expected, night.looked_at) == (3, 1)


def test_a_job_without_a_table_and_a_target_of_a_request_count_by_name(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="touch"))
    stage.step_at("02:30")
    stage.jobs["hosts"] = replace(stage.jobs["hosts"], ad_hoc=True)
    hosts = Order(job="hosts", params={"targets": [{"name": "laptop"}]})
    enqueue(stage.shift, Request(orders=[hosts, hosts], trigger=Trigger.CLI, actor=ANA))
    work(stage)
    night = so_far(stage)
    assert (night.expected, night.looked_at, night.ok) == (2, 2, 2)


def test_entries_that_no_schedule_selects_are_named(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", select=Selector(environments=("production",))))
    stage.step_at("02:30")
    work(stage)
    closed = nights.close_night_now(stage.shift, stage.routing, CONSOLE, CLOCKWORK)
    assert closed is None  # nothing came after the first batch
    night = so_far(stage)
    assert night.unscheduled == ["hosts/c"]
    [told] = [field.value for field in digest_message(night).fields if field.label == "Watched by no schedule"]
    assert told == "hosts/c"


@pytest.mark.parametrize("verb", ["acknowledge", "mute"])
def test_what_somebody_dealt_with_is_not_new_and_its_entry_is_not_ok(stage_with: StageWith, verb: str) -> None:
    stage = stage_with(nightly(job="hosts"))
    answering(stage, TROUBLE)
    stage.step_at("02:30")
    work(stage)
    with stage.ledger.read() as connection:
        [row] = findings.listing(connection)
    if verb == "acknowledge":
        acknowledge(stage.shift, row.id, ANA, "on it")
    else:
        mute(stage.shift, row.id, ANA, "known", stage.now + timedelta(days=7))
    night = so_far(stage)
    message = digest_message(night)
    assert (night.ok, night.green, night.new) == (2, False, [])
    if verb == "acknowledge":
        [section] = message.sections
        assert section.heading == "Still open (1)"
        assert section.lines[0].text == "high: a has expired [expired] (production, ops), acknowledged by person:ana"
    else:
        assert (message.title, message.severity) == ("Night of 11 Mar: 1 muted, 2 ok", "info")
