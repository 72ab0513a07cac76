"""Deliveries and nights: what was said to whom, and what a digest covered."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.ledger.findings import OPEN_STATES
from worker.ledger.gate_tables import SUBSCRIPTIONS
from worker.ledger.rows import new_id, record
from worker.ledger.tables import BATCHES, DELIVERIES, EFFECTS, FINDINGS, NIGHTS, RUNS
from worker.records import DeliveryRow, DeliveryState, EffectOutcome, Run, RunKind, RunState

WEBHOOK = "webhook:"
"""Begins the channel of a subscription's deliveries; its id follows."""


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


def end_delivery(
    tx: Connection, delivery_id: str, *, state: DeliveryState, detail: str, at: datetime, reference: str | None = None
) -> None:
    """`reference`: the other side's id of what was delivered, by which it is answered or amended."""
    ended = None if state is DeliveryState.SENDING else at
    values = {"state": state, "detail": detail, "ended_at": ended, "reference": reference}
    tx.execute(update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(values))


def deliveries(
    connection: Connection,
    *,
    state: DeliveryState | None = None,
    kind: str | None = None,
    subject: str | None = None,
    family: str | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[DeliveryRow]:
    """Newest first; of a family: results of its batches, and events that it subscribed to."""
    statement = select(DELIVERIES).order_by(DELIVERIES.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(DELIVERIES.c.state == state)
    if kind is not None:
        statement = statement.where(DELIVERIES.c.kind == kind)
    if subject is not None:
        statement = statement.where(DELIVERIES.c.subject == subject)
    if before is not None:
        statement = statement.where(DELIVERIES.c.id < before)
    if family is not None:
        own_batch = DELIVERIES.c.subject.in_(select(BATCHES.c.id).where(BATCHES.c.family == family))
        webhooks = select(literal(WEBHOOK) + SUBSCRIPTIONS.c.id).where(SUBSCRIPTIONS.c.family == family)
        statement = statement.where(or_(own_batch & (DELIVERIES.c.kind == "callback"), DELIVERIES.c.channel.in_(webhooks)))
    return [record(DeliveryRow, row) for row in connection.execute(statement)]


def delivery(connection: Connection, delivery_id: str) -> DeliveryRow | None:
    row = connection.execute(select(DELIVERIES).where(DELIVERIES.c.id == delivery_id)).first()
    return record(DeliveryRow, row) if row else None


def change_delivery(
    tx: Connection, delivery_id: str, state: DeliveryState, *, from_state: DeliveryState, at: datetime | None
) -> bool:
    """False when it is in another state. `at`: when it ended; None: it goes on."""
    statement = update(DELIVERIES).where(DELIVERIES.c.id == delivery_id, DELIVERIES.c.state == from_state)
    return tx.execute(statement.values(state=state, ended_at=at)).rowcount == 1


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


def told_of(connection: Connection, subject: str, kinds: Collection[str]) -> dict[str, str | None]:
    """Where messages of these kinds about `subject` arrived, each with the reference of the first that did."""
    statement = select(DELIVERIES.c.channel, DELIVERIES.c.reference).where(
        DELIVERIES.c.subject == subject, DELIVERIES.c.kind.in_(kinds), DELIVERIES.c.state == DeliveryState.SENT
    )
    told: dict[str, str | None] = {}
    for channel, reference in connection.execute(statement.order_by(DELIVERIES.c.id)):
        told.setdefault(channel, reference)
    return told


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
class RunOfNight:
    """A run, and the entries that it was to look at."""

    id: str
    job: str
    environment: str
    state: RunState
    reason: str | None
    entries: Sequence[str]


def runs_between(connection: Connection, since: datetime, until: datetime) -> Iterator[RunOfNight]:
    """The runs of the batches made in `[since, until)`, newest first."""
    asked = (RUNS.c.id, RUNS.c.job, RUNS.c.environment, RUNS.c.state, RUNS.c.reason, RUNS.c.params, RUNS.c.entries_expected)
    newest_first = (RUNS.c.created_at.desc(), RUNS.c.id.desc())
    for row in connection.execute(_of_night(select(*asked), since, until).order_by(*newest_first)):
        names = [*row.params.get("entries", ()), *(target["name"] for target in row.params.get("targets", ()))]
        yield RunOfNight(
            id=row.id,
            job=row.job,
            environment=row.environment,
            state=RunState(row.state),
            reason=row.reason,
            entries=names or [row.job] * min(row.entries_expected, 1),
        )


def troubled_entries(connection: Connection) -> frozenset[tuple[str, str]]:
    """(job, entry) of everything that has an open finding, or could not be told about."""
    rows = connection.execute(select(FINDINGS.c.job, FINDINGS.c.entry).where(FINDINGS.c.state.in_(OPEN_STATES)).distinct())
    return frozenset((row.job, row.entry) for row in rows)


def runs_in_state(connection: Connection, since: datetime, until: datetime, state: RunState, limit: int = 1000) -> list[Run]:
    """Those of them that are in `state`, earliest first."""
    statement = _of_night(select(RUNS), since, until).where(RUNS.c.state == state)
    return [record(Run, row) for row in connection.execute(statement.order_by(RUNS.c.id).limit(limit))]


def runs_ended(connection: Connection, since: datetime, until: datetime, kind: RunKind, limit: int = 1000) -> list[Run]:
    """Runs of that kind that ended in `[since, until)`, earliest first."""
    ended = (RUNS.c.kind == kind, RUNS.c.ended_at >= since, RUNS.c.ended_at < until)
    return [record(Run, row) for row in connection.execute(select(RUNS).where(*ended).order_by(RUNS.c.ended_at).limit(limit))]


def half_done(connection: Connection, limit: int = 1000) -> list[Run]:
    """Effects in the queue that have changed something, or may have, earliest first."""
    begun = exists().where(EFFECTS.c.run_id == RUNS.c.id, EFFECTS.c.outcome.is_distinct_from(EffectOutcome.DID_NOT))
    waiting = (RUNS.c.kind == RunKind.EFFECT, RUNS.c.state == RunState.QUEUED, begun)
    return [record(Run, row) for row in connection.execute(select(RUNS).where(*waiting).order_by(RUNS.c.id).limit(limit))]


def _of_night(statement: Select[Any], since: datetime, until: datetime) -> Select[Any]:
    made = (BATCHES.c.created_at >= since, BATCHES.c.created_at < until)
    return statement.join_from(RUNS, BATCHES, RUNS.c.batch_id == BATCHES.c.id).where(*made)
