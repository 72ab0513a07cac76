"""Repairs whose worker fell silent: put back, left to their program, or a person's; and never forgotten with their approval."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import pytest
from sqlalchemy import update

from tasks.model import Json
from tests.support.effects import Repair, open_repair
from tests.support.mending import lines_of
from tests.support.waiting import until
from worker.flow.liveness import alive, ourselves
from worker.flow.lost import take_over
from worker.ledger import effects, leases
from worker.ledger.tables import RUNS
from worker.records import ApprovalState, EffectOutcome, Run, RunState, Verdict

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
DEAD = {**ourselves(), "pid": 2**22 + 1}


class Interrupted(Exception):  # noqa: N818 - as the executor's
    """What the executor raises at its time limit."""


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path, interruptions=(Interrupted,)) as opened:
        yield opened


def silent(repair: Repair, *, attempts: int = 1, process: Mapping[str, Json] | None = None) -> Run:
    """Approved, claimed by a worker that fell silent; with an intent by that process, if one is given."""
    run = repair.approve()
    with repair.rig.ledger.transaction() as tx:
        held = leases.claim(tx, run.id, job=run.job, owner="dead", worker="w9", lease_seconds=30)
        assert held is not None
        if process is not None:
            assert effects.intend(tx, held, "write-a", at=repair.rig.clock(), process=process)
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(lease_until=LONG_AGO, attempts=attempts))
    return repair.rig.run(run.id)


def expired(repair: Repair, run: Run) -> Run:
    with repair.rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(lease_until=LONG_AGO))
    return repair.rig.run(run.id)


def test_a_repair_that_had_not_begun_is_put_back(repair: Repair) -> None:
    run = silent(repair)
    assert take_over(repair.rig.shift, run) is RunState.QUEUED
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED


def test_lost_too_often_before_its_first_step_it_ends_with_its_approval(repair: Repair) -> None:
    run = silent(repair, attempts=3)
    assert take_over(repair.rig.shift, run) is RunState.FAILED
    approval = repair.approval(run)
    assert (approval.state, approval.ended_by) == (ApprovalState.REVOKED, "sweeper:sweeper")
    assert repair.messages("approval_closed") == [approval.id]


def test_lost_too_often_in_the_middle_of_a_step_a_person_is_called(repair: Repair) -> None:
    run = silent(repair, attempts=3, process=DEAD)
    assert take_over(repair.rig.shift, run) is RunState.NEEDS_ATTENTION
    assert repair.messages("run_needs_attention") == [run.id]
    assert repair.approval(run).state is ApprovalState.APPROVED


def test_a_step_whose_process_died_is_put_back_for_the_probe(repair: Repair) -> None:
    run = silent(repair, process=DEAD)
    assert take_over(repair.rig.shift, run) is RunState.QUEUED
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    told = [verb for verb in repair.verbs(run.id) if verb.startswith("effect.")]
    assert told == ["effect.did_not", "effect.intended", "effect.applied"]


def test_a_step_whose_process_lives_is_left_to_it_and_called_out_only_long_after_its_time(repair: Repair) -> None:
    run = silent(repair, process=ourselves())
    assert take_over(repair.rig.shift, run) is None
    assert take_over(repair.rig.shift, run, timedelta(minutes=10)) is None
    assert repair.rig.run(run.id).state is RunState.RUNNING
    assert take_over(repair.rig.shift, run, timedelta(minutes=11)) is RunState.NEEDS_ATTENTION
    found = repair.rig.run(run.id)
    assert found.reason == "outcome_unknown"
    assert "still runs, long after its time" in found.summary


def test_a_step_on_a_host_that_cannot_be_asked_is_a_persons(repair: Repair) -> None:
    run = silent(repair, process={**ourselves(), "host": "elsewhere"})
    assert take_over(repair.rig.shift, run) is RunState.NEEDS_ATTENTION
    assert "on elsewhere, which was doing write-a, cannot be asked from here" in repair.rig.run(run.id).summary


def test_a_repair_that_was_put_back_with_its_step_under_way_waits_for_the_end_of_it(repair: Repair) -> None:
    run = silent(repair, process=ourselves())
    with repair.rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(state=RunState.QUEUED))
    assert repair.carry(run) is None
    assert repair.rig.run(run.id).state is RunState.QUEUED
    assert repair.outcomes(run) == {"write-a": None}


def test_a_time_limit_in_mid_step_leaves_the_program_to_its_end_and_the_probe_tells(repair: Repair) -> None:
    repair.entry(by_command=True, before_seconds=3.0)
    run = repair.approve()

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)

    def when_it_runs() -> None:
        until("its command runs", lambda: any("worker" in effect.process for effect in repair.effects(run)))
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGUSR1)

    waiting = threading.Thread(target=when_it_runs)
    waiting.start()
    try:
        assert repair.carry(run) is None
    finally:
        waiting.join()
        signal.signal(signal.SIGUSR1, before)
    [effect] = repair.effects(run)
    assert (effect.outcome, "worker" in effect.process) == (None, False), "left to its keeper alone"
    while alive(repair.effects(run)[0].process):
        assert take_over(repair.rig.shift, expired(repair, run)) in (None, RunState.QUEUED)
        time.sleep(0.05)
    if repair.rig.run(run.id).state is RunState.RUNNING:
        assert take_over(repair.rig.shift, expired(repair, run)) is RunState.QUEUED
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    assert (len(lines_of(str(repair.folder), "a")), repair.outcomes(run)) == (1, {"write-a": EffectOutcome.APPLIED})
