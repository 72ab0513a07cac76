"""Effects: one row per run and step, written as an intent before the outside change, ended by its outcome."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from worker.ledger.rows import record
from worker.ledger.tables import EFFECTS, RUNS, STATE
from worker.ledger.types import database_now
from worker.records import Effect, EffectOutcome, LedgerState, Run, RunKind, RunState


def of_run(connection: Connection, run_id: str) -> list[Effect]:
    """In the order of their intents."""
    rows = connection.execute(select(EFFECTS).where(EFFECTS.c.run_id == run_id).order_by(EFFECTS.c.intent_at, EFFECTS.c.step))
    return [record(Effect, row) for row in rows]


def hold_run(tx: Connection, run: Run, *, margin_seconds: float) -> Run | None:
    """The run as it is now, kept until the end of the transaction; None unless the lease is ours for `margin_seconds` more."""
    statement = select(RUNS).where(
        RUNS.c.id == run.id,
        RUNS.c.state == RunState.RUNNING,
        RUNS.c.fence == run.fence,
        RUNS.c.lease_owner == run.lease_owner,
        RUNS.c.lease_until > database_now(bindparam("margin", margin_seconds)),
    )
    row = tx.execute(statement.with_for_update()).first()
    return record(Run, row) if row else None


def hold_state(tx: Connection) -> LedgerState:
    """Brakes and revision, which nobody changes until the end of the transaction."""
    return record(LedgerState, tx.execute(select(STATE).with_for_update(read=True)).one())


def intend(tx: Connection, run: Run, step: str, *, at: datetime, process: Mapping[str, Any]) -> bool:
    """Write the intent; over an earlier one only if that never happened. False: the step has an outcome, or nobody knows."""
    values = {"fence": run.fence, "intent_at": at, "process": dict(process), "outcome": None, "outcome_at": None, "receipt": {}}
    again = update(EFFECTS).where(*_at(run, step), EFFECTS.c.outcome == EffectOutcome.DID_NOT)
    if tx.execute(again.values({**values, "detail": ""})).rowcount == 1:
        return True
    if tx.execute(select(EFFECTS.c.step).where(*_at(run, step))).first() is not None:
        return False
    tx.execute(insert(EFFECTS).values(run_id=run.id, step=step, key=f"{run.id}:{step}", detail="", **values))
    return True


def witness(tx: Connection, run: Run, step: str, process: Mapping[str, Any]) -> bool:
    """Name the process that does the step, before it starts; only for the intent of this very fence."""
    mine = update(EFFECTS).where(*_at(run, step), EFFECTS.c.fence == run.fence, EFFECTS.c.outcome.is_(None))
    return tx.execute(mine.values(process=dict(process))).rowcount == 1


def conclude(
    tx: Connection,
    run: Run,
    step: str,
    *,
    outcome: EffectOutcome,
    at: datetime,
    receipt: Mapping[str, Any],
    detail: str = "",
) -> bool:
    """Write the outcome of an open intent. The caller has made sure that the run is its own: see `hold_run`."""
    statement = update(EFFECTS).where(*_at(run, step), EFFECTS.c.outcome.is_(None))
    values = {"outcome": outcome, "outcome_at": at, "receipt": dict(receipt), "detail": detail}
    return tx.execute(statement.values(values)).rowcount == 1


def settle(
    tx: Connection, run_id: str, *, over: EffectOutcome | None, outcome: EffectOutcome, at: datetime, detail: str
) -> list[str]:
    """A person's word on every step whose outcome is `over` (None: open); the steps."""
    now_is = EFFECTS.c.outcome.is_(None) if over is None else EFFECTS.c.outcome == over
    statement = update(EFFECTS).where(EFFECTS.c.run_id == run_id, now_is)
    values = {"outcome": outcome, "outcome_at": at, "detail": detail}
    return sorted(tx.execute(statement.values(values).returning(EFFECTS.c.step)).scalars())


def subjects_changed(connection: Connection, job: str, environment: str, since: datetime) -> set[str]:
    """Subjects of which a step was begun since then."""
    statement = select(RUNS.c.subject).distinct().join(EFFECTS, EFFECTS.c.run_id == RUNS.c.id)
    begun = statement.where(RUNS.c.job == job, RUNS.c.environment == environment, EFFECTS.c.intent_at > since)
    return {subject for subject in connection.execute(begun).scalars() if subject is not None}


def hold_radius(tx: Connection, job: str, environment: str) -> None:
    """No other transaction holds the same until the end of this one. SQLite has one writer at a time anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{job}\n{environment}", 0))))


def in_hand(connection: Connection, job: str, subject: str, *, besides: str = "") -> Run | None:
    """An effect run of this subject that has not ended, or that a person must settle first; `besides` is passed over."""
    open_states = (RunState.QUEUED, RunState.RUNNING, RunState.NEEDS_ATTENTION)
    statement = select(RUNS).where(RUNS.c.job == job, RUNS.c.subject == subject, RUNS.c.kind == RunKind.EFFECT)
    row = connection.execute(statement.where(RUNS.c.state.in_(open_states), RUNS.c.id != besides).limit(1)).first()
    return record(Run, row) if row else None


def _at(run: Run, step: str) -> tuple[Any, ...]:
    return EFFECTS.c.run_id == run.id, EFFECTS.c.step == step
