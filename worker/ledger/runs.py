"""Runs: written, read, cancelled and resolved. What needs the lease is in `leases`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from worker.ledger.rows import record
from worker.ledger.tables import RUNS
from worker.ledger.types import database_now
from worker.records import Run, RunKind, RunState


def cancel_queued(tx: Connection, run_id: str, *, by: str, reason: str, summary: str) -> bool:
    """queued → cancelled."""
    statement = update(RUNS).where(RUNS.c.id == run_id, RUNS.c.state == RunState.QUEUED)
    values = {
        "state": RunState.CANCELLED,
        "cancel_requested_by": by,
        "reason": reason,
        "summary": summary,
        "ended_at": database_now(),
    }
    return tx.execute(statement.values(values)).rowcount == 1


def request_cancel(tx: Connection, run_id: str, *, by: str) -> bool:
    """Ask a running run to stop; its heartbeat reads it. False when it is not running or was asked before."""
    statement = update(RUNS).where(
        RUNS.c.id == run_id,
        RUNS.c.state == RunState.RUNNING,
        RUNS.c.cancel_requested_by.is_(None),
    )
    return tx.execute(statement.values(cancel_requested_by=by)).rowcount == 1


def cancel_effects(tx: Connection, *, by: str) -> int:
    """Ask every running effect to stop; returns how many were not asked before."""
    running = (RUNS.c.kind == RunKind.EFFECT, RUNS.c.state == RunState.RUNNING, RUNS.c.cancel_requested_by.is_(None))
    return tx.execute(update(RUNS).where(*running).values(cancel_requested_by=by)).rowcount


def resolve(tx: Connection, run_id: str, *, state: RunState, reason: str, summary: str) -> bool:
    """needs_attention → succeeded | failed | queued, by a person."""
    statement = update(RUNS).where(RUNS.c.id == run_id, RUNS.c.state == RunState.NEEDS_ATTENTION)
    ended = None if state is RunState.QUEUED else database_now()
    values: dict[str, Any] = {"state": state, "reason": reason, "summary": summary, "ended_at": ended}
    if state is RunState.QUEUED:
        # Who wanted the last attempt stopped did not mean the one that is asked for now, nor was that one lost before.
        values |= {"cancel_requested_by": None, "attempts": 0}
    return tx.execute(statement.values(values)).rowcount == 1


_INSERT = insert(RUNS)


def insert_runs(tx: Connection, runs: Sequence[Run]) -> None:
    """Write new runs, all columns."""
    if runs:
        tx.execute(_INSERT, [values(run) for run in runs])


def values(run: Run) -> dict[str, Any]:
    """By column."""
    return {column.name: getattr(run, column.name) for column in RUNS.c}


def get(connection: Connection, run_id: str) -> Run | None:
    row = connection.execute(select(RUNS).where(RUNS.c.id == run_id)).first()
    return record(Run, row) if row else None


def hold(tx: Connection, run_id: str) -> Run | None:
    """The run, kept as it is until the end of the transaction."""
    row = tx.execute(select(RUNS).where(RUNS.c.id == run_id).with_for_update()).first()
    return record(Run, row) if row else None


def of_batch(connection: Connection, batch_id: str) -> list[Run]:
    """In the order of the items."""
    rows = connection.execute(select(RUNS).where(RUNS.c.batch_id == batch_id).order_by(RUNS.c.position))
    return [record(Run, row) for row in rows]


def listing(
    connection: Connection,
    *,
    job: str | None = None,
    state: RunState | None = None,
    batch_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Run]:
    """Newest first; `before` is the id of the last run of the page before (ids sort by time)."""
    statement = select(RUNS).order_by(RUNS.c.id.desc()).limit(limit)
    wanted = {RUNS.c.job: job, RUNS.c.state: state, RUNS.c.batch_id: batch_id}
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(column == value)
    if since is not None:
        statement = statement.where(RUNS.c.created_at >= since)
    if until is not None:
        statement = statement.where(RUNS.c.created_at < until)
    if before is not None:
        statement = statement.where(RUNS.c.id < before)
    return [record(Run, row) for row in connection.execute(statement)]


def counts_by_state(connection: Connection) -> Mapping[tuple[str, str], int]:
    """Numbers of runs by (job, state)."""
    statement = select(RUNS.c.job, RUNS.c.state, func.count()).group_by(RUNS.c.job, RUNS.c.state)
    return {(job, state): number for job, state, number in connection.execute(statement)}
