"""The turns of a run that need no look in between: queued, taken, ended with nothing to tell of. Each writes all that goes with
it: the run, its audit row, its batch, whom the outbox is to tell.

On PostgreSQL a turn is one statement, a transaction of its own (`Ledger.turn`) and one trip instead of four or ten. SQLite has
no such statements, and no trips.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql

from worker.ledger import audit_rows, batches, gates, leases, outbox, runs
from worker.ledger.gate_tables import SUBSCRIPTIONS
from worker.ledger.rows import record
from worker.ledger.tables import AUDIT, BATCHES, FINDINGS, OUTBOX, RUNS, STATE
from worker.ledger.types import JSON_TYPE, Instant
from worker.records import Actor, ActorKind, AuditEntry, Batch, FindingState, Run, RunKind, SubscriptionState, Topic

_AT = bindparam("told_at", type_=Instant())
_BY = bindparam("told_by", type_=AUDIT.c.actor.type)
_FACTS = bindparam("told_facts", type_=JSON_TYPE)
_OUTBOX_COLUMNS = ["topic", "subject", "payload", "attempts", "not_before", "created_at"]


def _audit_row(
    verb: ColumnElement[str], kind: str, subject: ColumnElement[str], facts: ColumnElement[Any], *only: ColumnElement[bool]
) -> Select[Any]:
    return select(_AT, _BY, verb, literal(kind), subject, facts).where(*only)


def _audit(*rows: Select[Any]) -> CTE:
    """One statement for all rows: those of several would be numbered in any order."""
    columns = ["at", "actor", "verb", "object_kind", "object_id", "facts"]
    return insert(AUDIT).from_select(columns, union_all(*rows), include_defaults=False).cte("audited")


_MADE = (
    postgresql.insert(BATCHES)
    .from_select(
        list(BATCHES.c.keys()),
        select(*(STATE.c.epoch if c.name == "epoch" else bindparam(f"batch_{c.name}", type_=c.type) for c in BATCHES.c)),
        include_defaults=False,
    )
    .on_conflict_do_nothing()
    .returning(BATCHES.c.id, BATCHES.c.epoch)
    .cte("made")
)
_QUEUED = (
    insert(RUNS)
    .from_select(
        list(RUNS.c.keys()),
        select(*(_MADE.c.epoch if c.name == "epoch" else bindparam(f"run_{c.name}", type_=c.type) for c in RUNS.c)),
        include_defaults=False,
    )
    .cte("queued")
)
_BELL = (literal(Topic.BELL.value), bindparam("run_id", type_=RUNS.c.id.type), literal({}, JSON_TYPE), literal(1))
_RUNG = (
    insert(OUTBOX)
    .from_select(
        _OUTBOX_COLUMNS,
        select(*_BELL, bindparam("again_at", type_=Instant()), _AT).select_from(_MADE),
        include_defaults=False,
    )
    .cte("rung")
)
_QUEUE = select(_MADE.c.epoch).add_cte(_QUEUED, _RUNG, _audit(_audit_row(literal("batch.queued"), "batch", _MADE.c.id, _FACTS)))


def queue_one(tx: Connection, batch: Batch, run: Run, told: AuditEntry, *, again_at: datetime) -> int | None:
    """On PostgreSQL: write a batch of one run, its bell, which the caller rings and which is due again then, and its audit row.

    Returns the ledger's epoch, which both have; None: the batch's key is taken.
    """
    values = {f"batch_{name}": value for name, value in batches.values(batch).items()}
    values |= {f"run_{name}": value for name, value in runs.values(run).items()}
    audit = {"told_at": told.at, "told_by": told.actor, "told_facts": dict(told.facts), "again_at": again_at}
    row = tx.execute(_QUEUE, values | audit).first()
    return row.epoch if row else None


_CLAIMED = leases.CLAIM.cte("claimed")
_STARTED = func.jsonb_build_object(
    "job", _CLAIMED.c.job, "fence", _CLAIMED.c.fence, "attempt", _CLAIMED.c.attempts, "revision", _CLAIMED.c.revision
)
_TAKE = select(_CLAIMED).add_cte(_audit(_audit_row(literal("run.started"), "run", _CLAIMED.c.id, _STARTED)))


def take(
    tx: Connection,
    run_id: str,
    *,
    job: str,
    kind: RunKind,
    owner: str,
    worker: str,
    lease_seconds: float,
    at: datetime,
    memory_budget: int = 0,
) -> Run | None:
    """See `leases.claim`; with its audit row."""
    actor = str(Actor(ActorKind.WORKER, worker))
    if tx.dialect.name == "postgresql":
        values = leases.claim_values(
            run_id, job=job, owner=owner, worker=worker, lease_seconds=lease_seconds, kinds=(kind,), memory_budget=memory_budget
        )
        row = tx.execute(_TAKE, {**values, "told_at": at, "told_by": actor}).first()
        return record(Run, row) if row else None
    run = leases.claim(
        tx,
        run_id,
        job=job,
        owner=owner,
        worker=worker,
        lease_seconds=lease_seconds,
        kinds=(kind,),
        memory_budget=memory_budget,
    )
    if run is None:
        return None
    facts = {"job": run.job, "fence": run.fence, "attempt": run.attempts, "revision": run.revision}
    audit_rows.append(tx, AuditEntry(at=at, actor=actor, verb="run.started", object_kind="run", object_id=run.id, facts=facts))
    return run


_FOUND = exists().where(
    FINDINGS.c.job == RUNS.c.job,
    FINDINGS.c.entry.in_(bindparam("entries", expanding=True)),
    FINDINGS.c.state != FindingState.RESOLVED,
)
# Who is told that a run has finished is for `flow` to say.
_SUBSCRIBED = exists().where(SUBSCRIPTIONS.c.state == SubscriptionState.ACTIVE)
_FINISH = leases.FINISH.where(~_FOUND, ~_SUBSCRIBED)
_FINISHED = _FINISH.returning(RUNS.c.id, RUNS.c.batch_id, RUNS.c.ended_at).cte("finished")
# A batch ends when the last of its runs does, once: its time says by which run.
_LAST = and_(BATCHES.c.remaining <= 1, BATCHES.c.ended_at.is_(None))
_COUNTED = (
    update(BATCHES)
    .where(BATCHES.c.id == _FINISHED.c.batch_id)
    .values(remaining=BATCHES.c.remaining - 1, ended_at=case((_LAST, _FINISHED.c.ended_at), else_=BATCHES.c.ended_at))
    .returning(*BATCHES.c, and_(BATCHES.c.remaining <= 0, BATCHES.c.ended_at == _FINISHED.c.ended_at).label("closed"))
    .cte("counted")
)
_AUDITED = _audit(
    _audit_row(bindparam("told_verb", type_=AUDIT.c.verb.type), "run", _FINISHED.c.id, _FACTS),
    _audit_row(
        literal("batch.ended"),
        "batch",
        _COUNTED.c.id,
        func.jsonb_build_object("runs", _COUNTED.c.total, "schedule", _COUNTED.c.schedule),
        _COUNTED.c.closed,
    ),
)


def _put(topic: Topic, wanted: ColumnElement[bool]) -> Select[Any]:
    row = (literal(topic.value), _COUNTED.c.id, literal({}, JSON_TYPE), literal(0), _AT, _AT)
    return select(*row).where(_COUNTED.c.closed, wanted)


# A run that asked people does not end quietly, and the batch of a question has no other run: so none waits for an answer here.
_TOLD = (
    insert(OUTBOX)
    .from_select(
        _OUTBOX_COLUMNS,
        union_all(_put(Topic.CALLBACK, _COUNTED.c.callback.is_not(None)), _put(Topic.PING, _COUNTED.c.schedule.is_not(None))),
        include_defaults=False,
    )
    .cte("told")
)
_END = select(_FINISHED.c.id).add_cte(_AUDITED, _TOLD)


def end_quietly(tx: Connection, run: Run, entries: Collection[str], told: AuditEntry, said: leases.Finish) -> bool:
    """See `leases.finish`, for a run whose `entries` have no finding that still stands; with its audit row and its batch.

    False: they have one, somebody subscribed to events, or the run is not ours any more; nothing was written.
    """
    values = {**leases.finish_values(run, said), "entries": list(entries)}
    if tx.dialect.name == "postgresql":
        audit = {"told_at": told.at, "told_by": told.actor, "told_verb": told.verb, "told_facts": dict(told.facts)}
        return tx.execute(_END, {**values, **audit}).first() is not None
    if tx.execute(_FINISH, values).rowcount != 1:
        return False
    audit_rows.append(tx, told)
    close_if_last(tx, run, told.at)
    return True


def close_if_last(tx: Connection, run: Run, now: datetime) -> Batch | None:
    """Count the batch down; with its last run it ends, and whoever asked is told; of a question, once it is answered."""
    batch = batches.run_ended(tx, run.batch_id)
    if batch is None:
        return None
    actor = Actor(ActorKind.WORKER, run.worker or "ledger")
    facts = {"runs": batch.total, "schedule": batch.schedule}
    audit_rows.append(
        tx, AuditEntry(at=now, actor=str(actor), verb="batch.ended", object_kind="batch", object_id=batch.id, facts=facts)
    )
    if batch.callback and not gates.waiting(tx, batch.id):
        outbox.put(tx, Topic.CALLBACK, batch.id, at=now, not_before=now)
    if batch.schedule:
        outbox.put(tx, Topic.PING, batch.id, at=now, not_before=now)
    return batch
