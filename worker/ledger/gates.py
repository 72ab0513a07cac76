"""Conditional statements on gates, and which requests a run asked."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.ledger.approval_tables import APPROVALS
from worker.ledger.gate_tables import GATES, RUN_APPROVALS
from worker.ledger.rows import record
from worker.ledger.tables import BATCHES, RUNS
from worker.records import Approval, ApprovalState, AskedHow, Gate, RunState


def insert_gate(tx: Connection, gate: Gate) -> None:
    tx.execute(insert(GATES).values(asdict(gate)))


def get(connection: Connection, approval_id: str) -> Gate | None:
    """None: the request is no gate."""
    row = connection.execute(select(GATES).where(GATES.c.approval_id == approval_id)).first()
    return record(Gate, row) if row else None


def open_until(tx: Connection, approval_id: str, use_by: datetime) -> None:
    """It was approved."""
    tx.execute(update(GATES).where(GATES.c.approval_id == approval_id).values(use_by=use_by))


def consume(tx: Connection, approval_id: str, *, by: str, at: datetime) -> bool:
    """False: it was consumed before."""
    statement = update(GATES).where(GATES.c.approval_id == approval_id, GATES.c.consumed_at.is_(None))
    return tx.execute(statement.values(consumed_at=at, consumed_by=by)).rowcount == 1


def unused(connection: Connection, now: datetime, limit: int = 200) -> list[Approval]:
    """Approved gates that nobody consumed in time."""
    late = (APPROVALS.c.state == ApprovalState.APPROVED, GATES.c.use_by <= now)
    statement = select(APPROVALS).join(GATES, GATES.c.approval_id == APPROVALS.c.id).where(*late).limit(limit)
    return [record(Approval, row) for row in connection.execute(statement)]


def note_asked(tx: Connection, run_id: str, approval_id: str, how: AskedHow) -> None:
    """What this run has to do with this request; said once."""
    upsert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {"run_id": run_id, "approval_id": approval_id, "how": how}
    tx.execute(upsert(RUN_APPROVALS).values(values).on_conflict_do_nothing())


def asked_in(connection: Connection, batch_id: str) -> dict[str, list[tuple[Approval, AskedHow]]]:
    """By run: the requests that the runs of this batch asked, joined, or kept quiet about."""
    joined = select(RUN_APPROVALS.c.run_id, RUN_APPROVALS.c.how, APPROVALS).join(
        APPROVALS, APPROVALS.c.id == RUN_APPROVALS.c.approval_id
    )
    rows = connection.execute(
        joined.join(RUNS, RUNS.c.id == RUN_APPROVALS.c.run_id).where(RUNS.c.batch_id == batch_id).order_by(APPROVALS.c.id)
    )
    asked: dict[str, list[tuple[Approval, AskedHow]]] = {}
    for row in rows:
        # Of the two columns called run_id the mapping shows the last, which is the request's own.
        asked.setdefault(row[0], []).append((record(Approval, row), AskedHow(row[1])))
    return asked


def waiting(connection: Connection, batch_id: str) -> bool:
    """Whether a question that this batch asked has no answer yet."""
    asked = select(RUN_APPROVALS.c.approval_id).join(RUNS, RUNS.c.id == RUN_APPROVALS.c.run_id).where(RUNS.c.batch_id == batch_id)
    open_gates = select(GATES.c.approval_id).join(APPROVALS, APPROVALS.c.id == GATES.c.approval_id)
    pending = open_gates.where(APPROVALS.c.state == ApprovalState.PENDING, GATES.c.approval_id.in_(asked))
    return connection.execute(pending.limit(1)).first() is not None


def waiting_of(connection: Connection, job: str, family: str) -> int:
    """Questions of this family that people have still to answer, or are still to be asked."""
    pending = select(func.count()).select_from(GATES).join(APPROVALS, APPROVALS.c.id == GATES.c.approval_id)
    asked = pending.where(GATES.c.family == family, APPROVALS.c.state == ApprovalState.PENDING)
    queued = select(func.count()).select_from(RUNS).join(BATCHES, BATCHES.c.id == RUNS.c.batch_id)
    coming = queued.where(BATCHES.c.family == family, RUNS.c.job == job, RUNS.c.state == RunState.QUEUED)
    return int(connection.execute(asked).scalar_one()) + int(connection.execute(coming).scalar_one())


def asked_since(connection: Connection, job: str, family: str, since: datetime) -> int:
    """Questions of this family, whatever became of them."""
    asked = select(func.count()).select_from(RUNS).join(BATCHES, BATCHES.c.id == RUNS.c.batch_id)
    mine = (BATCHES.c.family == family, RUNS.c.job == job, RUNS.c.created_at >= since)
    return int(connection.execute(asked.where(*mine)).scalar_one())


def to_call_back(connection: Connection, approval_id: str) -> list[str]:
    """Ids of ended batches that asked this question and want to be called back with the answer."""
    asked = select(RUNS.c.batch_id).join(RUN_APPROVALS, RUN_APPROVALS.c.run_id == RUNS.c.id)
    batch_ids = asked.where(RUN_APPROVALS.c.approval_id == approval_id, RUN_APPROVALS.c.how != AskedHow.QUIET)
    wanted = select(BATCHES.c.id).where(BATCHES.c.id.in_(batch_ids), BATCHES.c.callback.is_not(None))
    return list(connection.execute(wanted.where(BATCHES.c.ended_at.is_not(None)).order_by(BATCHES.c.id)).scalars())
