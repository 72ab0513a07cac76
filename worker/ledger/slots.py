"""Room for a run: slots of the account that it shares with others, and of the memory of its worker.

A slot is a number on a running run, and a unique index refuses two runs one slot: of two claims that see the same room, one
gets it. It is free as soon as the run is not running any more, however it ended; nothing is to be given back.
"""

from collections.abc import Callable, Collection

from sqlalchemy import ColumnElement, Connection, FromClause, Integer, and_, bindparam, case, func, null, or_, select

from worker.ledger.rows import record
from worker.ledger.tables import RUNS
from worker.records import Run, RunState

_BESIDE, _NEXT = RUNS.alias("beside"), RUNS.alias("next")
_BUDGET = bindparam("memory_budget", type_=Integer)
Same = Callable[[FromClause], ColumnElement[bool]]


def _of_account(runs: FromClause) -> ColumnElement[bool]:
    return and_(runs.c.state == RunState.RUNNING, runs.c.account == RUNS.c.account)


def _of_worker(runs: FromClause) -> ColumnElement[bool]:
    at = bindparam("at_worker", type_=RUNS.c.worker.type)
    return and_(runs.c.state == RunState.RUNNING, runs.c.worker == at, runs.c.memory_mb.is_not(None))


def _first_free(slot: str, same: Same) -> ColumnElement[int]:
    taken = select(_BESIDE.c.id).where(same(_BESIDE), _BESIDE.c[slot] == 0).exists()
    after = select(_NEXT.c.id).where(same(_NEXT), _NEXT.c[slot] == _BESIDE.c[slot] + 1).exists()
    gap = select(func.min(_BESIDE.c[slot]) + 1).where(same(_BESIDE), ~after).scalar_subquery()
    return case((taken, gap), else_=0)


_RUNNING = select(func.count()).select_from(_BESIDE).where(_of_account(_BESIDE)).scalar_subquery()
_USED = select(func.coalesce(func.sum(_BESIDE.c.memory_mb), 0)).where(_of_worker(_BESIDE)).scalar_subquery()

ROOM = (
    or_(RUNS.c.account.is_(None), RUNS.c.account_limit > _RUNNING),
    # What is too big for its worker alone runs alone.
    or_(RUNS.c.memory_mb.is_(None), _BUDGET == 0, _USED == 0, _USED + RUNS.c.memory_mb <= _BUDGET),
)
"""What a claim asks besides."""
TAKEN = {
    "account_slot": case((RUNS.c.account.is_(None), null()), else_=_first_free("account_slot", _of_account)),
    "worker_slot": case((or_(RUNS.c.memory_mb.is_(None), _BUDGET == 0), null()), else_=_first_free("worker_slot", _of_worker)),
}
"""What a claim writes besides."""


def full_accounts(connection: Connection, accounts: Collection[str]) -> frozenset[str]:
    """Those of them of which as many runs go as may."""
    taken = select(RUNS.c.account, func.count().label("running"), func.min(RUNS.c.account_limit).label("most"))
    going = taken.where(RUNS.c.account.in_(accounts), RUNS.c.state == RunState.RUNNING).group_by(RUNS.c.account)
    return frozenset(row.account for row in connection.execute(going) if row.running >= row.most)


def next_in_line(connection: Connection, ended: Run) -> list[Run]:
    """Who may go on now that `ended` has left its slots: the oldest of its account, and the oldest other one with room."""
    queued = (
        select(RUNS)
        .where(RUNS.c.state == RunState.QUEUED, RUNS.c.kind == ended.kind)
        .order_by(RUNS.c.created_at, RUNS.c.position)
    )
    room = or_(RUNS.c.account.is_(None), RUNS.c.account_limit > _RUNNING)
    found: dict[str, Run] = {}
    if ended.account is not None:
        found |= {
            row.id: record(Run, row) for row in connection.execute(queued.where(RUNS.c.account == ended.account, room).limit(1))
        }
    if ended.memory_mb is not None:
        found |= {
            row.id: record(Run, row) for row in connection.execute(queued.where(RUNS.c.memory_mb.is_not(None), room).limit(2))
        }
    return list(found.values())[:2]
