"""How an approved plan was carried out, as people see it: what is known of each step, and what looking again showed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from tasks.model import Step
from worker.flow.runbooks import RUNBOOKS, Runbook
from worker.ledger import audit_rows, effects, plans
from worker.records import Effect, EffectOutcome, PlanRow, Run, RunKind, RunState
from worker.seal import OldSeal, Sealed, unseal

MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Taken:
    """A step of the plan and what became of it; no effect: it was not begun."""

    step: Step
    effect: Effect | None
    run: Run

    @property
    def word(self) -> str:
        """For the step's chip."""
        if self.effect is None:
            return "not begun"
        if self.effect.outcome is None:
            return "running" if self.run.state is RunState.RUNNING else "not known"
        return str(self.effect.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The steps in the plan's order, reverse steps only where one was begun."""

    run: Run
    taken: Sequence[Taken]
    seen: Sequence[Mapping[str, object]]
    """`of`, `verdict`, `detail`, `evidence` of each look, oldest first."""
    runbook: Runbook | None

    @property
    def unknown(self) -> list[str]:
        """Steps of which nobody knows whether they happened."""
        return [one.step.id for one in self.taken if one.effect is not None and one.effect.outcome is None]

    @property
    def applied(self) -> list[str]:
        return [one.step.id for one in self.taken if one.effect is not None and one.effect.outcome is EffectOutcome.APPLIED]


def unsealed(plan: PlanRow) -> Sealed | None:
    """None: another version sealed it."""
    try:
        return unseal(plan.content)
    except OldSeal:
        return None


def carried(connection: Connection, run: Run) -> Carried | None:
    """None for a run that carries out no plan."""
    plan = plans.get(connection, run.plan) if run.kind is RunKind.EFFECT and run.plan else None
    if plan is None:
        return None
    begun = {effect.step: effect for effect in effects.of_run(connection, run.id)}
    sealed = unsealed(plan)
    steps = sealed.plan.steps if sealed else ()
    reverse = [step for step in sealed.plan.rollback if step.id in begun] if sealed else []
    rows = audit_rows.recent(connection, object_id=run.id, limit=MOST_ROWS) if run.state.terminal else []
    return Carried(
        run=run,
        taken=[Taken(step, begun.get(step.id), run) for step in (*steps, *reverse)],
        seen=[row.entry.facts for row in reversed(rows) if row.entry.verb == "run.looked_again"],
        runbook=RUNBOOKS.get(run.reason or ""),
    )
