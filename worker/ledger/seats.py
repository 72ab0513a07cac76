"""Who is at work: processes that showed themselves, and named locks with a fence."""

from sqlalchemy import Connection, Float, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.ledger.tables import LOCKS, WORKERS
from worker.ledger.types import database_now


def show(
    tx: Connection,
    *,
    seat: str,
    host: str,
    boot_id: str,
    pid: int,
    role: str,
    version: str,
) -> None:
    """This process is alive."""
    if tx.execute(update(WORKERS).where(WORKERS.c.id == seat).values(seen_at=database_now())).rowcount == 0:
        row = {
            "id": seat,
            "host": host,
            "boot_id": boot_id,
            "pid": pid,
            "role": role,
            "version": version,
        }
        tx.execute(insert(WORKERS).values(**row, started_at=database_now(), seen_at=database_now()))


def leave(tx: Connection, seat: str) -> None:
    tx.execute(delete(WORKERS).where(WORKERS.c.id == seat))


def seen_within(connection: Connection, seconds: float) -> list[dict[str, object]]:
    """Processes that showed themselves within the last `seconds`."""
    statement = select(WORKERS).where(WORKERS.c.seen_at > database_now(bindparam("ago", -seconds, type_=Float)))
    return [dict(row._mapping) for row in connection.execute(statement.order_by(WORKERS.c.id))]  # noqa: SLF001


def hold(tx: Connection, name: str, *, owner: str, seconds: float) -> bool:
    """Take or renew the lock for `seconds` of the database's clock; False while somebody else holds it."""
    until = database_now(bindparam("ahead", seconds, type_=Float))
    free = or_(LOCKS.c.owner == owner, LOCKS.c.until <= database_now())
    mine = update(LOCKS).where(LOCKS.c.name == name, free).values(owner=owner, until=until, fence=LOCKS.c.fence + 1)
    if tx.execute(mine).rowcount == 1:
        return True
    upsert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    made = upsert(LOCKS).values(name=name, owner=owner, fence=1, until=until).on_conflict_do_nothing()
    return tx.execute(made.returning(LOCKS.c.name)).first() is not None


def let_go(tx: Connection, name: str, *, owner: str) -> None:
    tx.execute(update(LOCKS).where(LOCKS.c.name == name, LOCKS.c.owner == owner).values(until=database_now()))
