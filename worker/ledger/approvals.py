"""Conditional statements on requests and decisions. A state changes only from the state that it is expected in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from worker.ledger.approval_tables import APPROVALS, DECISIONS
from worker.ledger.rows import record
from worker.records import Approval, ApprovalState, Decision


def insert_approval(tx: Connection, approval: Approval) -> None:
    """Raises `IntegrityError` when one is pending for the same (job, subject, cause)."""
    tx.execute(insert(APPROVALS).values(asdict(approval)))


def get(connection: Connection, approval_id: str) -> Approval | None:
    row = connection.execute(select(APPROVALS).where(APPROVALS.c.id == approval_id)).first()
    return record(Approval, row) if row else None


def hold(tx: Connection, approval_id: str) -> Approval | None:
    """The request, kept as it is until the end of the transaction."""
    row = tx.execute(select(APPROVALS).where(APPROVALS.c.id == approval_id).with_for_update()).first()
    return record(Approval, row) if row else None


def hold_pending(tx: Connection, job: str, subject: str, cause: str) -> Approval | None:
    """The one pending request for it, if any, kept as it is until the end of the transaction."""
    where = (APPROVALS.c.job == job, APPROVALS.c.subject == subject, APPROVALS.c.cause == cause)
    statement = select(APPROVALS).where(*where, APPROVALS.c.state == ApprovalState.PENDING)
    row = tx.execute(statement.with_for_update()).first()
    return record(Approval, row) if row else None


def latest(connection: Connection, job: str, subject: str, cause: str) -> Approval | None:
    """The newest request for it, in whatever state."""
    where = (APPROVALS.c.job == job, APPROVALS.c.subject == subject, APPROVALS.c.cause == cause)
    row = connection.execute(select(APPROVALS).where(*where).order_by(APPROVALS.c.id.desc()).limit(1)).first()
    return record(Approval, row) if row else None


def pending_of(tx: Connection, digest: str) -> list[Approval]:
    """Pending requests for this very digest, kept as they are until the end of the transaction."""
    statement = select(APPROVALS).where(APPROVALS.c.digest == digest, APPROVALS.c.state == ApprovalState.PENDING)
    return [record(Approval, row) for row in tx.execute(statement.with_for_update())]


def last_denied(connection: Connection, digest: str, mode: str, since: datetime) -> Approval | None:
    """The newest denial of this very digest in this mode since then: who puts a proposal away has not said no to a repair."""
    where = (APPROVALS.c.digest == digest, APPROVALS.c.mode == mode)
    denied = (APPROVALS.c.state == ApprovalState.DENIED, APPROVALS.c.ended_at > since)
    row = connection.execute(select(APPROVALS).where(*where, *denied).order_by(APPROVALS.c.ended_at.desc()).limit(1)).first()
    return record(Approval, row) if row else None


def change(tx: Connection, approval_id: str, *, from_states: Collection[ApprovalState], **values: Any) -> bool:
    """Set columns, only from one of `from_states`; False when it is in another."""
    statement = update(APPROVALS).where(APPROVALS.c.id == approval_id, APPROVALS.c.state.in_(from_states))
    return tx.execute(statement.values(values)).rowcount == 1


def insert_decision(tx: Connection, decision: Decision) -> None:
    """Raises `IntegrityError` when this person has decided on it before."""
    tx.execute(insert(DECISIONS).values(asdict(decision)))


def decisions(connection: Connection, approval_id: str) -> list[Decision]:
    """Oldest first."""
    statement = select(DECISIONS).where(DECISIONS.c.approval_id == approval_id).order_by(DECISIONS.c.at, DECISIONS.c.id)
    return [record(Decision, row) for row in connection.execute(statement)]


def listing(
    connection: Connection,
    *,
    states: Collection[ApprovalState] | None = None,
    job: str | None = None,
    environments: Collection[str] | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Approval]:
    """Newest first; `before` is the id of the last one of the page before."""
    statement = select(APPROVALS).order_by(APPROVALS.c.id.desc()).limit(limit)
    if states is not None:
        statement = statement.where(APPROVALS.c.state.in_(states))
    if job is not None:
        statement = statement.where(APPROVALS.c.job == job)
    if environments is not None:
        statement = statement.where(APPROVALS.c.environment.in_(environments))
    if before is not None:
        statement = statement.where(APPROVALS.c.id < before)
    return [record(Approval, row) for row in connection.execute(statement)]


def due(connection: Connection, now: datetime, limit: int = 200) -> tuple[Sequence[Approval], Sequence[Approval]]:
    """Pending requests that have expired, and those whose deciders are to be reminded."""
    pending = select(APPROVALS).where(APPROVALS.c.state == ApprovalState.PENDING).limit(limit)
    over = connection.execute(pending.where(APPROVALS.c.expires_at <= now))
    soon = connection.execute(pending.where(APPROVALS.c.remind_at <= now, APPROVALS.c.expires_at > now))
    return [record(Approval, row) for row in over], [record(Approval, row) for row in soon]


def ended_between(
    connection: Connection, since: datetime, until: datetime, states: Collection[ApprovalState], limit: int = 1000
) -> list[Approval]:
    """Those that ended so in `[since, until)`, earliest first."""
    ended = (APPROVALS.c.state.in_(states), APPROVALS.c.ended_at >= since, APPROVALS.c.ended_at < until)
    rows = connection.execute(select(APPROVALS).where(*ended).order_by(APPROVALS.c.ended_at).limit(limit))
    return [record(Approval, row) for row in rows]


def counts(connection: Connection) -> Mapping[str, int]:
    """Numbers by state."""
    statement = select(APPROVALS.c.state, func.count()).group_by(APPROVALS.c.state)
    return {row[0]: row[1] for row in connection.execute(statement)}


def oldest_pending(connection: Connection) -> datetime | None:
    """When the oldest request was asked that waits for people."""
    statement = select(func.min(APPROVALS.c.asked_at)).where(APPROVALS.c.state == ApprovalState.PENDING)
    found: datetime | None = connection.execute(statement).scalar_one()
    return found
