"""Taking a queued run, and putting it back: who holds the fence, and from when to when."""

from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

import structlog
from sqlalchemy.exc import DBAPIError

from worker.flow.pulse import Watch
from worker.flow.shift import Shift
from worker.ledger import approvals, audit_rows, effects, keepings, leases, outbox, revisions, runs, slots, turns
from worker.records import ActorKind, AuditEntry, Run, RunKind, RunState, Topic

log = structlog.get_logger("nightshift.flow")


def claim(shift: Shift, run_id: str, job_name: str, worker: str, kinds: Collection[RunKind]) -> Run | None:
    """queued → running under a new fence, with its audit row; None when somebody else has it or it is not queued.

    Nor is a run taken while its account or this worker's memory has no room, nor an effect while its environment is frozen, or
    while another run has its subject in hand.
    """
    for kind in RunKind:
        if kind not in kinds or (kind is RunKind.EFFECT and _held_back(shift, run_id)):
            continue
        run = _take(shift, run_id, job_name, worker, kind)
        if run is not None:
            return run
    return None


def _take(shift: Shift, run_id: str, job_name: str, worker: str, kind: RunKind) -> Run | None:
    owner = uuid4().hex
    lease = shift.pace.lease.total_seconds()
    try:
        with shift.ledger.turn() as tx:
            return turns.take(
                tx,
                run_id,
                job=job_name,
                kind=kind,
                owner=owner,
                worker=worker,
                lease_seconds=lease,
                at=shift.clock(),
                memory_budget=shift.memory_budget,
            )
    except DBAPIError:
        # The commit may have been applied all the same: the row tells.
        with shift.ledger.read() as connection:
            return leases.held_by(connection, run_id, owner)


def release(shift: Shift, run: Run, watch: Watch, reason: str, *, pause: timedelta = timedelta(0)) -> None:
    """running → queued at a boundary, and rung again for another worker, or for later."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        if not leases.release(tx, run):
            return
        keepings.add_lines(tx, run.id, run.fence, watch.last_lines(now))
        facts = {"fence": run.fence, "reason": reason}
        actor = f"{ActorKind.WORKER}:{run.worker}"
        audit_rows.append(
            tx, AuditEntry(at=now, actor=actor, verb="run.released", object_kind="run", object_id=run.id, facts=facts)
        )
        outbox.put(tx, Topic.BELL, run.id, at=now, not_before=now + pause)
    log.info("run_released", run_id=run.id, job=run.job, reason=reason)


def ring_next(shift: Shift, ended: Run) -> None:
    """Ring for who may go on now that this run has left its slots. The relay is the safety net, and slower."""
    if ended.account is None and ended.memory_mb is None:
        return
    try:
        with shift.ledger.read() as connection:
            waiting = slots.next_in_line(connection, ended)
    except DBAPIError as error:
        log.warning("next_not_rung", run_id=ended.id, error=type(error.orig).__name__)
        return
    if waiting:
        shift.ring(waiting)


def _held_back(shift: Shift, run_id: str) -> bool:
    """Whether a freeze keeps the run in the queue. A yes that has expired meanwhile does not wait: its run is to end."""
    now = shift.clock()
    with shift.ledger.read() as connection:
        run = runs.get(connection, run_id)
        if run is None or run.kind is not RunKind.EFFECT or run.state is not RunState.QUEUED:
            return False
        frozen = revisions.state(connection).frozen_by is not None
        if not frozen and shift.estate().policy.frozen(run.environment, now) is None:
            return False
        approval = approvals.get(connection, run.approval_id or "")
        over = approval is None or approval.state.terminal or approval.expires_at <= now
        return bool(effects.of_run(connection, run_id)) or not over
