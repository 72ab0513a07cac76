"""What waits to be done in the background, asked in one statement: its answer is nearly always that nothing does."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, select

from worker.ledger.tables import AUDIT, OUTBOX
from worker.ledger.types import Instant
from worker.records import Topic

CHAIN = "chain"
"""Audit rows without a number; the others are the outbox's topics."""

_DUE = (OUTBOX.c.not_before <= bindparam("now", type_=Instant()),)
# Bells not yet due too: those that were answered are to be cleared away.
_CONDITIONS = {topic: () if topic is Topic.BELL else _DUE for topic in Topic}
_WAITING = select(
    *(exists().where(OUTBOX.c.topic == topic, *due).label(topic) for topic, due in _CONDITIONS.items()),
    exists().where(AUDIT.c.number.is_(None)).label(CHAIN),
)


def what_waits(connection: Connection, now: datetime) -> list[str]:
    """Topics of the outbox that have something due, and `CHAIN`."""
    row = connection.execute(_WAITING, {"now": now}).one()
    return [what for what, waits in row._mapping.items() if waits]  # noqa: SLF001 - the documented name of a Row's mapping view
