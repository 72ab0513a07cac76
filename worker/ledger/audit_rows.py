"""Audit rows: appended unchained inside the transaction they tell of, numbered later by the chainer."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from worker.ledger.tables import AUDIT
from worker.records import AuditEntry, ChainedEntry

# Inline: nobody asks for the new row's id, and one row is no "many", which psycopg would send as a pipeline.
_APPEND = insert(AUDIT).inline()


def append(tx: Connection, *entries: AuditEntry) -> None:
    """Write `entries` in the transaction of the change they tell of."""
    for entry in entries:
        tx.execute(_APPEND, _values(entry))


def _values(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "actor": entry.actor,
        "verb": entry.verb,
        "object_kind": entry.object_kind,
        "object_id": entry.object_id,
        "facts": dict(entry.facts),
    }


def unchained(connection: Connection, limit: int) -> list[ChainedEntry]:
    """Committed rows without a number, oldest first."""
    statement = select(AUDIT).where(AUDIT.c.number.is_(None)).order_by(AUDIT.c.id).limit(limit)
    return [_chained(row) for row in connection.execute(statement)]


def stale(connection: Connection, before: datetime) -> int:
    """How many rows written before then the chainer has not come by yet."""
    statement = select(func.count()).select_from(AUDIT).where(AUDIT.c.number.is_(None), AUDIT.c.at < before)
    return connection.execute(statement).scalar_one()


def head(connection: Connection) -> ChainedEntry | None:
    """The entry with the highest number."""
    row = connection.execute(select(AUDIT).where(AUDIT.c.number.is_not(None)).order_by(AUDIT.c.number.desc()).limit(1)).first()
    return _chained(row) if row else None


def chained(connection: Connection, after: int, limit: int) -> list[ChainedEntry]:
    """Chained entries with numbers above `after`, in order."""
    statement = select(AUDIT).where(AUDIT.c.number > after).order_by(AUDIT.c.number).limit(limit)
    return [_chained(row) for row in connection.execute(statement)]


_LINK = (
    update(AUDIT)
    .where(AUDIT.c.id == bindparam("row"), AUDIT.c.number.is_(None))
    .values(
        {
            name: bindparam(name)
            for name in (
                "number",
                "payload_hash",
                "previous_hash",
                "hash",
                "mac",
                "key_id",
            )
        }
    )
)


def link(tx: Connection, links: Sequence[Mapping[str, Any]]) -> None:
    """Write the chain's members; each mapping has `row` (the id) and the columns."""
    if links:
        tx.execute(_LINK, list(links))


def recent(
    connection: Connection,
    *,
    object_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[ChainedEntry]:
    """Newest first; of one object, or older than row `before`."""
    statement = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    if object_id is not None:
        statement = statement.where(AUDIT.c.object_id == object_id)
    if before is not None:
        statement = statement.where(AUDIT.c.id < before)
    return [_chained(row) for row in connection.execute(statement)]


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(AUDIT)).scalar_one()


def _chained(row: Any) -> ChainedEntry:
    entry = AuditEntry(
        at=row.at,
        actor=row.actor,
        verb=row.verb,
        object_kind=row.object_kind,
        object_id=row.object_id,
        facts=row.facts,
    )
    return ChainedEntry(
        id=row.id,
        entry=entry,
        number=row.number,
        payload_hash=row.payload_hash,
        previous_hash=row.previous_hash,
        hash=row.hash,
        mac=row.mac,
        key_id=row.key_id,
    )
