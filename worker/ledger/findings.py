"""Findings over their life: new, seen again, gone; acknowledged, muted; and whom we told."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, or_, select, update

from tasks.model import Severity
from worker.ledger.rows import record
from worker.ledger.tables import FINDINGS, TELLINGS
from worker.records import FindingRow, FindingState

_RANK = case({severity.value: severity.rank for severity in Severity}, value=FINDINGS.c.severity, else_=-1)
OPEN_STATES = (FindingState.OPEN, FindingState.ACKNOWLEDGED, FindingState.MUTED)


_OF_ENTRIES = (
    select(FINDINGS)
    .where(FINDINGS.c.job == bindparam("of_job"), FINDINGS.c.entry.in_(bindparam("entries", expanding=True)))
    .order_by(FINDINGS.c.entry, FINDINGS.c.key)
    .with_for_update()
)


def of_entries(tx: Connection, job: str, entries: Collection[str]) -> list[FindingRow]:
    """All rows of these entries, resolved ones too, locked for this transaction where the database can."""
    rows = tx.execute(_OF_ENTRIES, {"of_job": job, "entries": list(entries)})
    return [record(FindingRow, row) for row in rows]


def insert_finding(tx: Connection, row: FindingRow) -> None:
    tx.execute(insert(FINDINGS).values(asdict(row)))


def replace(tx: Connection, row: FindingRow) -> None:
    """Write all columns of a row that `of_entries` locked."""
    values = asdict(row)
    tx.execute(update(FINDINGS).where(FINDINGS.c.id == values.pop("id")).values(values))


def set_state(
    tx: Connection,
    finding_id: str,
    *,
    state: FindingState,
    by: str,
    reason: str,
    from_states: Collection[FindingState],
    muted_until: datetime | None = None,
) -> bool:
    """Acknowledge, mute, unmute; False when the finding is not in one of `from_states`."""
    statement = update(FINDINGS).where(FINDINGS.c.id == finding_id, FINDINGS.c.state.in_(from_states))
    values = {
        "state": state,
        "state_by": by,
        "state_reason": reason,
        "muted_until": muted_until,
    }
    return tx.execute(statement.values(values)).rowcount == 1


def retire(tx: Connection, finding_id: str, *, at: datetime, reason: str, observed_at: datetime, by: str = "sweeper") -> bool:
    """Resolve a finding that nobody looks for any more, unless it was seen again meanwhile."""
    statement = update(FINDINGS).where(
        FINDINGS.c.id == finding_id, FINDINGS.c.state.in_(OPEN_STATES), FINDINGS.c.observed_at == observed_at
    )
    values = {"state": FindingState.RESOLVED, "resolved_at": at, "state_by": by, "state_reason": reason}
    return tx.execute(statement.values(values)).rowcount == 1


def end_mute(tx: Connection, finding_id: str, *, by: str, reason: str, now: datetime) -> bool:
    """Muted → open, and news to those who knew; False when it is not muted any more, or was muted anew for longer."""
    statement = update(FINDINGS).where(
        FINDINGS.c.id == finding_id, FINDINGS.c.state == FindingState.MUTED, FINDINGS.c.muted_until <= now
    )
    values = {"state": FindingState.OPEN, "state_by": by, "state_reason": reason, "muted_until": None}
    if tx.execute(statement.values(values)).rowcount == 0:
        return False
    forget_openings(tx, finding_id)
    return True


def mutes_over(connection: Connection, now: datetime) -> list[FindingRow]:
    """Muted findings whose mute has expired."""
    statement = select(FINDINGS).where(FINDINGS.c.state == FindingState.MUTED, FINDINGS.c.muted_until <= now)
    return [record(FindingRow, row) for row in connection.execute(statement)]


def get(connection: Connection, finding_id: str) -> FindingRow | None:
    row = connection.execute(select(FINDINGS).where(FINDINGS.c.id == finding_id)).first()
    return record(FindingRow, row) if row else None


def listing(
    connection: Connection,
    *,
    job: str | None = None,
    states: Collection[FindingState] = OPEN_STATES,
    environment: str | None = None,
    run_id: str | None = None,
    touched_since: datetime | None = None,
    limit: int = 500,
) -> list[FindingRow]:
    """Worst first, then newest, so that `limit` cuts off the mildest.

    `run_id`: that run saw it last; `touched_since`: opened or resolved since then.
    """
    ordered = (_RANK.desc(), FINDINGS.c.opened_at.desc(), FINDINGS.c.id)
    statement = select(FINDINGS).where(FINDINGS.c.state.in_(states)).order_by(*ordered)
    if job is not None:
        statement = statement.where(FINDINGS.c.job == job)
    if environment is not None:
        statement = statement.where(FINDINGS.c.environment == environment)
    if run_id is not None:
        statement = statement.where(FINDINGS.c.run_id == run_id)
    if touched_since is not None:
        statement = statement.where(
            or_(
                FINDINGS.c.opened_at >= touched_since,
                FINDINGS.c.resolved_at >= touched_since,
            )
        )
    return [record(FindingRow, row) for row in connection.execute(statement.limit(limit))]


def counts(connection: Connection) -> Mapping[tuple[str, str], int]:
    """Numbers by (state, severity)."""
    statement = select(FINDINGS.c.state, FINDINGS.c.severity, func.count()).group_by(FINDINGS.c.state, FINDINGS.c.severity)
    return {(state, severity): number for state, severity, number in connection.execute(statement)}


def tellings(connection: Connection, finding_id: str, what: str) -> Mapping[str, datetime]:
    """By channel: when we last told that this finding is `opened`, or `resolved`."""
    rows = connection.execute(select(TELLINGS).where(TELLINGS.c.finding_id == finding_id, TELLINGS.c.what == what))
    return {row.channel: row.last_told_at for row in rows}


def told(tx: Connection, finding_id: str, channel: str, what: str, at: datetime) -> None:
    """Remember one telling."""
    mine = (TELLINGS.c.finding_id == finding_id, TELLINGS.c.channel == channel, TELLINGS.c.what == what)
    again: Any = update(TELLINGS).where(*mine).values(times=TELLINGS.c.times + 1, last_told_at=at)
    if tx.execute(again).rowcount == 0:
        tx.execute(insert(TELLINGS).values(finding_id=finding_id, channel=channel, what=what, times=1, last_told_at=at))


def forget_openings(tx: Connection, finding_id: str) -> None:
    """The finding is news again."""
    tx.execute(delete(TELLINGS).where(TELLINGS.c.finding_id == finding_id, TELLINGS.c.what == "opened"))
