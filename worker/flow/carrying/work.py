"""What an effect run is carried out with: the approved plan, its job's remedy, and the entry that it is about."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from tasks.context import Context, Entry
from tasks.job import Job, Params, Remedy
from tasks.model import Plan, Receipt, Step
from worker.flow import looking
from worker.flow.carrying.endings import Ending, Refusal, so_far
from worker.flow.desk import Desk, ask
from worker.flow.errors import Invalid
from worker.flow.pulse import Watch
from worker.flow.selecting import Selection, select
from worker.flow.shift import Shift
from worker.ledger import approvals, effects, plans
from worker.records import Approval, ApprovalState, Effect, EffectOutcome, PlanRow, Run
from worker.seal import OldSeal, Sealed, unseal


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One effect run in the hands of its owner."""

    shift: Shift
    run: Run
    watch: Watch
    desk: Desk
    approval: Approval
    """As it was when the run was claimed; each intent reads it again."""
    row: PlanRow
    sealed: Sealed | None
    """None: sealed by a version whose format this one does not read."""
    job: Job[Any]
    remedy: Remedy[Any]
    params: Params
    entry: Entry
    ctx: Context
    """Reads only."""

    @property
    def plan(self) -> Plan:
        """Of a seal that can be read."""
        assert self.sealed is not None
        return self.sealed.plan

    def effects(self) -> list[Effect]:
        """As the ledger has them now."""
        return ask(self.shift, lambda connection: effects.of_run(connection, self.run.id))

    def outcomes(self) -> dict[str, EffectOutcome | None]:
        """By step, of all that were ever begun."""
        return {effect.step: effect.outcome for effect in self.effects()}

    def receipts(self, steps: tuple[Step, ...]) -> list[Receipt]:
        """Of those of `steps` that happened, in the order of their intents."""
        wanted = {step.id for step in steps}
        return [receipt_of(e) for e in self.effects() if e.step in wanted and e.outcome is EffectOutcome.APPLIED]

    def so_far(self) -> str:
        """What is done and what is not, for a person."""
        return so_far(self.effects(), self.planned())

    def planned(self) -> list[str]:
        return [step.id for step in self.plan.steps] if self.sealed is not None else []

    def refused(self, refusal: Refusal) -> Ending:
        return refusal.ending(self.run, self.effects(), self.planned())


def receipt_of(effect: Effect) -> Receipt:
    """The receipt as the job gave it, but for secrets, which are masked."""
    proof = effect.receipt.get("proof", {})
    return Receipt(step=effect.step, at=effect.outcome_at or effect.intent_at, proof=proof if isinstance(proof, dict) else {})


@contextmanager
def opened(shift: Shift, run: Run, watch: Watch, desk: Desk) -> Iterator[Work | Ending]:
    """The work, or why there is none to do: the world of names moved since the yes."""
    found = _find(shift, run)
    if isinstance(found, Refusal):
        begun = ask(shift, lambda connection: effects.of_run(connection, run.id))
        yield found.ending(run, begun)
        return
    approval, row, job, selection = found
    (entry,) = selection.known
    with looking.context(shift, run, job, selection, shift.estate(run.revision), watch, desk) as ctx:
        yield Work(
            shift=shift,
            run=run,
            watch=watch,
            desk=desk,
            approval=approval,
            row=row,
            sealed=_unsealed(row),
            job=job,
            remedy=job.remedy,  # type: ignore[arg-type] # `_find` has seen its `apply`
            params=selection.params,
            entry=entry,
            ctx=replace(ctx, selected=[entry]),
        )


Found = tuple[Approval, PlanRow, Job[Any], Selection]


def _find(shift: Shift, run: Run) -> Found | Refusal:
    def rows(connection: Connection) -> tuple[Approval | None, PlanRow | None]:
        return approvals.get(connection, run.approval_id or ""), plans.get(connection, run.plan or "")

    approval, row = ask(shift, rows)
    if approval is None or row is None or approval.digest != run.plan:
        return Refusal(code="not_approved", why="no approval is on record for the plan of this run")
    if hashlib.sha256(row.content).hexdigest() != run.plan:
        return Refusal(code="seal_broken", why="the bytes of the plan in the ledger are not those that were approved")
    job = shift.jobs[run.job]
    if not hasattr(job.remedy, "apply"):
        return Refusal(code="no_remedy", why=f"{job.name} cannot carry anything out any more")
    try:
        selection = select(job, run.params, shift.estate(run.revision))
    except Invalid as error:
        return Refusal(code=error.code, why=str(error), becomes=ApprovalState.SUPERSEDED)
    if len(selection.known) != 1 or selection.targets or selection.missing:
        why = f"the estate in force does not have {', '.join(selection.missing) or row.entry} any more"
        return Refusal(code="not_in_estate", why=why, becomes=ApprovalState.SUPERSEDED)
    return approval, row, job, selection


def _unsealed(row: PlanRow) -> Sealed | None:
    try:
        return unseal(row.content)
    except OldSeal:
        return None
