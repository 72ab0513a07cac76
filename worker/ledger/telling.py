"""Deliveries and nights: what was said to whom, and what a digest covered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.ledger.rows import new_id, record
from worker.ledger.tables import BATCHES, DELIVERIES, NIGHTS, RUNS
from worker.records import DeliveryRow, DeliveryState, Run, RunState


def begin_delivery(
    tx: Connection,
    *,
    message_id: str,
    kind: str,
    channel: str,
    subject: str,
    at: datetime,
) -> DeliveryRow:
    """The delivery of this message to this channel, made if it is the first attempt; one more attempt is counted."""
    upsert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    row = {
        "id": new_id(),
        "message_id": message_id,
        "kind": kind,
        "channel": channel,
        "subject": subject,
    }
    values = {
        **row,
        "state": DeliveryState.SENDING,
        "attempts": 1,
        "detail": "",
        "created_at": at,
    }
    again = {"attempts": DELIVERIES.c.attempts + 1}
    statement = upsert(DELIVERIES).values(values)
    keys = [DELIVERIES.c.message_id, DELIVERIES.c.channel]
    result = tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=again).returning(*DELIVERIES.c))
    return record(DeliveryRow, result.one())


def end_delivery(tx: Connection, delivery_id: str, *, state: DeliveryState, detail: str, at: datetime) -> None:
    ended = None if state is DeliveryState.SENDING else at
    tx.execute(update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(state=state, detail=detail, ended_at=ended))


def deliveries(
    connection: Connection,
    *,
    state: DeliveryState | None = None,
    subject: str | None = None,
    limit: int = 100,
) -> list[DeliveryRow]:
    """Newest first."""
    statement = select(DELIVERIES).order_by(DELIVERIES.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(DELIVERIES.c.state == state)
    if subject is not None:
        statement = statement.where(DELIVERIES.c.subject == subject)
    return [record(DeliveryRow, row) for row in connection.execute(statement)]


def sent_since(connection: Connection, channel: str, since: datetime) -> int:
    """How many deliveries this channel took since then (for caps)."""
    statement = select(DELIVERIES.c.id).where(
        DELIVERIES.c.channel == channel,
        DELIVERIES.c.state == DeliveryState.SENT,
        DELIVERIES.c.ended_at >= since,
    )
    return len(connection.execute(statement).all())


def was_sent(connection: Connection, message_id: str, channel: str) -> bool:
    statement = select(DELIVERIES.c.id).where(
        DELIVERIES.c.message_id == message_id, DELIVERIES.c.channel == channel, DELIVERIES.c.state == DeliveryState.SENT
    )
    return connection.execute(statement).first() is not None


def close_night(
    tx: Connection,
    *,
    fire_key: str,
    since: datetime,
    until: datetime,
    content: Mapping[str, Any],
) -> bool:
    """Write the night once; False when another process closed it."""
    upsert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {
        "fire_key": fire_key,
        "since": since,
        "until": until,
        "content": dict(content),
    }
    made = upsert(NIGHTS).values(values).on_conflict_do_nothing().returning(NIGHTS.c.fire_key)
    return tx.execute(made).first() is not None


def last_night(
    connection: Connection,
) -> tuple[str, datetime, datetime, Mapping[str, Any]] | None:
    """(fire key, since, until, content) of the newest closed night."""
    row = connection.execute(select(NIGHTS).order_by(NIGHTS.c.until.desc()).limit(1)).first()
    return (row.fire_key, row.since, row.until, row.content) if row else None


def night(connection: Connection, fire_key: str) -> tuple[str, datetime, datetime, Mapping[str, Any]] | None:
    row = connection.execute(select(NIGHTS).where(NIGHTS.c.fire_key == fire_key)).first()
    return (row.fire_key, row.since, row.until, row.content) if row else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsAlike:
    """Runs of one night that are alike in job, state and reason."""

    job: str
    state: RunState
    reason: str | None
    runs: int
    entries_expected: int
    counts: Mapping[str, int]
    """Numbers of entries by outcome, over all these runs."""


def runs_between(connection: Connection, since: datetime, until: datetime) -> list[RunsAlike]:
    """The runs of the batches made in `[since, until)`, grouped in the database: a night may have ten thousand."""
    alike = (RUNS.c.job, RUNS.c.state, RUNS.c.reason, RUNS.c.counts)
    numbers = (func.count().label("runs"), func.sum(RUNS.c.entries_expected).label("expected"))
    rows = connection.execute(_of_night(select(*alike, *numbers), since, until).group_by(*alike).order_by(*alike[:3]))
    return [
        RunsAlike(
            job=row.job,
            state=RunState(row.state),
            reason=row.reason,
            runs=row.runs,
            entries_expected=int(row.expected),
            counts={outcome: number * row.runs for outcome, number in row.counts.items()},
        )
        for row in rows
    ]


def runs_in_state(connection: Connection, since: datetime, until: datetime, state: RunState, limit: int = 1000) -> list[Run]:
    """Those of them that are in `state`, earliest first."""
    statement = _of_night(select(RUNS), since, until).where(RUNS.c.state == state)
    return [record(Run, row) for row in connection.execute(statement.order_by(RUNS.c.id).limit(limit))]


def _of_night(statement: Select[Any], since: datetime, until: datetime) -> Select[Any]:
    made = (BATCHES.c.created_at >= since, BATCHES.c.created_at < until)
    return statement.join_from(RUNS, BATCHES, RUNS.c.batch_id == BATCHES.c.id).where(*made)
