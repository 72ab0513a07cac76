"""What a caller may see of the ledger. What no `read` grant covers does not exist for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from schedules.schedule import Schedule, next_due
from tasks.model import Severity
from worker.api.auth import Caller
from worker.api.gateway import Gateway
from worker.flow.errors import NotFound
from worker.flow.results import fan_in
from worker.ledger import approvals, batches, findings, plans, runs, schedules, tallies
from worker.ledger.tallies import Tally
from worker.records import Approval, ApprovalState, Batch, FindingRow, FindingState, PlanRow, Run, RunState, ScheduleRow
from worker.tokens import Verb
from worker.tokens.grants import EVERYTHING

PAGE = 500
MOST_PAGES = 20
"""A page for a narrow grant is looked for among so many pages of rows; the cursor leads on from there."""
MOST_FINDINGS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs."""

    job: str | None = None
    state: RunState | None = None
    batch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFilter:
    """Which requests."""

    states: tuple[ApprovalState, ...] | None = None
    job: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch and how the runs of it stand that the caller may see."""

    batch: Batch
    tallies: Sequence[Tally]

    @property
    def states(self) -> dict[str, int]:
        """Runs by state."""
        return dict(tallies.by_state(self.tallies))

    @property
    def counts(self) -> dict[str, int]:
        """Entries by outcome."""
        return dict(tallies.summed(self.tallies))

    @property
    def looked_at(self) -> int:
        """Entries of this batch."""
        return tallies.looked_at(self.tallies)

    @property
    def report(self) -> str:
        """The whole of it in one line."""
        return fan_in(self.looked_at, self.batch.entries_expected, self.counts)


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule of the configuration and what the ledger remembers of it."""

    schedule: Schedule
    row: ScheduleRow
    next_at: tuple[datetime, ...]
    """Empty while it is paused."""


def sees(caller: Caller, row: Run | FindingRow | Tally) -> bool:
    return caller.may("read", row.job, row.environment)


def visible_runs(
    connection: Connection, caller: Caller, wanted: RunFilter, *, before: str | None = None, limit: int
) -> tuple[list[Run], str | None]:
    """Newest first, and the cursor for the page after; None when there is none."""
    seen: list[Run] = []
    for _ in range(MOST_PAGES):
        page = runs.listing(connection, job=wanted.job, state=wanted.state, batch_id=wanted.batch, before=before, limit=PAGE)
        for run in page:
            before = run.id
            if sees(caller, run):
                seen.append(run)
            if len(seen) == limit:
                return seen, before
        if len(page) < PAGE:
            return seen, None
    return seen, before


def visible_run(connection: Connection, caller: Caller, run_id: str) -> Run:
    run = runs.get(connection, run_id)
    if run is None or not sees(caller, run):
        raise NotFound(f"no run {run_id!r}", code="unknown_run")
    return run


def visible_approvals(
    connection: Connection, caller: Caller, wanted: ApprovalFilter, *, before: str | None = None, limit: int
) -> tuple[list[Approval], str | None]:
    """Newest first, and the cursor for the page after; None when there is none."""
    seen: list[Approval] = []
    environments = _environments(caller, wanted.environment)
    for number in range(MOST_PAGES):
        size = PAGE if number else limit + 1
        page = approvals.listing(
            connection, states=wanted.states, job=wanted.job, environments=environments, before=before, limit=size
        )
        for approval in page:
            if len(seen) == limit:
                return seen, seen[-1].id
            before = approval.id
            if caller.may("read", approval.job, approval.environment):
                seen.append(approval)
        if len(page) < size:
            return seen, None
    return seen, before


def _environments(caller: Caller, wanted: str | None) -> set[str] | None:
    """Where to look; None: everywhere. A person of one team does not wade through the requests of all the others."""
    named = {name for grant in caller.grants if grant.verb == "read" for name in grant.environments}
    readable = None if EVERYTHING in named else named
    if wanted is None:
        return readable
    return {wanted} if readable is None else {wanted} & readable


def visible_approval(connection: Connection, caller: Caller, approval_id: str) -> Approval:
    approval = approvals.get(connection, approval_id)
    if approval is None or not caller.may("read", approval.job, approval.environment):
        raise no_approval(approval_id)
    return approval


def visible_plan(connection: Connection, caller: Caller, digest: str) -> PlanRow:
    plan = plans.get(connection, digest)
    if plan is None or not caller.may("read", plan.job, plan.environment):
        raise NotFound(f"no plan {digest[:64]!r}", code="unknown_plan")
    return plan


def no_approval(approval_id: str) -> NotFound:
    return NotFound(f"no approval {approval_id[:64]!r}", code="unknown_approval")


def visible_batches(
    connection: Connection, caller: Caller, *, schedule: str | None = None, since: datetime | None = None, limit: int
) -> list[BatchView]:
    """Newest first."""
    return _views(connection, caller, batches.listing(connection, schedule=schedule, since=since, limit=limit))


def visible_batch(connection: Connection, caller: Caller, batch_id: str) -> BatchView:
    batch = batches.get(connection, batch_id)
    views = _views(connection, caller, [batch] if batch else [])
    if not views:
        raise NotFound(f"no batch {batch_id!r}", code="unknown_batch")
    return views[0]


def _views(connection: Connection, caller: Caller, found: Sequence[Batch]) -> list[BatchView]:
    by_batch: dict[str, list[Tally]] = {batch.id: [] for batch in found}
    for tally in tallies.of_batches(connection, by_batch) if found else ():
        if sees(caller, tally):
            by_batch[tally.batch_id].append(tally)
    return [BatchView(batch, by_batch[batch.id]) for batch in found if by_batch[batch.id]]


def visible_findings(
    connection: Connection,
    caller: Caller,
    *,
    job: str | None = None,
    states: Collection[FindingState] = findings.OPEN_STATES,
    environment: str | None = None,
    run_id: str | None = None,
    touched_since: datetime | None = None,
) -> list[FindingRow]:
    """Worst first, then newest."""
    rows = findings.listing(
        connection,
        job=job,
        states=states,
        environment=environment,
        run_id=run_id,
        touched_since=touched_since,
        limit=MOST_FINDINGS,
    )
    return sorted((row for row in rows if sees(caller, row)), key=lambda row: -Severity(row.severity).rank)


def visible_finding(connection: Connection, caller: Caller, finding_id: str) -> FindingRow:
    found = findings.get(connection, finding_id)
    if found is None or not sees(caller, found):
        raise NotFound(f"no finding {finding_id!r}", code="unknown_finding")
    return found


def visible_schedules(here: Gateway, connection: Connection, caller: Caller, fires: int = 3) -> list[ScheduleView]:
    """By name."""
    configured, now = here.shift.estate().schedules, here.shift.clock()
    views = []
    for row in schedules.listing(connection):
        schedule = configured.get(row.name)
        if schedule is not None and any(caller.may("read", schedule.job, name) for name in environments_of(here, schedule)):
            views.append(ScheduleView(schedule, row, () if row.paused_by else _next_fires(schedule, now, fires)))
    return views


def require_on_schedule(here: Gateway, caller: Caller, name: str, verb: Verb) -> None:
    """Raise `NotFound` or `Forbidden` unless the caller has `verb` wherever the schedule looks."""
    configured = here.shift.estate().schedules
    if name not in configured:
        message = f"no schedule is called {name!r}: schedules are {', '.join(sorted(configured)) or 'none'}"
        raise NotFound(message, code="unknown_schedule", field="schedule")
    for environment in environments_of(here, configured[name]):
        caller.require(verb, configured[name].job, environment)


def environments_of(here: Gateway, schedule: Schedule) -> list[str]:
    """Where the schedule may look: the environments it selects, else all of its job's entries."""
    if schedule.select.environments:
        return sorted(schedule.select.environments)
    job = here.shift.jobs.get(schedule.job)
    entries = here.shift.estate().table(job).values() if job else ()
    return sorted({entry.environment for entry in entries}) or ["default"]


def _next_fires(schedule: Schedule, now: datetime, number: int) -> tuple[datetime, ...]:
    fires: list[datetime] = []
    for _ in range(number):
        fires.append(next_due(schedule, fires[-1] if fires else now).at)
    return tuple(fires)
