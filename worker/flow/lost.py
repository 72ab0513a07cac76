"""What becomes of runs whose owner fell silent: requeued, failed after too many losses, left alone, or a person is called."""

from datetime import timedelta

from sqlalchemy import Connection

from worker.flow import asking
from worker.flow.claiming import ring_next
from worker.flow.liveness import alive, told
from worker.flow.outcome import close_if_last
from worker.flow.shift import Shift
from worker.ledger import approvals, audit_rows, effects, leases, outbox, runs
from worker.records import Actor, ActorKind, ApprovalState, AuditEntry, Effect, EffectOutcome, Run, RunState, Topic

_SWEEPER = str(Actor(ActorKind.SWEEPER, "sweeper"))

Fate = tuple[RunState, str, str]


def take_over(shift: Shift, run: Run, seen_for: timedelta = timedelta(0)) -> RunState | None:
    """End the lease of a run that was seen expired for so long. None when its owner came back, or its step still goes on.

    A run with an intent and no outcome is queued only once nobody does its step any more: its next owner asks the probe.
    """
    with shift.ledger.read() as connection:
        begun = effects.of_run(connection, run.id)
    fate = _fate(shift, run, begun, seen_for)
    if fate is None:
        return None
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        approvals.hold(tx, run.approval_id or "")
        runs.hold(tx, run.id)
        if effects.of_run(tx, run.id) != begun:
            return None
        state, reason, summary = fate
        if not leases.take_lost(tx, run, state=state, reason=reason, summary=summary):
            return None
        uncertain = [effect.step for effect in begun if effect.outcome is None]
        facts = {"fence": run.fence, "attempt": run.attempts, "worker": run.worker, "reason": reason, "uncertain": uncertain}
        verb = "run.requeued" if state is RunState.QUEUED else f"run.{state}"
        audit_rows.append(tx, AuditEntry(at=now, actor=_SWEEPER, verb=verb, object_kind="run", object_id=run.id, facts=facts))
        if state is RunState.QUEUED:
            outbox.put(tx, Topic.BELL, run.id, at=now, not_before=now)
            return state
        close_if_last(tx, run, now)
        _tell(shift, tx, run, state, summary)
    ring_next(shift, run)
    return state


def _tell(shift: Shift, tx: Connection, run: Run, state: RunState, summary: str) -> None:
    now = shift.clock()
    if state is RunState.NEEDS_ATTENTION:
        asking.tell(tx, run.id, "run_needs_attention", now)
        return
    approval = approvals.get(tx, run.approval_id or "")
    if approval is not None:
        # No step was begun, and an approval starts at most one run.
        asking.close(tx, approval, ApprovalState.REVOKED, by=_SWEEPER, reason=f"its run was lost: {summary}", now=now)


def _fate(shift: Shift, run: Run, begun: list[Effect], seen_for: timedelta) -> Fate | None:
    happened = [effect for effect in begun if effect.outcome is not EffectOutcome.DID_NOT]
    uncertain = [effect for effect in begun if effect.outcome is None]
    for effect in uncertain:
        match alive(effect.process):
            case True if seen_for <= _longest(shift, run):
                return None
            case True | None as lives:
                why = "still runs, long after its time" if lives else "cannot be asked from here"
                return _unknown(run, f"{told(effect.process)}, which was doing {effect.step}, {why}")
    if _outran_its_limit(shift, run) and not uncertain:
        reason, summary = "time_limit", "did not stop at its time limit, and was ended with its worker"
        return _unknown(run, summary, reason) if happened else (RunState.FAILED, reason, summary)
    if run.attempts >= shift.pace.max_attempts:
        summary = f"lost {run.attempts} times with its worker; the last was {run.worker}"
        return _unknown(run, summary, "lost") if happened else (RunState.FAILED, "lost", summary)
    return RunState.QUEUED, "lost", ""


def _unknown(run: Run, why: str, reason: str = "outcome_unknown") -> Fate:
    summary = f"{why}: look, then `nightshift resolve {run.id} --applied | --not-applied | --retry`"
    return RunState.NEEDS_ATTENTION, reason, summary


def _longest(shift: Shift, run: Run) -> timedelta:
    """So long a step may go on after its worker fell silent. On the sweeper's own clock, which does not jump."""
    job = shift.jobs.get(run.job)
    return job.time_limit if job is not None else timedelta(0)


def _outran_its_limit(shift: Shift, run: Run) -> bool:
    """Its last sign of life came after its time was over: it would only do so again."""
    job = shift.jobs.get(run.job)
    if job is None or run.started_at is None or run.lease_until is None:
        return False
    return run.lease_until - shift.pace.lease - run.started_at > job.time_limit
