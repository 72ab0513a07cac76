"""The outbox: what the world is to be told, written with the change, deleted once told."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from worker.ledger.rows import record
from worker.ledger.tables import OUTBOX, RUNS
from worker.records import OutboxRow, Run, RunKind, RunState, Topic

_PUT = insert(OUTBOX)


def put(
    tx: Connection,
    topic: Topic,
    subject: str,
    *,
    at: datetime,
    not_before: datetime,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Add one row."""
    put_many(tx, topic, [subject], at=at, not_before=not_before, payload=payload)


def put_many(
    tx: Connection,
    topic: Topic,
    subjects: Sequence[str],
    *,
    at: datetime,
    not_before: datetime,
    payload: Mapping[str, Any] | None = None,
    attempts: int = 0,
) -> None:
    """Add one row per subject, all with the same payload; `attempts` made of them already."""
    row = {
        "topic": topic,
        "payload": dict(payload or {}),
        "attempts": attempts,
        "not_before": not_before,
        "created_at": at,
    }
    if subjects:
        tx.execute(_PUT, [{**row, "subject": subject} for subject in subjects])


def due(connection: Connection, topic: Topic, now: datetime, limit: int) -> list[OutboxRow]:
    """Rows whose time has come, longest waiting first."""
    statement = select(OUTBOX).where(OUTBOX.c.topic == topic, OUTBOX.c.not_before <= now)
    rows = connection.execute(statement.order_by(OUTBOX.c.not_before, OUTBOX.c.id).limit(limit))
    return [record(OutboxRow, row) for row in rows]


def take(tx: Connection, row: OutboxRow, *, until: datetime) -> bool:
    """Take the row for one attempt, which ends by `until`; False when somebody else took it."""
    statement = update(OUTBOX).where(
        OUTBOX.c.id == row.id, OUTBOX.c.attempts == row.attempts, OUTBOX.c.not_before == row.not_before
    )
    return tx.execute(statement.values(attempts=row.attempts + 1, not_before=until)).rowcount == 1


def try_again(
    tx: Connection, row_id: int, *, at: datetime, error: str | None = None, payload: Mapping[str, Any] | None = None
) -> None:
    """After an attempt that was not the last: when the next one is due."""
    values: dict[str, Any] = {"not_before": at, "last_error": error}
    if payload is not None:
        values["payload"] = dict(payload)
    tx.execute(update(OUTBOX).where(OUTBOX.c.id == row_id).values(values))


def done(tx: Connection, ids: Collection[int]) -> None:
    tx.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(ids)))


def due_bells(connection: Connection, now: datetime, limit: int) -> list[tuple[OutboxRow, Run | None]]:
    """Bells whose time has come, each with its run if that is still queued."""
    rows = due(connection, Topic.BELL, now, limit)
    wanted = select(RUNS).where(RUNS.c.id.in_([row.subject for row in rows]), RUNS.c.state == RunState.QUEUED)
    queued = {run.id: run for run in (record(Run, row) for row in connection.execute(wanted))}
    return [(row, queued.get(row.subject)) for row in rows]


def rung(connection: Connection) -> int:
    """How many bells were rung at least once and not yet answered or cleared away."""
    statement = select(func.count()).select_from(OUTBOX).where(OUTBOX.c.topic == Topic.BELL, OUTBOX.c.attempts > 0)
    return int(connection.execute(statement).scalar_one())


def drop_answered_bells(tx: Connection) -> int:
    """Rung bells whose run is no longer queued have done their work."""
    queued = select(RUNS.c.id).where(RUNS.c.id == OUTBOX.c.subject, RUNS.c.state == RunState.QUEUED).exists()
    return tx.execute(delete(OUTBOX).where(OUTBOX.c.topic == Topic.BELL, OUTBOX.c.attempts > 0, ~queued)).rowcount


def hurry(tx: Connection, kind: RunKind, now: datetime) -> None:
    """Let every bell of a queued run of that kind be due at once: what held them back is over."""
    queued = select(RUNS.c.id).where(RUNS.c.id == OUTBOX.c.subject, RUNS.c.state == RunState.QUEUED, RUNS.c.kind == kind).exists()
    tx.execute(update(OUTBOX).where(OUTBOX.c.topic == Topic.BELL, OUTBOX.c.not_before > now, queued).values(not_before=now))


def depth(connection: Connection) -> Mapping[str, tuple[int, datetime | None]]:
    """Per topic: number of rows and when the oldest was written."""
    statement = select(OUTBOX.c.topic, func.count(), func.min(OUTBOX.c.created_at)).group_by(OUTBOX.c.topic)
    return {topic: (count, oldest) for topic, count, oldest in connection.execute(statement)}
