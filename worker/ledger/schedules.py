"""What the ledger remembers of schedules. Advancing a cursor is conditional: of many schedulers one wins."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from worker.ledger.rows import record
from worker.ledger.tables import SCHEDULES
from worker.records import ScheduleRow


def sync(tx: Connection, names: Collection[str], now: datetime) -> None:
    """Make rows for new schedules (their cursor starts now), mark those no longer configured as inactive."""
    known = set(tx.execute(select(SCHEDULES.c.name)).scalars())
    for name in sorted(set(names) - known):
        tx.execute(insert(SCHEDULES).values(name=name, cursor_at=now, active=True))
    tx.execute(update(SCHEDULES).where(SCHEDULES.c.name.not_in(names), SCHEDULES.c.active).values(active=False))
    # A schedule that comes back starts now: what it would have fired while it did not exist was never promised.
    back = update(SCHEDULES).where(SCHEDULES.c.name.in_(names), ~SCHEDULES.c.active)
    tx.execute(back.values(active=True, cursor_at=now))


def get(connection: Connection, name: str) -> ScheduleRow | None:
    row = connection.execute(select(SCHEDULES).where(SCHEDULES.c.name == name)).first()
    return record(ScheduleRow, row) if row else None


def listing(connection: Connection) -> list[ScheduleRow]:
    rows = connection.execute(select(SCHEDULES).where(SCHEDULES.c.active).order_by(SCHEDULES.c.name))
    return [record(ScheduleRow, row) for row in rows]


def hold(tx: Connection, name: str) -> ScheduleRow | None:
    """The row, kept to ourselves until the end of the transaction: fires and joins of one schedule come one by one."""
    row = tx.execute(select(SCHEDULES).where(SCHEDULES.c.name == name).with_for_update()).first()
    return record(ScheduleRow, row) if row else None


def hold_at(tx: Connection, name: str, seen: datetime) -> bool:
    """The same, and whether the schedule still is where `seen` says: active, not paused, dealt with by nobody else."""
    row = hold(tx, name)
    return row is not None and row.active and row.paused_by is None and row.cursor_at == seen


def advance(tx: Connection, name: str, *, seen: datetime, to: datetime) -> bool:
    """Move the cursor from `seen` to `to`; False when another scheduler was there first."""
    statement = update(SCHEDULES).where(
        SCHEDULES.c.name == name,
        SCHEDULES.c.cursor_at == seen,
        SCHEDULES.c.paused_by.is_(None),
    )
    return tx.execute(statement.values(cursor_at=to)).rowcount == 1


def remember_fire(tx: Connection, name: str, *, fire_key: str, at: datetime) -> None:
    tx.execute(update(SCHEDULES).where(SCHEDULES.c.name == name).values(last_fire_key=fire_key, last_fire_at=at))


def pause(tx: Connection, name: str, *, actor: str, reason: str, at: datetime) -> bool:
    """False when it is paused already or unknown."""
    statement = update(SCHEDULES).where(SCHEDULES.c.name == name, SCHEDULES.c.paused_by.is_(None))
    return tx.execute(statement.values(paused_by=actor, paused_reason=reason, paused_at=at)).rowcount == 1


def resume(tx: Connection, name: str, *, at: datetime) -> bool:
    """Fires from now on; what was due during the pause stays unfired. False when it was not paused."""
    statement = update(SCHEDULES).where(SCHEDULES.c.name == name, SCHEDULES.c.paused_by.is_not(None))
    return tx.execute(statement.values(paused_by=None, paused_reason=None, paused_at=None, cursor_at=at)).rowcount == 1
