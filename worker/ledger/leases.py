"""Conditional statements on a run's lease, from claim to outcome. Only the holder of the fence writes."""

from collections.abc import Collection, Mapping
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Float, bindparam, or_, select, update

from worker.ledger import slots
from worker.ledger.rows import record
from worker.ledger.runs import get
from worker.ledger.tables import RUNS, STATE
from worker.ledger.types import database_now
from worker.records import Run, RunKind, RunState

_LEASE = bindparam("lease_seconds", type_=Float)
_REVISION = select(STATE.c.revision).scalar_subquery()
_EPOCH = select(STATE.c.epoch).scalar_subquery()

_OTHER = RUNS.alias("other")
_IN_HAND = select(_OTHER.c.id).where(
    _OTHER.c.job == RUNS.c.job,
    _OTHER.c.subject == RUNS.c.subject,
    _OTHER.c.kind == RunKind.EFFECT,
    _OTHER.c.state.in_([RunState.RUNNING, RunState.NEEDS_ATTENTION]),
    _OTHER.c.id != RUNS.c.id,
)
CLAIM = (
    update(RUNS)
    .where(
        RUNS.c.id == bindparam("run_id"),
        RUNS.c.job == bindparam("of_job"),
        RUNS.c.state == RunState.QUEUED,
        RUNS.c.epoch == _EPOCH,
        RUNS.c.kind.in_(bindparam("of_kinds", expanding=True)),
        # The lock (job, subject); of two claims at once the unique index refuses one.
        or_(RUNS.c.kind != RunKind.EFFECT, ~_IN_HAND.exists()),
        *slots.ROOM,
    )
    .values(
        state=RunState.RUNNING,
        fence=RUNS.c.fence + 1,
        attempts=RUNS.c.attempts + 1,
        lease_owner=bindparam("by"),
        lease_until=database_now(_LEASE),
        started_at=database_now(),
        worker=bindparam("at_worker"),
        revision=_REVISION,
        **slots.TAKEN,
    )
    .returning(*RUNS.c)
)


def claim(
    tx: Connection,
    run_id: str,
    *,
    job: str,
    owner: str,
    worker: str,
    lease_seconds: float,
    kinds: Collection[RunKind] = tuple(RunKind),
    memory_budget: int = 0,
) -> Run | None:
    """queued → running under the next fence. None: not queued, of another job or kind, of an older epoch, without room (see
    `slots`), or an effect whose subject another run has in hand. Raises `IntegrityError` when another run was claimed at this
    very moment that took the room or the subject. `memory_budget`: of this worker, in MiB; 0: any.
    """
    values = claim_values(
        run_id, job=job, owner=owner, worker=worker, lease_seconds=lease_seconds, kinds=kinds, memory_budget=memory_budget
    )
    row = tx.execute(CLAIM, values).first()
    return record(Run, row) if row else None


def claim_values(
    run_id: str,
    *,
    job: str,
    owner: str,
    worker: str,
    lease_seconds: float,
    kinds: Collection[RunKind],
    memory_budget: int = 0,
) -> dict[str, Any]:
    """What `CLAIM` is executed with."""
    return {
        "run_id": run_id,
        "of_job": job,
        "of_kinds": list(kinds),
        "by": owner,
        "at_worker": worker,
        "lease_seconds": lease_seconds,
        "memory_budget": memory_budget,
    }


_HELD = (
    RUNS.c.id == bindparam("run_id"),
    RUNS.c.state == RunState.RUNNING,
    RUNS.c.fence == bindparam("at_fence"),
    RUNS.c.lease_owner == bindparam("by"),
)

_EXTEND = (
    update(RUNS)
    .where(*_HELD)
    .values(lease_until=database_now(_LEASE), progress=bindparam("shown"))
    .returning(RUNS.c.cancel_requested_by)
)


def extend(tx: Connection, run: Run, *, lease_seconds: float, progress: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Renew the lease and show progress. (False, …) when the lease is no longer ours; else who wants it cancelled."""
    parameters = {
        **_holder(run),
        "lease_seconds": lease_seconds,
        "shown": dict(progress),
    }
    row = tx.execute(_EXTEND, parameters).first()
    return (False, None) if row is None else (True, row[0])


FINISH = (
    update(RUNS)
    .where(*_HELD)
    .values(
        state=bindparam("to_state"),
        verdict=bindparam("said"),
        reason=bindparam("why"),
        summary=bindparam("told"),
        counts=bindparam("counted"),
        progress=bindparam("shown"),
        lease_until=None,
        ended_at=database_now(),
    )
)


class Finish(TypedDict):
    """What an outcome writes on its run."""

    state: RunState
    verdict: str | None
    reason: str | None
    summary: str
    counts: Mapping[str, int]
    progress: Mapping[str, Any]


def finish(tx: Connection, run: Run, **said: Unpack[Finish]) -> bool:
    """running → a terminal state, only for the fence holder, whose token stays on the row: see `finished_by`."""
    return tx.execute(FINISH, finish_values(run, said)).rowcount == 1


def finish_values(run: Run, said: Finish) -> dict[str, Any]:
    """What `FINISH` is executed with."""
    return {
        **_holder(run),
        "to_state": said["state"],
        "said": said["verdict"],
        "why": said["reason"],
        "told": said["summary"],
        "counted": dict(said["counts"]),
        "shown": dict(said["progress"]),
    }


def finished_by(connection: Connection, run: Run) -> bool:
    """Whether this very holder's outcome is on the row: what to ask after an exception around COMMIT."""
    found = get(connection, run.id)
    return found is not None and found.state.terminal and (found.fence, found.lease_owner) == (run.fence, run.lease_owner)


def held_by(connection: Connection, run_id: str, owner: str) -> Run | None:
    """The run this owner's claim took, if that claim was committed."""
    found = get(connection, run_id)
    return found if found is not None and found.state is RunState.RUNNING and found.lease_owner == owner else None


def release(tx: Connection, run: Run) -> bool:
    """running → queued at a boundary (drain), only by the fence holder; the attempt is not counted."""
    statement = update(RUNS).where(*_HELD)
    values = {
        "state": RunState.QUEUED,
        "lease_owner": None,
        "lease_until": None,
        "attempts": RUNS.c.attempts - 1,
    }
    return tx.execute(statement.values(values), _holder(run)).rowcount == 1


def _holder(run: Run) -> dict[str, Any]:
    return {"run_id": run.id, "at_fence": run.fence, "by": run.lease_owner}


def expired(connection: Connection, limit: int = 500) -> list[Run]:
    """Running runs whose lease ended, on the database's clock."""
    statement = select(RUNS).where(RUNS.c.state == RunState.RUNNING, RUNS.c.lease_until < database_now())
    return [record(Run, row) for row in connection.execute(statement.order_by(RUNS.c.lease_until).limit(limit))]


def take_lost(tx: Connection, run: Run, *, state: RunState, reason: str | None, summary: str = "") -> bool:
    """End the lease of a dead owner: to queued or a terminal state. False when the owner came back or it moved on."""
    statement = update(RUNS).where(
        RUNS.c.id == run.id,
        RUNS.c.state == RunState.RUNNING,
        RUNS.c.fence == run.fence,
        RUNS.c.lease_until == run.lease_until,
        RUNS.c.lease_until < database_now(),
    )
    values: dict[str, Any] = {
        "state": state,
        "reason": reason,
        "lease_owner": None,
        "lease_until": None,
    }
    if state.terminal:
        values |= {"ended_at": database_now(), "summary": summary}
    return tx.execute(statement.values(values)).rowcount == 1
