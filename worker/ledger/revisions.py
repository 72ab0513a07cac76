"""Configuration revisions and the one row of ledger state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from worker.ledger.rows import record
from worker.ledger.tables import REVISIONS, STATE
from worker.records import LedgerState, Revision

_STATE = select(STATE)
_IN_FORCE = select(STATE.c.revision)


def state(connection: Connection) -> LedgerState:
    return record(LedgerState, connection.execute(_STATE).one())


def set_state(tx: Connection, **values: Any) -> None:
    """Change columns of the ledger's one state row."""
    tx.execute(update(STATE).values(**values))


def insert_revision(
    tx: Connection,
    *,
    digest: str,
    content: Mapping[str, Any],
    applied_by: str,
    note: str,
    at: datetime,
) -> int:
    """Keep a revision and put it in force; returns its id."""
    statement = insert(REVISIONS).values(
        digest=digest,
        content=dict(content),
        applied_by=applied_by,
        note=note,
        applied_at=at,
    )
    identity: int = tx.execute(statement.returning(REVISIONS.c.id)).scalar_one()
    set_state(tx, revision=identity)
    return identity


def current(connection: Connection) -> Revision | None:
    """The revision in force."""
    row = connection.execute(select(REVISIONS).join(STATE, STATE.c.revision == REVISIONS.c.id)).first()
    return record(Revision, row) if row else None


def current_id(connection: Connection) -> int | None:
    found: int | None = connection.execute(_IN_FORCE).scalar_one()
    return found


def get(connection: Connection, revision_id: int) -> Revision | None:
    row = connection.execute(select(REVISIONS).where(REVISIONS.c.id == revision_id)).first()
    return record(Revision, row) if row else None


def listing(connection: Connection, limit: int = 20) -> list[Revision]:
    """Newest first."""
    rows = connection.execute(select(REVISIONS).order_by(REVISIONS.c.id.desc()).limit(limit))
    return [record(Revision, row) for row in rows]
