"""START HERE: what happens to a run, each step one line.

A request or a schedule becomes a batch of queued runs (`enqueue`), each with a bell in the outbox. A bell brings a
worker to `execute_run`. Everything may run twice: the claim and the fence make that harmless. The other verbs (cancel,
acknowledge, mute, resolve, pause, freeze, …) are in `verbs`; what the sweeper does about lost runs in `lost`.
"""

from uuid import uuid4

import structlog
from sqlalchemy.exc import DBAPIError

from worker.flow import looking, outcome
from worker.flow.desk import Desk
from worker.flow.errors import LeaseLost
from worker.flow.intake import Enqueued, Order, Request, enqueue
from worker.flow.outcome import Outcome
from worker.flow.pulse import PULSE, Watch
from worker.flow.shift import Shift
from worker.ledger import audit_rows, keepings, outbox, runs
from worker.records import ActorKind, AuditEntry, Run, Topic

__all__ = ["Enqueued", "Order", "Outcome", "Request", "Shift", "enqueue", "execute_run"]

log = structlog.get_logger("nightshift.flow")


def execute_run(shift: Shift, run_id: str, job_name: str, worker: str) -> Outcome | None:
    """Carry a queued check from claim to outcome. None: it was not ours to run, or no longer is."""
    run = claim(shift, run_id, job_name, worker)
    if run is None:
        return None
    with PULSE.watching(shift, run) as watch:
        desk = Desk.of(shift, run, watch)
        selection, report = looking.look(shift, run, watch, desk)
        if watch.stop == "drained" and not report.whole:
            release(shift, run, watch)
            return None
        try:
            return outcome.record(shift, run, selection, report, watch, desk)
        except LeaseLost:
            log.warning("run_lost_to_another_owner", run_id=run.id, job=run.job, fence=run.fence)
            return None


def claim(shift: Shift, run_id: str, job_name: str, worker: str) -> Run | None:
    """queued → running under a new fence, with its audit row; None when somebody else has it or it is not queued."""
    owner = uuid4().hex
    lease = shift.pace.lease.total_seconds()
    try:
        with shift.ledger.transaction() as tx:
            run = runs.claim(tx, run_id, job=job_name, owner=owner, worker=worker, lease_seconds=lease)
            if run is not None:
                audit_rows.append(tx, _claimed(shift, run))
    except DBAPIError:
        # The commit may have been applied all the same: the row tells.
        with shift.ledger.read() as connection:
            return runs.held_by(connection, run_id, owner)
    return run


def release(shift: Shift, run: Run, watch: Watch) -> None:
    """running → queued at a boundary, because this worker was told to stop; rung again for another one."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        if not runs.release(tx, run):
            return
        keepings.add_lines(tx, run.id, run.fence, watch.last_lines(now))
        facts = {"fence": run.fence, "reason": "drained"}
        actor = f"{ActorKind.WORKER}:{run.worker}"
        audit_rows.append(
            tx, AuditEntry(at=now, actor=actor, verb="run.released", object_kind="run", object_id=run.id, facts=facts)
        )
        outbox.put(tx, Topic.BELL, run.id, at=now, not_before=now)
    log.info("run_released", run_id=run.id, job=run.job)


def _claimed(shift: Shift, run: Run) -> AuditEntry:
    facts = {"job": run.job, "fence": run.fence, "attempt": run.attempts, "revision": run.revision}
    actor = f"{ActorKind.WORKER}:{run.worker}"
    return AuditEntry(at=shift.clock(), actor=actor, verb="run.started", object_kind="run", object_id=run.id, facts=facts)
