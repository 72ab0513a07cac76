"""A night as the digest and the console tell it, put together from the ledger. Reads only."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo

from sqlalchemy import Connection

from notifications.config import RoutesConfig
from notifications.digest import Night, NightRun, NightUnknown
from notifications.findings import FindingFacts
from worker.flow.shift import Shift
from worker.ledger import batches, findings, runs, telling
from worker.ledger.telling import RunsAlike
from worker.records import FindingKind, FindingRow, FindingState, Run, RunState

NIGHT_INCOMPLETE = "night_incomplete"
_FIRST_NIGHT = timedelta(hours=24)
_MOST_LISTED = 5000
_TOLD = (FindingState.OPEN, FindingState.ACKNOWLEDGED)


def night_so_far(shift: Shift, routing: RoutesConfig, console_url: str) -> Night:
    """The night that goes on: since the last one was closed, as it stands now."""
    now = shift.clock()
    with shift.ledger.read() as connection:
        return night_between(connection, night_start(connection, now), now, routing.digest.timezone, console_url)


def night_start(connection: Connection, until: datetime) -> datetime:
    """The end of the night before; the first night begins with the first batch, or a day before its end."""
    before = telling.last_night(connection)
    if before is not None:
        return before[2]
    return batches.first_created_at(connection) or until - _FIRST_NIGHT


def night_between(connection: Connection, since: datetime, until: datetime, zone: tzinfo, console_url: str) -> Night:
    """The batches made in `[since, until)` as they stand now, and all findings that are open or were resolved then."""
    alike = telling.runs_between(connection, since, until)
    open_rows = [row for row in findings.listing(connection, states=_TOLD, limit=_MOST_LISTED) if row.opened_at < until]
    trouble = [row for row in open_rows if row.kind is FindingKind.FINDING and row.key != NIGHT_INCOMPLETE]
    return Night(
        since=since,
        until=until,
        zone=zone,
        expected=sum(group.entries_expected for group in alike),
        looked_at=sum(_looked_at(group) for group in alike),
        incomplete=_why_incomplete(alike),
        ok=sum(group.counts.get("ok", 0) for group in alike),
        new=[facts_of(row) for row in trouble if row.opened_at >= since],
        still_open=[facts_of(row) for row in trouble if row.opened_at < since],
        resolved=[facts_of(row) for row in _resolved(connection, since, until)],
        cannot_tell=[_unknown(row) for row in open_rows if row.kind is FindingKind.CANNOT_TELL],
        needs_attention=_listed(runs.listing(connection, state=RunState.NEEDS_ATTENTION, limit=_MOST_LISTED)),
        failed=_listed(telling.runs_in_state(connection, since, until, RunState.FAILED)),
        skipped=_listed(telling.runs_in_state(connection, since, until, RunState.SKIPPED)),
        console_url=console_url,
    )


def facts_of(row: FindingRow) -> FindingFacts:
    """A finding as messages speak of it."""
    return FindingFacts(
        id=row.id,
        job=row.job,
        entry=row.entry,
        subject=row.subject,
        reason=row.reason,
        severity=row.severity,
        title=row.title,
        detail=row.detail,
        environment=row.environment,
        owner=row.owner,
        labels=row.labels,
        state=row.state.value,
        opened_at=row.opened_at,
        resolved_at=row.resolved_at,
        recheck=row.recheck,
        evidence=row.evidence,
        run_id=row.run_id or None,
    )


def _resolved(connection: Connection, since: datetime, until: datetime) -> list[FindingRow]:
    rows = findings.listing(connection, states=(FindingState.RESOLVED,), touched_since=since, limit=_MOST_LISTED)
    own = (row for row in rows if row.kind is FindingKind.FINDING and row.key != NIGHT_INCOMPLETE)
    return [row for row in own if row.resolved_at is not None and since <= row.resolved_at < until]


def _looked_at(group: RunsAlike) -> int:
    """Of a run that ended well, what it could not tell was looked at too; of one cut short, that may be the rest of it."""
    sure = group.counts.get("ok", 0) + group.counts.get("finding", 0)
    return sure + group.counts.get("cannot_tell", 0) if group.state is RunState.SUCCEEDED else sure


def _why_incomplete(alike: Sequence[RunsAlike]) -> list[str]:
    """One line for each sort of run that did not look at all that it should have."""
    numbers: dict[tuple[str, RunState, str | None], tuple[int, int]] = {}
    for group in alike:
        missing = group.entries_expected - _looked_at(group)
        if missing > 0:
            sort = (group.job, group.state, group.reason)
            entries, made = numbers.get(sort, (0, 0))
            numbers[sort] = (entries + missing, made + group.runs)
    return [
        f"{_count(entries, 'entry', 'entries')} of {job}: {_count(made, 'run', 'runs')} {_state(state, reason)}"
        for (job, state, reason), (entries, made) in numbers.items()
    ]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _state(state: RunState, reason: str | None) -> str:
    shown = f"still {state}" if not state.terminal else state.replace("_", " ")
    return f"{shown} ({reason})" if reason else shown


def _unknown(row: FindingRow) -> NightUnknown:
    return NightUnknown(subject=row.subject, reason=row.reason, detail=row.detail, run_id=row.run_id)


def _listed(made: Iterable[Run]) -> list[NightRun]:
    return [NightRun(id=run.id, job=run.job, why=f"{run.reason or run.state}: {run.summary}".rstrip(": ")) for run in made]
