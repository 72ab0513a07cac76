"""The plan that takes a run back: the reverse steps of what it did, the last one first. Reads the ledger alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tasks.job import Remedy
from tasks.model import Plan, Simulation, Step
from worker.flow.carrying.stepping import in_order
from worker.flow.carrying.work import receipt_of
from worker.flow.errors import Refused
from worker.records import Effect, EffectOutcome, PlanRow
from worker.seal import unseal

UNDO_OF = "undo_of"
"""Among the parameters of such a plan: the run that it takes back."""
CAUSE = "undo"


def reverse_plan(remedy: Remedy[Any], row: PlanRow, run_id: str, begun: Sequence[Effect]) -> tuple[Plan, Simulation]:
    """Of the same run it is always the same. Raises `Refused` for a step that cannot be undone, and `OldSeal`."""
    plan = unseal(row.content).plan
    done = {effect.step: effect for effect in begun if effect.outcome is EffectOutcome.APPLIED}
    reverse: list[Step] = []
    for step in reversed([step for step in in_order(plan.steps) if step.id in done]):
        back = remedy.undo(step, receipt_of(done[step.id]))
        if back is None:
            raise Refused(f"{step.id} ({step.action} {step.target}) cannot be undone", code="cannot_be_undone")
        reverse.append(replace(back, depends_on=tuple(one.id for one in reverse[-1:])))
    if not reverse:
        raise Refused(f"run {run_id} did nothing that could be undone", code="nothing_to_undo")
    undoing = replace(plan, finding_keys=(), steps=tuple(reverse), rollback=(), parameters={**plan.parameters, UNDO_OF: run_id})
    lines = [f"- {step.action} {step.target}: {step.before}\n+ {step.action} {step.target}: {step.after}" for step in reverse]
    text = "\n".join([f"takes back what run {run_id} did: {row.summary}", *lines])
    return undoing, Simulation(summary=f"take back: {row.summary}", text=text, soft_pins={UNDO_OF: run_id})
