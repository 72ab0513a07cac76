"""The reverse steps that were approved with a plan: which of them go, and when a run may say that it took back what it did."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.context import ApplyContext, Context
from tasks.errors import StepFailed
from tasks.job import Params, Remedy
from tasks.model import Finding, Plan, Receipt, Simulation, Step
from tests.support.effects import Repair, open_repair
from tests.support.mending import SLOTS as JOB
from tests.support.mending import Disliked, Slots, value_of, write
from worker.records import ApprovalState, EffectOutcome, RunState, Verdict

SLOTS = ("a", "b")


class HalfDone(Disliked):
    """Its second step changes something, and then fails."""

    def apply(self, ctx: ApplyContext, step: Step) -> Receipt:
        if step.id == "write-b":
            write(ctx.entries(Slots)[0].folder, "b", 99, ctx.idempotency_key)
            raise StepFailed("exit code 1")
        return super().apply(ctx, step)


class Chained(Disliked):
    """Its last reverse step depends on the reverse step before it alone."""

    def plan(self, ctx: Context, params: Params, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        made = super().plan(ctx, params, findings)
        assert made is not None
        plan, simulation = made
        first, second = plan.rollback
        return replace(plan, rollback=(first, replace(second, depends_on=(first.id,)))), simulation


class Loose(Disliked):
    """Its reverse steps depend on nothing, or on each other in a circle."""

    def plan(self, ctx: Context, params: Params, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        made = super().plan(ctx, params, findings)
        assert made is not None
        plan, simulation = made
        ids = [step.id for step in plan.rollback]
        circle = tuple(replace(step, depends_on=tuple(one for one in ids if one != step.id)) for step in plan.rollback)
        return replace(plan, rollback=circle), simulation


class Short(Disliked):
    """It brings the reverse step of its last step alone."""

    def plan(self, ctx: Context, params: Params, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        made = super().plan(ctx, params, findings)
        assert made is not None
        plan, simulation = made
        return replace(plan, rollback=plan.rollback[:1]), simulation


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path) as opened:
        opened.entry(slots=SLOTS, rolls_back=True)
        yield opened


def by(repair: Repair, remedy: Remedy[Any]) -> None:
    repair.rig.shift = replace(repair.rig.shift, jobs={"slots": replace(JOB, remedy=remedy)})


def seen(repair: Repair) -> list[int]:
    return [value_of(str(repair.folder), slot) for slot in SLOTS]


def test_what_a_failed_step_left_behind_is_never_told_as_rolled_back(repair: Repair) -> None:
    by(repair, HalfDone())
    run, outcome = repair.mend()
    assert (outcome.state, outcome.reason, outcome.verdict) == (RunState.NEEDS_ATTENTION, "step_failed", Verdict.WORSE)
    assert "step write-b failed: exit code 1" in outcome.summary
    assert "but not write-b" in outcome.summary
    assert repair.outcomes(run)["undo-a"] is EffectOutcome.APPLIED
    assert seen(repair) == [0, 99]
    assert repair.messages("run_needs_attention") == [run.id]
    assert repair.messages("remediation_ended") == []
    assert repair.approval(run).state is ApprovalState.APPROVED


def test_a_reverse_step_that_depends_on_another_is_not_left_out(repair: Repair) -> None:
    by(repair, Chained())
    run, outcome = repair.mend()
    assert (outcome.verdict, outcome.reason, seen(repair)) == (Verdict.ROLLED_BACK, "rolled_back", [0, 0])
    assert {"undo-a", "undo-b"} <= repair.outcomes(run).keys()


def test_a_step_without_a_reverse_step_is_told_and_not_rolled_back(repair: Repair) -> None:
    by(repair, Short())
    _, outcome = repair.mend()
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, "rollback_failed")
    assert "but not write-a" in outcome.summary
    assert seen(repair) == [1, 0]


def test_a_rollback_that_takes_no_step_back_is_not_asked_for(repair: Repair) -> None:
    by(repair, Loose())
    with pytest.raises(ValueError, match="not enough values"):
        repair.ask()
