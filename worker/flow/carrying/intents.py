"""What the ledger knows of a step: the intent before it, who does it, and what became of it. Only the fence holder writes."""

from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from tasks.model import Json, Receipt, Step
from worker.flow.carrying.checking import brakes, cancelled, configuration_moved, first_refused, mode_refuses, not_approved
from worker.flow.carrying.endings import Held, Refusal
from worker.flow.carrying.work import Work
from worker.flow.errors import LeaseLost
from worker.flow.liveness import ourselves, without_us
from worker.flow.masking import masked_facts
from worker.flow.outcome import commit_once
from worker.flow.shift import Shift
from worker.ledger import approvals, audit_rows, effects, leases, runs
from worker.records import ActorKind, AuditEntry, EffectOutcome, Run

log = structlog.get_logger("nightshift.carrying")

_MARGIN = 3
"""An intent needs a third of the lease to be left; else the lease is renewed with it."""


class _Stopped(Exception):  # noqa: N818 - states a condition
    def __init__(self, why: Refusal | Held) -> None:
        super().__init__(why)
        self.why = why


def intend(work: Work, step: Step) -> Refusal | Held | None:
    """Commit the intent: fence, lease, approval, digest, mode, cancel, freeze and kill are looked at in the same transaction.

    Before a run's first step, expiry and blast radius, too. None: it is written. Raises `LeaseLost`.
    """
    at, process = work.shift.clock(), ourselves()
    estate = work.shift.estate(work.run.revision)

    def write(tx: Connection) -> None:
        # The approval first, then the run: so does whoever revokes.
        approval = approvals.hold(tx, work.approval.id)
        run = _hold(work, tx)
        state = effects.hold_state(tx)
        if (moved := configuration_moved(work, state, estate)) is not None:
            raise _Stopped(moved)
        refusal = not_approved(approval) or (cancelled(run.cancel_requested_by) if run.cancel_requested_by else None)
        if (stop := brakes(work, state, estate) or refusal or mode_refuses(work, estate)) is not None:
            raise _Stopped(stop)
        if approval is not None and (late := first_refused(work, tx, approval, estate)) is not None:
            raise _Stopped(late)
        if not effects.intend(tx, work.run, step.id, at=at, process=process):
            raise LeaseLost(f"run {work.run.id}: step {step.id} has an intent that is not ours")
        audit_rows.append(tx, _told(work, step, "intended", at, {"action": step.action, "target": step.target}))

    def committed(connection: Connection, run: Run) -> bool:
        found = {effect.step: effect for effect in effects.of_run(connection, run.id)}.get(step.id)
        return found is not None and (found.fence, found.intent_at, found.outcome) == (run.fence, at, None)

    try:
        commit_once(work.shift, work.run, write, committed)
    except _Stopped as stopped:
        return stopped.why
    work.desk.log.info("step_begun", step=step.id, action=step.action, target=step.target)
    return None


def witness(work: Work, step: Step, process: Mapping[str, Json], *, begins: bool = False) -> None:
    """Name who does the step now. Raises `LeaseLost` if it is not ours any more; of one who `begins`, also if the run is not."""

    def write(tx: Connection) -> None:
        if begins:
            _hold(work, tx)
        if not effects.witness(tx, work.run, step.id, process):
            raise LeaseLost(f"run {work.run.id}: step {step.id} was taken over")

    def committed(connection: Connection, run: Run) -> bool:
        found = {effect.step: effect for effect in effects.of_run(connection, run.id)}.get(step.id)
        return found is not None and (found.fence, found.outcome, found.process) == (run.fence, None, process)

    commit_once(work.shift, work.run, write, committed)


def conclude(work: Work, step: Step, outcome: EffectOutcome, receipt: Receipt | None = None, *, detail: str = "") -> None:
    """Commit what became of the step, however long the ledger stays away: nobody else knows it.

    Raises `LeaseLost`, after leaving word of it in the audit.
    """
    at = work.shift.clock()
    kept = masked_facts({"at": receipt.at, "proof": receipt.proof}) if receipt is not None else {}
    facts = {"outcome": outcome, "receipt": kept, "detail": detail}

    def write(tx: Connection) -> None:
        _hold(work, tx)
        if not effects.conclude(tx, work.run, step.id, outcome=outcome, at=at, receipt=kept, detail=detail):
            raise LeaseLost(f"run {work.run.id}: step {step.id} has an outcome already")
        audit_rows.append(tx, _told(work, step, str(outcome), at, facts))

    def committed(connection: Connection, run: Run) -> bool:
        found = {effect.step: effect for effect in effects.of_run(connection, run.id)}.get(step.id)
        return found is not None and (found.outcome, found.outcome_at) == (outcome, at)

    try:
        commit_once(work.shift, work.run, write, committed, gives_up=False)
    except LeaseLost:
        _leave_word(work, step, at, facts)
        raise
    work.desk.log.info("step_ended", step=step.id, outcome=outcome, detail=detail)


def let_go(shift: Shift, run: Run) -> None:
    """This process does no step of the run any more: what its intents name is a program's keeper, or nobody."""

    def write(tx: Connection) -> None:
        for effect in effects.of_run(tx, run.id):
            if effect.outcome is None and (process := without_us(effect.process)) != effect.process:
                effects.witness(tx, run, effect.step, process)

    try:
        commit_once(shift, run, write, _never)
    except SQLAlchemyError as error:
        log.error("not_let_go", run_id=run.id, error=type(error).__name__)  # noqa: TRY400 - a traceback shows values


def _hold(work: Work, tx: Connection) -> Run:
    """The run, ours and with time left on its lease."""
    margin = work.shift.pace.lease.total_seconds() / _MARGIN
    run = effects.hold_run(tx, work.run, margin_seconds=margin)
    if run is not None:
        return run
    renewed, _ = leases.extend(tx, work.run, lease_seconds=work.shift.pace.lease.total_seconds(), progress=work.watch.progress)
    held = runs.get(tx, work.run.id)
    if not renewed or held is None:
        raise LeaseLost(f"run {work.run.id}: fence {work.run.fence} has lost its lease")
    return held


def _leave_word(work: Work, step: Step, at: datetime, facts: Mapping[str, object]) -> None:
    """Too late to count, and too true to lose; and nobody does the step any more."""

    def write(tx: Connection) -> None:
        effects.witness(tx, work.run, step.id, {})
        audit_rows.append(tx, _told(work, step, "late", at, facts))

    try:
        commit_once(work.shift, work.run, write, _never)
    except SQLAlchemyError as error:
        log.error(  # noqa: TRY400 - a traceback shows values
            "late_outcome_not_kept", run_id=work.run.id, step=step.id, outcome=facts["outcome"], error=type(error).__name__
        )


def _never(connection: Connection, run: Run) -> bool:  # noqa: ARG001
    """Of what may be written twice: it says the same again."""
    return False


def _told(work: Work, step: Step, what: str, at: datetime, facts: Mapping[str, object]) -> AuditEntry:
    said = {"step": step.id, "digest": work.run.plan, "fence": work.run.fence, **facts}
    actor = f"{ActorKind.WORKER}:{work.run.worker}"
    return AuditEntry(at=at, actor=actor, verb=f"effect.{what}", object_kind="run", object_id=work.run.id, facts=said)
