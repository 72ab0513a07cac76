"""Batches: made once per key, ended by the last of their runs."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.ledger.rows import record
from worker.ledger.tables import BATCHES
from worker.ledger.types import database_now
from worker.records import Batch

_INSERT = {
    name: made(BATCHES).on_conflict_do_nothing().returning(BATCHES.c.id)
    for name, made in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


def insert_batch(tx: Connection, batch: Batch) -> bool:
    """Write `batch` unless its fire key or idempotency key is taken; False when it is."""
    # Not by row count: of an INSERT, SQLAlchemy does not keep psycopg's.
    return tx.execute(_INSERT[tx.dialect.name], values(batch)).first() is not None


def values(batch: Batch) -> dict[str, Any]:
    """By column."""
    return {column.name: getattr(batch, column.name) for column in BATCHES.c}


_COUNT_DOWN = (
    update(BATCHES)
    .where(BATCHES.c.id == bindparam("batch_id"))
    .values(remaining=BATCHES.c.remaining - 1)
    .returning(BATCHES.c.remaining)
)


def run_ended(tx: Connection, batch_id: str) -> Batch | None:
    """Count one run down; the batch itself when that was the last one.

    One atomic decrement: two last runs ending at once would each still see the other one running.
    """
    if tx.execute(_COUNT_DOWN, {"batch_id": batch_id}).scalar_one() > 0:
        return None
    ended = update(BATCHES).where(BATCHES.c.id == batch_id, BATCHES.c.ended_at.is_(None)).values(ended_at=database_now())
    row = tx.execute(ended.returning(*BATCHES.c)).first()
    return record(Batch, row) if row else None


def run_reopened(tx: Connection, batch_id: str) -> None:
    """Count one run up again: a person put it back in the queue."""
    tx.execute(update(BATCHES).where(BATCHES.c.id == batch_id).values(remaining=BATCHES.c.remaining + 1))


def get(connection: Connection, batch_id: str) -> Batch | None:
    return _one(connection, BATCHES.c.id == batch_id)


def by_fire(connection: Connection, schedule: str, fire_key: str) -> Batch | None:
    return _one(connection, BATCHES.c.schedule == schedule, BATCHES.c.fire_key == fire_key)


def by_idempotency_key(connection: Connection, family: str, key: str) -> Batch | None:
    return _one(connection, BATCHES.c.family == family, BATCHES.c.idempotency_key == key)


def open_of_schedule(connection: Connection, schedule: str) -> list[Batch]:
    """Batches of this schedule that still go on, oldest first."""
    statement = select(BATCHES).where(BATCHES.c.schedule == schedule, BATCHES.c.ended_at.is_(None))
    return [record(Batch, row) for row in connection.execute(statement.order_by(BATCHES.c.id))]


def first_created_at(connection: Connection) -> datetime | None:
    """When this ledger's first batch was made."""
    found: datetime | None = connection.execute(select(func.min(BATCHES.c.created_at))).scalar_one()
    return found


def made_between(connection: Connection, since: datetime, until: datetime) -> list[Batch]:
    """Oldest first."""
    statement = select(BATCHES).where(BATCHES.c.created_at >= since, BATCHES.c.created_at < until)
    return [record(Batch, row) for row in connection.execute(statement.order_by(BATCHES.c.id))]


def listing(
    connection: Connection,
    *,
    schedule: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
) -> list[Batch]:
    """Newest first; `since`/`until` bound the creation, and a batch that still goes on counts as of now."""
    statement = select(BATCHES).order_by(BATCHES.c.id.desc()).limit(limit)
    if schedule is not None:
        statement = statement.where(BATCHES.c.schedule == schedule)
    if since is not None:
        statement = statement.where(or_(BATCHES.c.created_at >= since, BATCHES.c.ended_at.is_(None)))
    if until is not None:
        statement = statement.where(BATCHES.c.created_at < until)
    return [record(Batch, row) for row in connection.execute(statement)]


def forget_idempotency_keys(tx: Connection, before: datetime) -> int:
    """Keys are kept 30 days; the batches stay."""
    statement = update(BATCHES).where(BATCHES.c.created_at < before, BATCHES.c.idempotency_key.is_not(None))
    return tx.execute(statement.values(idempotency_key=None)).rowcount


def _one(connection: Connection, *conditions: Any) -> Batch | None:
    row = connection.execute(select(BATCHES).where(*conditions)).first()
    return record(Batch, row) if row else None
