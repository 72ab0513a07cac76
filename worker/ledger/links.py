"""Link tokens of messages and sign-ins, only their hashes; and wrong PINs."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.ledger.approval_tables import LINKS, PIN_TRIES
from worker.ledger.rows import record
from worker.records import Link, PinTries


def insert_link(tx: Connection, link: Link) -> None:
    tx.execute(insert(LINKS).values(asdict(link)))


def by_hash(connection: Connection, sha256: str) -> Link | None:
    """The row, expired, used and revoked ones too: the caller says which it was."""
    row = connection.execute(select(LINKS).where(LINKS.c.sha256 == sha256)).first()
    return record(Link, row) if row else None


def use(tx: Connection, sha256: str, *, purpose: str, now: datetime) -> str | None:
    """Spend a link; the person it was made for, or None when unknown, spent, revoked or expired."""
    statement = update(LINKS).where(
        LINKS.c.sha256 == sha256,
        LINKS.c.purpose == purpose,
        LINKS.c.used_at.is_(None),
        LINKS.c.revoked_at.is_(None),
        LINKS.c.expires_at > now,
    )
    return tx.execute(statement.values(used_at=now).returning(LINKS.c.person)).scalar_one_or_none()


def revoke(
    tx: Connection, approval_id: str, now: datetime, *, purpose: str, person: str | None = None, channel: str | None = None
) -> int:
    """End the unused links of a request for one purpose: all of them, or those of one person or channel; returns how many."""
    unused = (LINKS.c.used_at.is_(None), LINKS.c.revoked_at.is_(None))
    statement = update(LINKS).where(LINKS.c.approval_id == approval_id, LINKS.c.purpose == purpose, *unused)
    if person is not None:
        statement = statement.where(LINKS.c.person == person)
    if channel is not None:
        statement = statement.where(LINKS.c.channel == channel)
    return tx.execute(statement.values(revoked_at=now)).rowcount


def pin_tries(connection: Connection, person: str) -> PinTries:
    row = connection.execute(select(PIN_TRIES).where(PIN_TRIES.c.person == person)).first()
    return record(PinTries, row) if row else PinTries(person=person, failures=0)


def count_pin_try(tx: Connection, person: str) -> int:
    """One more try since the last right one; returns how many there are. Atomic: the row is held until the commit."""
    upsert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    one = upsert(PIN_TRIES).values(person=person, failures=1)
    more = one.on_conflict_do_update(index_elements=[PIN_TRIES.c.person], set_={"failures": PIN_TRIES.c.failures + 1})
    failures: int = tx.execute(more.returning(PIN_TRIES.c.failures)).scalar_one()
    return failures


def note_pin_tries(tx: Connection, tries: PinTries) -> None:
    """Write the count over the one that is there."""
    values = asdict(tries)
    if tx.execute(update(PIN_TRIES).where(PIN_TRIES.c.person == tries.person).values(values)).rowcount == 0:
        tx.execute(insert(PIN_TRIES).values(values))
