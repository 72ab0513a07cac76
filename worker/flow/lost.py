"""What becomes of runs whose owner fell silent: requeued, failed after too many losses, or a person is called."""

from worker.flow.outcome import close_if_last
from worker.flow.shift import Shift
from worker.ledger import audit_rows, effects, outbox, runs
from worker.ledger.rows import new_id
from worker.records import Actor, ActorKind, AuditEntry, Run, RunState, Topic

_SWEEPER = str(Actor(ActorKind.SWEEPER, "sweeper"))


def take_over(shift: Shift, run: Run) -> RunState | None:
    """End the lease of a run that was seen expired twice, a grace apart. None when its owner came back meanwhile.

    A run with an intent and no outcome is never put back blindly: it needs a person.
    """
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        uncertain = effects.without_outcome(tx, run.id)
        state, reason, summary = _fate(shift, run, uncertain)
        if not runs.take_lost(tx, run, state=state, reason=reason, summary=summary):
            return None
        facts = {"fence": run.fence, "attempt": run.attempts, "worker": run.worker, "reason": reason, "uncertain": uncertain}
        verb = "run.requeued" if state is RunState.QUEUED else f"run.{state}"
        audit_rows.append(tx, AuditEntry(at=now, actor=_SWEEPER, verb=verb, object_kind="run", object_id=run.id, facts=facts))
        if state is RunState.QUEUED:
            outbox.put(tx, Topic.BELL, run.id, at=now, not_before=now)
        else:
            close_if_last(tx, run, now)
        if state is RunState.NEEDS_ATTENTION:
            payload = {"kind": "run_needs_attention", "message_id": new_id()}
            outbox.put(tx, Topic.MESSAGE, run.id, at=now, not_before=now, payload=payload)
    return state


def _fate(shift: Shift, run: Run, uncertain: list[str]) -> tuple[RunState, str, str]:
    if uncertain:
        steps = ", ".join(uncertain)
        told = f"the worker died between intent and outcome of {steps}: look, then `nightshift resolve {run.id}`"
        return RunState.NEEDS_ATTENTION, "outcome_unknown", told
    if _outran_its_limit(shift, run):
        return RunState.FAILED, "time_limit", "did not stop at its time limit, and was ended with its worker"
    if run.attempts >= shift.pace.max_attempts:
        return RunState.FAILED, "lost", f"lost {run.attempts} times with its worker; the last was {run.worker}"
    return RunState.QUEUED, "lost", ""


def _outran_its_limit(shift: Shift, run: Run) -> bool:
    """Its last sign of life came after its time was over: it would only do so again."""
    job = shift.jobs.get(run.job)
    if job is None or run.started_at is None or run.lease_until is None:
        return False
    return run.lease_until - shift.pace.lease - run.started_at > job.time_limit
