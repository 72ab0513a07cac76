"""What waits to be done in the background, asked in one statement: its answer is nearly always that nothing does."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, or_, select

from worker.ledger.approval_tables import APPROVALS
from worker.ledger.gate_tables import GATES
from worker.ledger.tables import AUDIT, FINDINGS, OUTBOX, RUNS
from worker.ledger.types import Instant, database_now
from worker.records import ApprovalState, FindingState, RunState, Topic

CHAIN = "chain"
"""Audit rows without a number; the others are the outbox's topics."""

_NOW = bindparam("now", type_=Instant())
_DUE = (OUTBOX.c.not_before <= _NOW,)
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


_OVER = select(
    or_(
        exists().where(RUNS.c.state == RunState.RUNNING, RUNS.c.lease_until < database_now()),
        exists().where(FINDINGS.c.state == FindingState.MUTED, FINDINGS.c.muted_until <= _NOW),
        exists().where(
            APPROVALS.c.state == ApprovalState.PENDING, or_(APPROVALS.c.expires_at <= _NOW, APPROVALS.c.remind_at <= _NOW)
        ),
        exists().where(
            APPROVALS.c.state == ApprovalState.APPROVED, GATES.c.approval_id == APPROVALS.c.id, GATES.c.use_by <= _NOW
        ),
    )
)


def anything_over(connection: Connection, now: datetime) -> bool:
    """Whether a lease, a mute, a request, the time until its reminder or to use its yes has ended."""
    return bool(connection.execute(_OVER, {"now": now}).scalar_one())
