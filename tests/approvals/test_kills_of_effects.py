"""`kill -9` at every point of carrying out: no effect is doubled, no outcome lost, and what nobody can know calls a person."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.support.chaos_worker import freeze, gone
from tests.support.effects_ward import Ward, ended, open_ward
from tests.support.shift import ANA
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.flow import verbs
from worker.flow.errors import Refused
from worker.flow.lost import take_over
from worker.records import Run, RunState
from worker.sweeper import Sweeper

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
COMMITS = 7
"""Of a repair of one step by a command: claim, plan, intent, keeper, own again, outcome, end."""
EVERY_COMMIT = [f"{when}:{number}" for number in range(1, COMMITS + 1) for when in ("before", "after")]
IN_MID_STEP = ["job:claimed", "job:wrote"]


@pytest.fixture
def ward(empty_ledger_url: str, tmp_path: Path) -> Iterator[Ward]:
    with open_ward(tmp_path / "home", empty_ledger_url) as opened:
        yield opened


def kill_each(ward: Ward, runs: list[Run], points: list[str]) -> None:
    """One life each, cut short; four at a time."""
    lives = list(zip(runs, points, strict=True))
    for first in range(0, len(lives), 4):
        statuses = ward.go(*lives[first : first + 4])
        assert {os.waitstatus_to_exitcode(status) for status in statuses.values()} == {-signal.SIGKILL}, lives[first : first + 4]


@pytest.mark.parametrize("way", ["command", "in_process"])
def test_killed_at_every_point_a_repair_happens_once_and_is_known_to_have(ward: Ward, way: str) -> None:
    points = [*(EVERY_COMMIT if way == "command" else EVERY_COMMIT[: (COMMITS - 2) * 2]), *IN_MID_STEP]
    around = {"before_seconds": 0.15, "after_seconds": 0.15}
    runs = ward.approve(*[{"by_command": way == "command", **around} for _ in points])
    kill_each(ward, runs, points)
    ward.nurse(*runs)
    assert ward.troubles(*runs) == []
    # The probe tells every time, and so nobody is called.
    assert set(ended(ward).values()) == {"succeeded None"}
    assert [len(ward.lines(run)) for run in runs] == [1] * len(runs)


def test_killed_at_every_point_of_a_step_that_cannot_be_probed_nobody_guesses(ward: Ward) -> None:
    points = [*EVERY_COMMIT, *IN_MID_STEP]
    runs = ward.approve(*[{"by_command": True, "probes": False} for _ in points])
    kill_each(ward, runs, points)
    ward.nurse(*runs)
    assert ward.troubles(*runs) == []
    states = {point: ward.run(run.id).state for point, run in zip(points, runs, strict=True)}
    unknown = {point for point, state in states.items() if state is RunState.NEEDS_ATTENTION}
    # From the intent's commit to the outcome's: what lies between, only the world knows.
    assert unknown == {"after:3", "before:4", "after:4", "before:5", "after:5", "before:6", *IN_MID_STEP}
    assert {state for point, state in states.items() if point not in unknown} == {RunState.SUCCEEDED}
    assert {ward.run(run.id).reason for run in runs if ward.run(run.id).state is RunState.NEEDS_ATTENTION} == {"outcome_unknown"}


def keeper_of(ward: Ward, run: Run) -> int:
    """The process that keeps the command of the run's step, once it is there."""
    until("a command runs", lambda: bool(ward.effects(run) and ward.effects(run)[0].process.get("worker")))
    pid = ward.effects(run)[0].process["pid"]
    assert isinstance(pid, int)
    return pid


@contextmanager
def begun(ward: Ward, **members: object) -> Iterator[tuple[Run, "subprocess.Popen[bytes]"]]:
    """A run and its worker, in the middle of its step."""
    [run] = ward.approve(members)
    with beside(ward, run) as victim:
        until("a step begins", lambda: bool(ward.effects(run)))
        if members.get("by_command"):
            keeper_of(ward, run)
        time.sleep(0.3)
        yield run, victim


@contextmanager
def beside(ward: Ward, run: Run, at: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """A worker's life that goes on beside us, and not longer."""
    victim = ward.victim(run, at)
    try:
        yield victim
    finally:
        victim.kill()
        victim.wait()


def still(victim: "subprocess.Popen[bytes]") -> None:
    until("it stands still", lambda: psutil.Process(victim.pid).status() == psutil.STATUS_STOPPED)


def test_a_command_outlives_its_worker_and_nobody_begins_again_meanwhile(ward: Ward) -> None:
    with begun(ward, by_command=True, before_seconds=2.0, after_seconds=1.0) as (run, victim):
        keeper = keeper_of(ward, run)
        victim.kill()
        victim.wait()
        states = []
        while not gone(keeper):
            ward.expire(run)
            ward.sweep()
            states.append(ward.run(run.id).state)
            time.sleep(0.05)
        # The last look may have come after its program's end.
        assert len(states) > 1
        assert set(states[:-1]) == {RunState.RUNNING}, "left to its program"
        ward.nurse(run)
    assert (ward.troubles(run), ended(ward)[run.id]) == ([], "succeeded None")
    # The second owner had nothing to do again: the program of the dead one did it.
    assert (len(ward.lines(run)), ward.run(run.id).fence) == (1, 2)
    assert ward.effects(run)[0].detail == "its worker died before it could tell; the probe says that it happened"


def test_a_command_that_does_not_outlive_dies_with_its_worker_and_is_done_again(ward: Ward) -> None:
    with begun(ward, by_command=True, outlives=False, before_seconds=3.0) as (run, victim):
        keeper = keeper_of(ward, run)
        victim.kill()
        victim.wait()
        until("the keeper ends", lambda: gone(keeper))
        assert ward.lines(run) == []
        ward.nurse(run)
    assert (ward.troubles(run), len(ward.lines(run))) == ([], 1)


@pytest.mark.parametrize("way", ["command", "in_process"])
def test_a_lease_that_ends_under_its_living_owner_is_left_to_it_while_a_step_goes_on(ward: Ward, way: str) -> None:
    with begun(ward, by_command=way == "command", before_seconds=1.5, after_seconds=0.5) as (run, victim):
        jumped = replace(ward.house.shift, clock=lambda: datetime.now(UTC) + timedelta(days=400))
        sweeper = Sweeper(jumped)
        while ward.effects(run)[0].outcome is None and victim.poll() is None:
            ward.expire(run)
            sweeper.step()
            ward.sweep()
            time.sleep(0.02)
        victim.wait(PATIENCE_SECONDS)
        # With the outcome there, another may have been let to look whether it worked.
        ward.nurse(run)
    assert (ward.troubles(run), ended(ward)[run.id], len(ward.lines(run))) == ([], "succeeded None", 1)
    assert ward.verbs(run).count("effect.intended") == 1


def test_a_frozen_owner_is_waited_for_in_mid_step_and_goes_on_when_it_thaws(ward: Ward) -> None:
    with begun(ward, by_command=True, before_seconds=3.0, after_seconds=0.2) as (run, victim):
        freeze(victim.pid, ward.house.ledger)
        until("the command ends", lambda: len(ward.lines(run)) == 1)
        for _ in range(20):
            ward.expire(run)
            ward.sweep()
            time.sleep(0.05)
        assert ward.run(run.id).state is RunState.RUNNING
        os.kill(victim.pid, signal.SIGCONT)
        assert victim.wait(PATIENCE_SECONDS) == 0
    assert (ward.troubles(run), ended(ward)[run.id], ward.run(run.id).fence) == ([], "succeeded None", 1)


@pytest.mark.parametrize("stop", ["stop:1", "stop:2", "stop:6"], ids=["claimed", "planned_again", "applied"])
def test_an_owner_frozen_between_steps_is_fenced_off_and_does_nothing_more(ward: Ward, stop: str) -> None:
    [run] = ward.approve({"by_command": True})
    with beside(ward, run, stop) as victim:
        still(victim)
        ward.nurse(run)
        before = ward.verbs(run)
        os.kill(victim.pid, signal.SIGCONT)
        assert victim.wait(PATIENCE_SECONDS) == 0
    assert (ward.troubles(run), ended(ward)[run.id], ward.run(run.id).fence) == ([], "succeeded None", 2)
    # It may have planned again, which changes nothing.
    assert [verb for verb in ward.verbs(run)[len(before) :] if verb != "run.planned_again"] == []
    assert len(ward.lines(run)) == 1


def test_an_outcome_that_comes_too_late_to_count_is_kept_in_the_audit(ward: Ward) -> None:
    # In the middle of its step: it has just heard that its command ended.
    [run] = ward.approve({"by_command": True})
    with beside(ward, run, "stop:5") as victim:
        still(victim)
        ward.expire(run)
        # Long after its time, and alive all the same: only a person can say.
        assert take_over(ward.house.shift, ward.run(run.id), timedelta(days=1)) is RunState.NEEDS_ATTENTION
        with pytest.raises(Refused, match="still goes on"):
            verbs.resolve(ward.house.shift, run.id, ANA, "not_applied", "it hangs")
        os.kill(victim.pid, signal.SIGCONT)
        assert victim.wait(PATIENCE_SECONDS) == 0
    assert (ward.run(run.id).state, ward.effects(run)[0].outcome) == (RunState.NEEDS_ATTENTION, None)
    assert ward.verbs(run)[-1] == "effect.late"
    verbs.resolve(ward.house.shift, run.id, ANA, "applied", "the audit says so")
    assert ward.run(run.id).state is RunState.SUCCEEDED
    assert ward.effects(run)[0].outcome == "applied"


def test_a_configuration_that_changes_before_a_step_has_everything_looked_at_again(ward: Ward) -> None:
    [run] = ward.approve({"by_command": True})
    with beside(ward, run, "stop:2") as victim:
        still(victim)
        # Another revision.
        ward.approve({})
        os.kill(victim.pid, signal.SIGCONT)
        assert victim.wait(PATIENCE_SECONDS) == 0
    assert (ward.run(run.id).state, ward.lines(run)) == (RunState.QUEUED, [])
    ward.nurse(run)
    assert (ward.troubles(run), ended(ward)[run.id]) == ([], "succeeded None")
    assert ward.verbs(run).count("run.planned_again") == 2


def test_a_worker_killed_again_and_again_still_does_each_step_once(ward: Ward) -> None:
    runs = ward.approve(*[{"slots": ["a", "b"], "by_command": number % 2 == 0} for number in range(8)])
    points = [(f"after:{number + 2}", f"before:{number % 4 + 2}", "job:wrote") for number in range(8)]
    for life in range(3):
        left = [run for run in runs if ward.run(run.id).state is RunState.QUEUED]
        for first in range(0, len(left), 4):
            ward.go(*[(run, points[runs.index(run)][life]) for run in left[first : first + 4]])
        ward.swept(*[run for run in runs if ward.run(run.id).state is RunState.RUNNING])
    ward.nurse(*runs)
    assert ward.troubles(*runs, slots=("a", "b")) == []
    assert set(ended(ward).values()) == {"succeeded None"}
