"""The first page: how the night stands."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from worker.api.console.page import Looks
from worker.api.reading import BatchView, RunFilter, ScheduleView, visible_batches, visible_findings, visible_runs
from worker.api.reading import visible_schedules as _schedules
from worker.flow.nights.coverage import coverage
from worker.flow.nights.report import is_new, night_start
from worker.ledger import batches, telling
from worker.records import FindingKind, FindingRow, FindingState, Run, RunState

LISTED = 10

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tonight:
    """Everything since `since`."""

    since: datetime
    expected: int
    looked_at: int
    """Entries, each once."""
    batches: list[BatchView]
    new: list[FindingRow]
    still_open: list[FindingRow]
    resolved: list[FindingRow]
    cannot_tell: list[FindingRow]
    running: list[Run]
    queued: int
    troubled: list[Run]
    """Failed, or waiting for a person."""
    next_fires: list[tuple[datetime, ScheduleView]]


@router.get("/", response_class=HTMLResponse)
def tonight(visitor: Looks) -> HTMLResponse:
    night = _tonight(visitor)
    return visitor.page("tonight.html", night=night, troubled=night.troubled[:LISTED], refresh=True, listed=LISTED)


def _tonight(visitor: Looks) -> Tonight:
    caller, now = visitor.caller, visitor.here.shift.clock()
    with visitor.here.shift.ledger.read() as connection:
        since = _since(connection, now)
        open_findings = visible_findings(connection, caller)
        told = [row for row in open_findings if row.kind is FindingKind.FINDING and row.state is not FindingState.MUTED]
        queued, _ = visible_runs(connection, caller, RunFilter(state=RunState.QUEUED), limit=1000)
        running, _ = visible_runs(connection, caller, RunFilter(state=RunState.RUNNING), limit=LISTED)
        views = visible_batches(connection, caller, since=since, limit=50)
        just_now = now + timedelta.resolution  # what was asked for this very instant is of this night too
        covered = coverage(visitor.here.shift, connection, since, just_now, partial(caller.may, "read"))
        fires = [(at, view) for view in _schedules(visitor.here, connection, caller, fires=1) for at in view.next_at]
        return Tonight(
            since=since,
            expected=covered.expected,
            looked_at=covered.looked_at,
            batches=views,
            new=[row for row in told if is_new(row, since)],
            still_open=[row for row in told if not is_new(row, since)],
            resolved=visible_findings(connection, caller, states=(FindingState.RESOLVED,), touched_since=since),
            cannot_tell=[row for row in open_findings if row.kind is FindingKind.CANNOT_TELL],
            running=running,
            queued=len(queued),
            troubled=_troubled(connection, visitor, since),
            next_fires=sorted(fires, key=lambda fire: fire[0])[:5],
        )


def _since(connection: Connection, now: datetime) -> datetime:
    """The last digest; but the night that it told of until something new ran."""
    night = telling.last_night(connection)
    start = night_start(connection, now)
    return start if night is None or batches.listing(connection, since=start, limit=1) else night[1]


def _troubled(connection: Connection, visitor: Looks, since: datetime) -> list[Run]:
    waiting, _ = visible_runs(connection, visitor.caller, RunFilter(state=RunState.NEEDS_ATTENTION), limit=LISTED)
    failed, _ = visible_runs(connection, visitor.caller, RunFilter(state=RunState.FAILED), limit=LISTED)
    return [*waiting, *(run for run in failed if run.created_at >= since)]
