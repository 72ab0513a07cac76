"""How batches stand: their runs counted by job, environment and state, and what they said."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from worker.ledger.tables import RUNS
from worker.records import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Runs of one batch that are alike in job, environment, state and counts."""

    batch_id: str
    job: str
    environment: str
    state: RunState
    runs: int
    counts: Mapping[str, int]
    """Numbers of entries by outcome, over all these runs."""


def of_batches(connection: Connection, batch_ids: Collection[str]) -> list[Tally]:
    """All tallies of these batches. Runs are grouped in the database: a night may have ten thousand."""
    alike = (RUNS.c.batch_id, RUNS.c.job, RUNS.c.environment, RUNS.c.state, RUNS.c.counts)
    statement = select(*alike, func.count().label("runs")).where(RUNS.c.batch_id.in_(batch_ids)).group_by(*alike)
    return [
        Tally(
            batch_id=row.batch_id,
            job=row.job,
            environment=row.environment,
            state=RunState(row.state),
            runs=row.runs,
            counts={outcome: number * row.runs for outcome, number in row.counts.items()},
        )
        for row in connection.execute(statement.order_by(*alike[:4]))
    ]


def summed(tallies: Collection[Tally]) -> Mapping[str, int]:
    """Numbers of entries by outcome, and how many of those with a finding have one of drift."""
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update(tally.counts)
    drifted = {"drifted": total["drifted"]} if total["drifted"] else {}
    return {outcome: total[outcome] for outcome in ("ok", "finding", "cannot_tell")} | drifted


def looked_at(tallies: Collection[Tally]) -> int:
    """Numbers of entries. What a run that was cut short could not tell may be what it did not come to."""
    told = sum(tally.counts.get(name, 0) for tally in tallies for name in ("ok", "finding"))
    return told + sum(tally.counts.get("cannot_tell", 0) for tally in tallies if tally.state is RunState.SUCCEEDED)


def by_state(tallies: Collection[Tally]) -> Mapping[str, int]:
    """Numbers of runs by state; states without any are left out."""
    total: Counter[str] = Counter()
    for tally in tallies:
        total[tally.state] += tally.runs
    return {state: total[state] for state in RunState if total[state]}
