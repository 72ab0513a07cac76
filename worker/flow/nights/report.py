"""A night as the digest and the console tell it, put together from the ledger. Reads only."""

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo

from sqlalchemy import Connection

from notifications.config import RoutesConfig
from notifications.digest import Night, NightApproval, NightRun, NightUnknown
from notifications.findings import FindingFacts
from worker.flow.authorizing import deciders
from worker.flow.nights.coverage import coverage, unscheduled
from worker.flow.results import fan_in
from worker.flow.shift import Shift
from worker.ledger import approvals, batches, findings, revisions, runs, tallies, telling
from worker.ledger.tallies import Tally
from worker.records import Approval, ApprovalState, FindingKind, FindingRow, FindingState, Run, RunKind, RunState, Verdict

NIGHT_INCOMPLETE = "night_incomplete"
_FIRST_NIGHT = timedelta(hours=24)
_MOST_LISTED = 5000
_TOLD = (FindingState.OPEN, FindingState.ACKNOWLEDGED)


def night_so_far(shift: Shift, routing: RoutesConfig, console_url: str) -> Night:
    """The night that goes on: since the last one was closed, as it stands now."""
    now = shift.clock()
    with shift.ledger.read() as connection:
        return night_between(shift, connection, night_start(connection, now), now, routing.digest.timezone, console_url)


def night_start(connection: Connection, until: datetime) -> datetime:
    """The end of the night before; the first night begins with the first batch, or a day before its end."""
    before = telling.last_night(connection)
    if before is not None:
        return before[2]
    return batches.first_created_at(connection) or until - _FIRST_NIGHT


def night_between(
    shift: Shift, connection: Connection, since: datetime, until: datetime, zone: tzinfo, console_url: str
) -> Night:
    """The batches made in `[since, until)` as they stand now, and all findings that are open or were resolved then."""
    covered = coverage(shift, connection, since, until)
    open_rows = [row for row in findings.listing(connection, states=_TOLD, limit=_MOST_LISTED) if row.opened_at < until]
    trouble = [row for row in open_rows if row.kind is FindingKind.FINDING and row.key != NIGHT_INCOMPLETE]
    return Night(
        since=since,
        until=until,
        zone=zone,
        expected=covered.expected,
        looked_at=covered.looked_at,
        incomplete=covered.why_incomplete(),
        ok=covered.ok,
        muted=_muted(connection),
        fleets=_fleets(connection, since, until),
        unscheduled=unscheduled(shift),
        new=[facts_of(row) for row in trouble if is_new(row, since)],
        still_open=[facts_of(row) for row in trouble if not is_new(row, since)],
        resolved=[facts_of(row) for row in _resolved(connection, since, until)],
        cannot_tell=[_unknown(row) for row in open_rows if row.kind is FindingKind.CANNOT_TELL],
        needs_attention=_listed(runs.listing(connection, state=RunState.NEEDS_ATTENTION, limit=_MOST_LISTED)),
        held=_held(shift, connection),
        failed=_listed(telling.runs_in_state(connection, since, until, RunState.FAILED)),
        skipped=_listed(telling.runs_in_state(connection, since, until, RunState.SKIPPED)),
        approvals=_waiting(shift, connection),
        repaired=[
            NightRun(id=run.id, job=run.job, why=f"{run.subject}: {run.verdict}")
            for run in telling.runs_ended(connection, since, until, RunKind.EFFECT)
            if run.verdict in (Verdict.VERIFIED, Verdict.ROLLED_BACK)
        ],
        answered=[
            NightRun(id=one.id, job=one.job, why=f"{one.title}: {one.state.value} by {one.ended_by}: {one.ended_reason}")
            for one in approvals.ended_between(connection, since, until, (ApprovalState.DENIED, ApprovalState.REVOKED))
        ],
        console_url=console_url,
    )


def _fleets(connection: Connection, since: datetime, until: datetime) -> list[tuple[str, str]]:
    """The newest batch of each schedule that looked at several entries, by the schedule's name."""
    made = batches.made_between(connection, since, until)
    newest = {batch.schedule: batch for batch in made if batch.schedule is not None and batch.entries_expected > 1}
    by_batch: dict[str, list[Tally]] = {batch.id: [] for batch in newest.values()}
    for tally in tallies.of_batches(connection, by_batch):
        by_batch[tally.batch_id].append(tally)
    return [
        (name, fan_in(tallies.looked_at(found), batch.entries_expected, tallies.summed(found)))
        for name, batch in sorted(newest.items())
        if (found := by_batch[batch.id]) and batch.total > 1
    ]


def _held(shift: Shift, connection: Connection) -> list[NightRun]:
    """Repairs of which a step was begun, in the queue because nothing may start."""
    state, policy, now = revisions.state(connection), shift.estate().policy, shift.clock()
    held = []
    for run in telling.half_done(connection):
        window = policy.frozen(run.environment, now)
        by = f"frozen by {state.frozen_by}" if state.frozen_by is not None else window and f"freeze window {window}"
        if by:
            held.append(NightRun(id=run.id, job=run.job, why=f"{run.subject}: half done, and held: {by}"))
    return held


def is_new(row: FindingRow, since: datetime) -> bool:
    """Whether nobody was told of it before; whoever acknowledged it knows of it."""
    return row.opened_at >= since and row.state is FindingState.OPEN


def facts_of(row: FindingRow) -> FindingFacts:
    """A finding as messages speak of it."""
    return FindingFacts(
        id=row.id,
        job=row.job,
        entry=row.entry,
        subject=row.subject,
        reason=row.reason,
        cause=row.cause,
        severity=row.severity,
        title=row.title,
        detail=row.detail,
        environment=row.environment,
        owner=row.owner,
        labels=row.labels,
        state=row.state.value,
        state_by=row.state_by,
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


def _muted(connection: Connection) -> int:
    return sum(number for (state, _), number in findings.counts(connection).items() if state == FindingState.MUTED)


def _waiting(shift: Shift, connection: Connection) -> list[NightApproval]:
    """Who has to decide what, the most urgent first; then what is only proposed, and waits for nobody."""
    estate = shift.estate()
    pending = approvals.listing(connection, states=(ApprovalState.PENDING,), limit=_MOST_LISTED)
    urgent = sorted(pending, key=lambda one: (one.mode != "execute", one.expires_at))
    return [
        NightApproval(
            id=one.id,
            title=f"{one.title} ({one.environment}, {one.risk} risk{_nights(one)})",
            waits_for=[person.name for person in deciders(estate, one)] if one.mode == "execute" else [],
            expires_at=one.expires_at,
            proposed=one.mode != "execute",
        )
        for one in urgent
    ]


def _nights(approval: Approval) -> str:
    return f", open for {approval.nights} nights" if approval.nights > 1 else ""


def _unknown(row: FindingRow) -> NightUnknown:
    return NightUnknown(subject=row.subject, reason=row.reason, detail=row.detail, run_id=row.run_id)


def _listed(made: Iterable[Run]) -> list[NightRun]:
    return [NightRun(id=run.id, job=run.job, why=f"{run.reason or run.state}: {run.summary}".rstrip(": ")) for run in made]
