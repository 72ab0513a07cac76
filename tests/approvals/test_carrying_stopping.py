"""Kill, freeze, cancel, revoke, drain: between two steps an effect stops, and what is done and what is not is told."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifications.config import RoutesConfig
from notifications.digest import digest_message
from tasks.context import ApplyContext
from tasks.job import Job
from tasks.model import Receipt, Step
from tests.support.effects import Repair, open_repair
from tests.support.mending import SLOTS, Mending, lines_of
from tests.support.shift import ANA
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.flow import Outcome, verbs
from worker.flow.deciding import revoke
from worker.flow.nights import night_so_far
from worker.records import ApprovalState, Run, RunState, Verdict

NAMES = ("a", "b", "c")


@dataclass
class Gated(Mending):
    """Stays in the middle of each step that is named until it is let go."""

    at: str = "write-b"
    inside: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    asks: bool = False
    """Until it is told to stop."""

    def apply(self, ctx: ApplyContext, step: Step) -> Receipt:
        if step.id == self.at:
            self.inside.set()
            assert self.go_on.wait(PATIENCE_SECONDS)
            if self.asks:
                until("it is told to stop", ctx.cancelled)
        return super().apply(ctx, step)


@pytest.fixture
def gate() -> Gated:
    return Gated()


@pytest.fixture
def draining() -> list[bool]:
    """Whether the worker was told to stop."""
    return []


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path, gate: Gated, draining: list[bool]) -> Iterator[Repair]:
    job: Job[Any] = replace(SLOTS, remedy=gate)
    with open_repair(ledger_url, tmp_path, job, draining=lambda: bool(draining)) as opened:
        opened.entry(slots=NAMES)
        yield opened


def meanwhile(repair: Repair, gate: Gated, act: Callable[[Run], object]) -> tuple[Run, Outcome | None]:
    """Carry out; in the middle of the second step, do this."""
    run = repair.approve()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(repair.carry, run)
        assert gate.inside.wait(PATIENCE_SECONDS)
        act(run)
        gate.go_on.set()
        outcome = future.result(PATIENCE_SECONDS)
    return repair.rig.run(run.id), outcome


def written(repair: Repair) -> list[str]:
    return [slot for slot in NAMES if lines_of(str(repair.folder), slot)]


def test_a_kill_stops_a_running_effect_before_its_next_step(repair: Repair, gate: Gated) -> None:
    run, outcome = meanwhile(repair, gate, lambda _: verbs.kill(repair.rig.shift, ANA, "smoke"))
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, "killed")
    assert "done: write-a, write-b" in outcome.summary
    assert "not begun: write-c" in outcome.summary
    assert written(repair) == ["a", "b"]
    assert repair.messages("run_needs_attention") == [run.id]


def test_a_kill_that_is_thawed_at_once_still_stops_what_was_running(repair: Repair, gate: Gated) -> None:
    def kill_and_thaw(_: Run) -> None:
        verbs.kill(repair.rig.shift, ANA, "smoke")
        verbs.thaw(repair.rig.shift, ANA, "steam")

    run, outcome = meanwhile(repair, gate, kill_and_thaw)
    assert outcome is not None
    # The heartbeat may have come between the two.
    assert (outcome.state, outcome.reason in {"killed", "cancelled"}) == (RunState.NEEDS_ATTENTION, True)
    assert written(repair) == ["a", "b"]
    assert run.cancel_requested_by == str(ANA)


def test_a_kill_reaches_a_step_that_asks_however_slow_the_heartbeat(repair: Repair, gate: Gated) -> None:
    shift, gate.asks = repair.rig.shift, True
    repair.rig.shift = replace(shift, pace=replace(shift.pace, heartbeat=timedelta(days=1)))
    _, outcome = meanwhile(repair, gate, lambda _: verbs.kill(shift, ANA, "smoke"))
    assert outcome is not None
    assert outcome.reason == "killed"


def test_what_was_killed_can_be_put_back_after_the_thaw_and_goes_on_where_it_was(repair: Repair, gate: Gated) -> None:
    run, _ = meanwhile(repair, gate, lambda _: verbs.kill(repair.rig.shift, ANA, "smoke"))
    verbs.resolve(repair.rig.shift, run.id, ANA, "retry", "the smoke was steam")
    assert repair.carry(run) is None, "killed is frozen"
    verbs.thaw(repair.rig.shift, ANA, "the smoke was steam")
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    assert [len(lines_of(str(repair.folder), slot)) for slot in NAMES] == [1, 1, 1]


def test_a_freeze_lets_the_step_end_and_holds_the_next_until_the_thaw(repair: Repair, gate: Gated) -> None:
    run, outcome = meanwhile(repair, gate, lambda _: verbs.freeze(repair.rig.shift, ANA, "storm"))
    assert (outcome, run.state, written(repair)) == (None, RunState.QUEUED, ["a", "b"])
    assert repair.carry(run) is None
    verbs.thaw(repair.rig.shift, ANA, "calm")
    after = repair.carry(run)
    assert after is not None
    assert (after.verdict, written(repair)) == (Verdict.VERIFIED, ["a", "b", "c"])


def test_the_digest_tells_of_a_repair_that_a_freeze_holds_half_done(repair: Repair, gate: Gated) -> None:
    run, _ = meanwhile(repair, gate, lambda _: verbs.freeze(repair.rig.shift, ANA, "storm"))
    night = night_so_far(repair.rig.shift, RoutesConfig(), "https://night.example")
    [held] = night.held
    assert (held.id, held.why) == (run.id, f"{run.subject}: half done, and held: frozen by {ANA}")
    assert not night.quiet
    [section] = [one for one in digest_message(night).sections if one.heading.startswith("Held half done")]
    assert section.lines[0].text == f"slots: {held.why}"
    verbs.thaw(repair.rig.shift, ANA, "calm")
    assert night_so_far(repair.rig.shift, RoutesConfig(), "https://night.example").held == []


def test_the_digest_does_not_tell_of_a_repair_that_has_not_begun_and_waits_for_the_thaw(repair: Repair) -> None:
    repair.approve()
    verbs.freeze(repair.rig.shift, ANA, "storm")
    assert night_so_far(repair.rig.shift, RoutesConfig(), "https://night.example").held == []


def test_an_environment_that_leaves_execute_stops_what_runs_in_it(repair: Repair, gate: Gated) -> None:
    _, outcome = meanwhile(repair, gate, lambda _: repair.set(modes={"default": "propose"}))
    assert outcome is not None
    assert (outcome.state, outcome.reason, written(repair)) == (RunState.NEEDS_ATTENTION, "not_in_execute", ["a", "b"])


@pytest.mark.parametrize("how", ["cancel", "revoke"])
def test_a_cancel_stops_before_the_next_step_and_never_in_the_middle_of_one(repair: Repair, gate: Gated, how: str) -> None:
    def stop(run: Run) -> None:
        if how == "cancel":
            verbs.cancel(repair.rig.shift, run.id, ANA, "not now")
        else:
            revoke(repair.rig.shift, repair.approval(run).id, ANA, "not now")

    run, outcome = meanwhile(repair, gate, stop)
    assert outcome is not None
    assert outcome.state is RunState.NEEDS_ATTENTION
    # Of a revoked one the heartbeat and the approval itself tell; either may be heard first.
    assert outcome.reason in ({"cancelled"} if how == "cancel" else {"cancelled", "not_approved"})
    assert written(repair) == ["a", "b"]
    if how == "revoke":
        assert repair.approval(run).state is ApprovalState.REVOKED


def test_a_kill_before_the_first_step_ends_the_run_and_its_approval(repair: Repair, gate: Gated) -> None:
    gate.at = "none"
    run = repair.approve()

    class Killing(Mending):
        def still(self, ctx: object, step: Step) -> bool:
            verbs.kill(repair.rig.shift, ANA, "smoke")
            return True

    jobs = {"slots": replace(SLOTS, remedy=Killing())}
    repair.rig.shift = replace(repair.rig.shift, jobs=jobs)
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason, written(repair)) == (RunState.SKIPPED, "killed", [])
    assert repair.approval(run).state is ApprovalState.REVOKED


def test_a_drain_finishes_the_step_and_another_worker_goes_on_at_the_next(
    repair: Repair, gate: Gated, draining: list[bool]
) -> None:
    run, outcome = meanwhile(repair, gate, lambda _: draining.append(True))
    assert (outcome, run.state, run.attempts, written(repair)) == (None, RunState.QUEUED, 0, ["a", "b"])
    draining.clear()
    after = repair.carry(run)
    assert after is not None
    assert after.verdict is Verdict.VERIFIED
    assert [len(lines_of(str(repair.folder), slot)) for slot in NAMES] == [1, 1, 1]


def test_a_world_that_moved_in_an_interruption_needs_a_person_and_is_never_asked_anew(
    repair: Repair, gate: Gated, draining: list[bool]
) -> None:
    run, _ = meanwhile(repair, gate, lambda _: draining.append(True))
    draining.clear()
    (repair.folder / "c.slot").write_text("9 somebody\n")
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, "precondition_failed")
    assert repair.approval(run).state is ApprovalState.APPROVED
