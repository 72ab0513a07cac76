"""Flower and `celery inspect` tell what the ledger says, state by state."""

import os
import signal
from collections.abc import Iterator

import pytest
from celery import states
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as NotYet
from celery.result import AsyncResult
from sqlalchemy import insert

from tests.servers import RedisServer
from tests.support.chaos_worker import gone
from tests.support.stack import ASKER, Flower, Stack
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.flow.verbs import resolve
from worker.ledger.tables import EFFECTS
from worker.queue.telling import PREFIX, CannotTell, NeedsAttention, RunFailed
from worker.records import RunState, Verdict

BY_FLOWER = "flower:flower"
TOLD = ("name", "args", "kwargs", "result", "exception", "worker")


def result(stack: Stack, run_id: str) -> AsyncResult:
    return AsyncResult(run_id, app=stack.house.celery)


def ring(stack: Stack, run_id: str) -> None:
    """Once more."""
    stack.house.bell.ring([stack.run(run_id)])


@pytest.fixture
def full(stack: Stack, flower: Flower) -> Iterator[list[str]]:
    """Both places of the worker are taken."""
    holders = [stack.ask(waits=True) for _ in range(2)]
    for holder in holders:
        stack.at_the_gate(holder)
    yield holders
    for holder in holders:
        stack.open(holder)
        stack.becomes(holder, RunState.SUCCEEDED)


def test_a_succeeded_run_is_a_success_under_its_jobs_name_with_its_summary(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(note="before the audit", api_token="hunter2")
    shown = flower.shows(run_id, "SUCCESS")
    run = stack.run(run_id)
    assert run.state is RunState.SUCCEEDED
    assert (shown["name"], shown["worker"], shown["result"]) == ("nightshift.jobs.gate", "one@here", repr(run.summary))
    assert run.worker == "one@here"
    assert '"note": "before the audit"' in shown["kwargs"]
    assert '"api_token": "***"' in shown["kwargs"]
    assert "hunter2" not in str(shown)


def test_a_queued_run_is_at_most_received(stack: Stack, flower: Flower, full: list[str]) -> None:
    run_id = stack.ask()
    assert stack.run(run_id).state is RunState.QUEUED
    assert flower.state(run_id) in {None, "RECEIVED"}
    assert result(stack, run_id).state == states.PENDING


def test_a_running_run_is_started_and_its_worker_says_so(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(waits=True)
    pid = stack.at_the_gate(run_id)
    flower.shows(run_id, "STARTED")
    assert stack.run(run_id).state is RunState.RUNNING
    active = [task for task in stack.inspect("active") if task["id"] == run_id]
    assert [(task["name"], task["args"], task["worker_pid"]) for task in active] == [(PREFIX + "gate", [run_id], pid)]
    assert result(stack, run_id).state == states.STARTED
    stack.open(run_id)
    flower.shows(run_id, "SUCCESS")


def test_a_failed_run_is_a_failure_with_its_reason(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(ends="error")
    shown = flower.shows(run_id, "FAILURE")
    run = stack.run(run_id)
    assert (run.state, run.reason) == (RunState.FAILED, "job_error")
    assert shown["exception"] == repr(RunFailed(f"job_error: {run.summary}"))
    assert "the gate is rusty" in shown["exception"]


def test_a_run_that_could_tell_nothing_is_a_failure(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(ends="cannot_tell")
    shown = flower.shows(run_id, "FAILURE")
    run = stack.run(run_id)
    assert (run.state, run.verdict) == (RunState.SUCCEEDED, Verdict.CANNOT_TELL)
    assert shown["exception"] == repr(CannotTell(run.summary))


def test_a_run_over_its_time_limit_is_a_failure(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask("hasty", waits=True)
    flower.shows(run_id, "FAILURE")
    run = stack.run(run_id)
    assert (run.state, run.reason, run.attempts) == (RunState.FAILED, "time_limit", 1)


def test_a_run_deaf_to_its_time_limit_is_ended_with_its_child_and_fails_once(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask("hasty", waits=True, deaf=True)
    child = stack.at_the_gate(run_id)
    run = stack.becomes(run_id, RunState.FAILED)
    flower.shows(run_id, "FAILURE")
    assert (run.reason, run.attempts) == ("time_limit", 1)
    until("its child is ended", lambda: gone(child))


def test_a_run_cancelled_while_it_runs_is_revoked(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(waits=True)
    stack.at_the_gate(run_id)
    stack.cancel(run_id)
    flower.shows(run_id, "REVOKED")
    assert stack.run(run_id).state is RunState.CANCELLED


def test_a_run_cancelled_in_the_queue_is_revoked_when_its_bell_is_heard(stack: Stack, flower: Flower, full: list[str]) -> None:
    run_id = stack.ask()
    stack.cancel(run_id)
    for holder in full:
        stack.open(holder)
    flower.shows(run_id, "REVOKED")
    assert stack.run(run_id).state is RunState.CANCELLED


@pytest.mark.parametrize("options", ["", "?terminate=true&signal=SIGKILL"])
def test_flowers_button_cancels_a_queued_run_in_the_ledger(stack: Stack, flower: Flower, full: list[str], options: str) -> None:
    run_id = stack.ask()
    flower.post(f"/api/task/revoke/{run_id}{options}")
    stack.becomes(run_id, RunState.CANCELLED)
    flower.shows(run_id, "REVOKED")
    assert stack.audit(run_id) == [("run.cancelled", BY_FLOWER)]


@pytest.mark.parametrize("options", ["", "?terminate=true&signal=SIGKILL"])
def test_flowers_button_stops_a_running_run_at_its_boundary_and_kills_nobody(stack: Stack, flower: Flower, options: str) -> None:
    run_id = stack.ask(waits=True, deaf=True)
    child = stack.at_the_gate(run_id)
    flower.post(f"/api/task/revoke/{run_id}{options}")
    until("the cancel is asked for", lambda: stack.run(run_id).cancel_requested_by)
    flower.shows(run_id, "STARTED")
    assert stack.run(run_id).state is RunState.RUNNING
    assert not gone(child)
    stack.open(run_id)
    flower.shows(run_id, "SUCCESS")
    assert stack.run(run_id).state is RunState.SUCCEEDED, "it came to its end before it looked"
    assert ("run.cancel_requested", BY_FLOWER) in stack.audit(run_id)
    assert not gone(child)


def test_flowers_button_cancels_a_run_that_listens(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(waits=True)
    child = stack.at_the_gate(run_id)
    flower.post(f"/api/task/revoke/{run_id}?terminate=true")
    run = stack.becomes(run_id, RunState.CANCELLED)
    flower.shows(run_id, "REVOKED")
    assert run.cancel_requested_by == BY_FLOWER
    assert not gone(child)


def test_a_run_lost_between_intent_and_outcome_is_a_failure_and_a_retry_starts_afresh(stack: Stack, flower: Flower) -> None:
    """Revoked meanwhile as well: Celery would swallow every later bell of that id."""
    run_id = stack.ask(waits=True)
    lose_with_an_intent(stack, run_id)
    flower.post(f"/api/task/revoke/{run_id}")
    ring(stack, run_id)
    assert flower.shows(run_id, "FAILURE")["exception"] == repr(NeedsAttention(stack.run(run_id).summary))
    resolve(stack.house.shift, run_id, ASKER, "retry", "nothing had happened", process_ended=True)
    until("it works again", lambda: stack.run(run_id).state is RunState.RUNNING)
    flower.shows(run_id, "STARTED")
    stack.cancel(run_id)
    stack.becomes(run_id, RunState.CANCELLED)
    flower.shows(run_id, "REVOKED")


def lose_with_an_intent(stack: Stack, run_id: str) -> None:
    child = stack.at_the_gate(run_id)
    intent = {
        "run_id": run_id,
        "step": "s1",
        "key": f"{run_id}:s1",
        "fence": stack.run(run_id).fence,
        "process": {"host": "elsewhere", "pid": 7},
        "receipt": {},
    }
    with stack.house.ledger.transaction() as tx:
        tx.execute(insert(EFFECTS).values(**intent, intent_at=stack.house.shift.clock()))
    os.kill(child, signal.SIGKILL)
    stack.becomes(run_id, RunState.NEEDS_ATTENTION)


def test_a_run_whose_child_was_killed_is_started_until_the_sweeper_puts_it_back(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(waits=True)
    os.kill(stack.at_the_gate(run_id), signal.SIGKILL)
    assert flower.shows(run_id, "STARTED")
    stack.open(run_id)
    shown = flower.shows(run_id, "SUCCESS")
    run = stack.run(run_id)
    assert (run.state, run.attempts, shown["retries"]) == (RunState.SUCCEEDED, 2, 1)


def test_a_lost_claim_shows_what_the_new_owner_does(stack: Stack, flower: Flower) -> None:
    """The lease is ended under a living owner: what it says at its end is not what Flower shows."""
    run_id = stack.ask(waits=True, deaf=True)
    stack.at_the_gate(run_id)
    stack.steal(run_id)
    until("somebody else has it", lambda: stack.run(run_id).fence > 1)
    stack.open(run_id)
    run = stack.becomes(run_id, RunState.SUCCEEDED)
    flower.shows(run_id, "SUCCESS")
    assert run.fence == 2


def test_a_second_bell_while_it_runs_leaves_it_started(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(waits=True)
    stack.at_the_gate(run_id)
    heard = stack.heard(run_id)
    ring(stack, run_id)
    until("it is heard", lambda: stack.heard(run_id) > heard)
    flower.shows(run_id, "STARTED")
    assert stack.run(run_id).state is RunState.RUNNING
    stack.open(run_id)
    flower.shows(run_id, "SUCCESS")


def test_a_second_bell_after_the_end_tells_the_same_end_again_also_to_a_flower_that_missed_it(
    stack: Stack, flower: Flower
) -> None:
    ends = {stack.ask(ends=ends): state for ends, state in (("ok", "SUCCESS"), ("error", "FAILURE"), ("cannot_tell", "FAILURE"))}
    first = {run_id: flower.shows(run_id, state) for run_id, state in ends.items()}
    late = stack.flower("late")
    for run_id in ends:
        ring(stack, run_id)
    for run_id, state in ends.items():
        again = late.shows(run_id, state)
        for shown in (again, flower.shows(run_id, state)):
            assert [shown[key] for key in TOLD] == [first[run_id][key] for key in TOLD]
        assert stack.run(run_id).attempts == 1


def test_inspect_and_control_know_every_job_by_its_name(stack: Stack, flower: Flower) -> None:
    names = sorted(PREFIX + name for name in stack.house.jobs)
    assert sorted(stack.inspect("registered")) == names
    control = stack.house.celery.control
    answer = control.rate_limit(PREFIX + "certificates", "10/m", reply=True, limit=1, timeout=PATIENCE_SECONDS)
    assert answer == [{"one@here": {"ok": "new rate limit set successfully"}}]
    [again] = control.rate_limit(PREFIX + "certificates", "", reply=True, limit=1, timeout=PATIENCE_SECONDS)
    assert again["one@here"]["ok"]


def test_revoking_what_has_ended_or_never_was_changes_nothing(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask()
    flower.shows(run_id, "SUCCESS")
    replies = stack.house.celery.control.revoke([run_id, "no-such-run"], reply=True, limit=1, timeout=PATIENCE_SECONDS)
    assert replies == [{"one@here": {"ok": f"run {run_id} has ended already: succeeded; no run no-such-run"}}]
    flower.shows(run_id, "SUCCESS")
    assert stack.run(run_id).state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("ends", "state", "summary"),
    [("ok", "SUCCESS", "1 ok"), ("error", "FAILURE", "rusty"), ("cannot_tell", "FAILURE", "1 cannot tell")],
)
def test_async_result_and_flowers_result_page_read_the_ledger(
    stack: Stack, flower: Flower, ends: str, state: str, summary: str
) -> None:
    run_id = stack.ask(ends=ends)
    told = result(stack, run_id).get(timeout=PATIENCE_SECONDS, propagate=False)
    assert result(stack, run_id).state == state
    assert summary in str(told)
    shown = flower.get(f"/api/task/result/{run_id}?timeout=30")
    assert (shown["state"], summary in shown["result"]) == (state, True)


def test_async_result_of_a_running_run_times_out_and_of_a_cancelled_one_raises(stack: Stack, flower: Flower) -> None:
    run_id = stack.ask(waits=True)
    stack.at_the_gate(run_id)
    asked = result(stack, run_id)
    with pytest.raises(NotYet):
        asked.get(timeout=0.1)
    assert (asked.state, asked.result) == ("STARTED", None)
    assert flower.get(f"/api/task/result/{run_id}")["state"] == "STARTED"
    stack.cancel(run_id)
    stack.becomes(run_id, RunState.CANCELLED)
    with pytest.raises(TaskRevokedError):
        result(stack, run_id).get(timeout=PATIENCE_SECONDS)
    assert result(stack, run_id).state == "REVOKED"


def test_nothing_is_kept_in_redis_as_a_result(stack: Stack, flower: Flower, _redis: RedisServer) -> None:  # noqa: PT019 - not its wiping kind
    for ends in ("ok", "error"):
        result(stack, stack.ask(ends=ends)).get(timeout=PATIENCE_SECONDS, propagate=False)
    with _redis.client() as client:
        assert [key for key in client.keys("*") if b"celery-task-meta" in key] == []


def test_after_a_restart_of_the_worker_all_is_told_as_before(stack: Stack, flower: Flower) -> None:
    """Last in this module: it stops the worker of the others."""
    run_id = stack.ask(waits=True)
    stack.at_the_gate(run_id)
    assert stack.stop(stack.workers["one"]) == 0
    released = stack.run(run_id)
    assert (released.state, released.attempts) == (RunState.QUEUED, 0)
    until("Flower hears of it", lambda: flower.state(run_id) in {"RETRY", "RECEIVED"})
    stack.open(run_id)
    stack.worker()
    flower.shows(run_id, "SUCCESS")
    run = stack.run(run_id)
    assert (run.state, run.attempts) == (RunState.SUCCEEDED, 1)
