"""Writing what became of a run: its state, findings, facts, artifacts, log lines, audit row, batch; one transaction."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tasks.ask import JOB as ASK
from tasks.model import Json
from worker.flow import asking
from worker.flow.desk import Desk
from worker.flow.errors import LeaseLost
from worker.flow.events import News, emit
from worker.flow.looking import NOT_LOOKED_AT, Report
from worker.flow.masking import masked_text
from worker.flow.merging import Merge, merge
from worker.flow.pulse import Watch
from worker.flow.selecting import Selection
from worker.flow.shift import Shift
from worker.flow.shown import shown
from worker.ledger import audit_rows, findings, keepings, leases, outbox, runs, turns
from worker.ledger.rows import new_id
from worker.records import ActorKind, AuditEntry, Batch, EventKind, FindingRow, Run, RunState, Topic, Verdict

log = structlog.get_logger("nightshift.outcome")

_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""The ledger is away, full or busy: the same may be written later."""
_MOST_COLLISIONS = 5
"""Two runs that insert the same finding or fact collide once each; more often something else is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What `execute_run` tells its caller; the truth is in the ledger."""

    run_id: str
    state: RunState
    verdict: Verdict | None
    reason: str | None
    summary: str


def decide(run: Run, report: Report, watch: Watch) -> Outcome:
    """The state a report leads to. Pure. A check that came to its end has succeeded, whoever wanted it stopped."""
    match None if report.whole else watch.stop:
        case "cancelled":
            return _outcome(run, RunState.CANCELLED, report, reason="cancelled", note=f"cancelled by {watch.stopped_by}")
        case "time_limit":
            return _outcome(run, RunState.FAILED, report, reason="time_limit", note="stopped at its time limit")
        case _ if report.error:
            return _outcome(run, RunState.FAILED, report, reason=report.error_reason, note=report.error)
        case _:
            return Outcome(
                run_id=run.id, state=RunState.SUCCEEDED, verdict=report.verdict(), reason=None, summary=report.summary()
            )


def _outcome(run: Run, state: RunState, report: Report, *, reason: str | None, note: str) -> Outcome:
    summary = f"{note[:500]} ({report.summary()})"
    return Outcome(run_id=run.id, state=state, verdict=None, reason=reason, summary=summary)


def record(shift: Shift, run: Run, selection: Selection, report: Report, watch: Watch, desk: Desk) -> Outcome:
    """Commit the outcome, once. Raises `LeaseLost` when somebody else took the run over.

    Answers that no ledger takes (a job that gave a title of None) fail the run, and say so.
    """
    outcome = decide(run, report, watch)
    if _is_quiet(outcome, report, watch, desk) and _ended_quietly(shift, run, outcome, report, watch):
        return outcome
    try:
        commit_once(shift, run, _whole(shift, run, outcome, selection, report, watch, desk))
    except (LeaseLost, *_AWAY):
        raise
    except Exception as error:
        log.exception("answers_refused_by_ledger", run_id=run.id, job=run.job)
        told = masked_text(f"its answers cannot be kept: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        outcome = _outcome(run, RunState.FAILED, Report(), reason="answers_refused", note=told)
        commit_once(shift, run, _bare(shift, run, outcome, watch))
    return outcome


def _is_quiet(outcome: Outcome, report: Report, watch: Watch, desk: Desk) -> bool:
    """Whether all that the run has to say is that all is well."""
    kept = watch.said or desk.history.recorded or desk.artifacts.kept or report.proposals
    return outcome.verdict is Verdict.OK and not kept


def _ended_quietly(shift: Shift, run: Run, outcome: Outcome, report: Report, watch: Watch) -> bool:
    """Whether that was written; if not, or if nobody knows, the long way finds out why."""
    # The executor's time limit may strike here as well.
    passing: tuple[type[BaseException], ...] = (Exception, *shift.interruptions)
    told = ended(run, outcome, shift.clock(), by=f"{ActorKind.WORKER}:{run.worker}")
    entries = {answer.entry for answer in report.answers}
    try:
        with shift.ledger.turn() as tx:
            return turns.end_quietly(tx, run, entries, told, _said(outcome, report.counts(), watch))
    except passing as error:
        log.info("quiet_end_not_written", run_id=run.id, error=type(error).__name__)
        return False


def _whole(
    shift: Shift, run: Run, outcome: Outcome, selection: Selection, report: Report, watch: Watch, desk: Desk
) -> Callable[[Connection], None]:
    def write(tx: Connection) -> None:
        now = shift.clock()
        counts = report.counts()
        _finish(tx, run, outcome, counts, watch)
        told = _without_unlooked(report) if outcome.state is RunState.CANCELLED else report
        entries = {entry.name: entry for entry in selection.entries}
        names = sorted({answer.entry for answer in told.answers})
        merged = merge(findings.of_entries(tx, run.job, names), told, entries, run, now)
        write_findings(tx, merged, now)
        asking.close_gone(tx, merged.resolved, run, now)
        if report.proposals:
            asking.ask(tx, shift.estate(run.revision), run, report.proposals, now)
        for (subject, name), (value, at) in desk.history.recorded.items():
            keepings.add_fact(tx, job=run.job, subject=subject, name=name, value=value, run_id=run.id, at=at)
        for name, artifact in desk.artifacts.kept:
            keepings.keep_artifact(tx, artifact, run_id=run.id, name=name)
        _end(tx, run, outcome, watch, now)

    return write


def _bare(shift: Shift, run: Run, outcome: Outcome, watch: Watch) -> Callable[[Connection], None]:
    def write(tx: Connection) -> None:
        _finish(tx, run, outcome, {}, watch)
        _end(tx, run, outcome, watch, shift.clock())

    return write


def _end(tx: Connection, run: Run, outcome: Outcome, watch: Watch, now: datetime) -> None:
    keepings.add_lines(tx, run.id, run.fence, watch.last_lines(now))
    audit_rows.append(tx, ended(run, outcome, now, by=f"{ActorKind.WORKER}:{run.worker}"))
    close_if_last(tx, run, now)


def _without_unlooked(report: Report) -> Report:
    """Of a cancelled run: whoever cancelled it knows that the rest was not looked at."""
    return replace(report, answers=[answer for answer in report.answers if answer.reason != NOT_LOOKED_AT])


def write_findings(tx: Connection, merged: Merge, now: datetime) -> None:
    """Write the rows, and a message for each that is news; who is told, and when, the relay asks the routes.

    A question is told as a request, by `asking`, and not as a finding too.
    """
    for row in merged.insert:
        findings.insert_finding(tx, row)
    for row in merged.replace:
        findings.replace(tx, row)
    opened = [row for row in merged.opened if row.job != ASK.name]
    resolved = [row for row in merged.resolved if row.job != ASK.name]
    for row in opened:
        # What got worse, or came back, is told anew to those who knew.
        findings.forget_openings(tx, row.id)
    for kind, rows in (("finding_opened", opened), ("finding_resolved", resolved)):
        for row in rows:
            outbox.put(tx, Topic.MESSAGE, row.id, at=now, not_before=now, payload={"kind": kind, "message_id": new_id()})
    news = [finding_news(EventKind.FINDING_OPENED, row) for row in opened]
    emit(tx, [*news, *(finding_news(EventKind.FINDING_RESOLVED, row) for row in resolved)], now)


def finding_news(kind: EventKind, row: FindingRow) -> News:
    """For whoever subscribed."""
    return News(kind=kind, job=row.job, environment=row.environment, tell=lambda: {"finding": shown(row)})


def _finished(tx: Connection, run: Run) -> News:
    def tell() -> Mapping[str, Json]:
        ended = runs.get(tx, run.id)
        assert ended is not None
        return {"run": shown(ended)}

    return News(kind=EventKind.RUN_FINISHED, job=run.job, environment=run.environment, tell=tell)


def _finish(tx: Connection, run: Run, outcome: Outcome, counts: dict[str, int], watch: Watch) -> None:
    mine = leases.finish(tx, run, **_said(outcome, counts, watch))
    if not mine:
        raise LeaseLost(f"run {run.id}: the lease of fence {run.fence} is over; its outcome is not written")


def _said(outcome: Outcome, counts: Mapping[str, int], watch: Watch) -> leases.Finish:
    return {
        "state": outcome.state,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "summary": outcome.summary,
        "counts": counts,
        "progress": watch.progress,
    }


def commit_once(
    shift: Shift,
    run: Run,
    write: Callable[[Connection], None],
    committed: Callable[[Connection, Run], bool] = leases.finished_by,
    *,
    gives_up: bool = True,
) -> None:
    """Commit, waiting for a ledger that went away; after an exception around COMMIT the row itself says what happened.

    One that never gives up waits until the ledger is back, or this process ends.
    """
    # The executor's time limit may strike here as well: the check is over, and its outcome is to be kept.
    passing: tuple[type[BaseException], ...] = (*_AWAY, IntegrityError, *shift.interruptions)
    give_up = monotonic() + (shift.pace.patience.total_seconds() if gives_up else math.inf)
    pause, collisions = 0.0, 0
    while True:
        try:
            # Here: what strikes while we wait must not end the waiting.
            time.sleep(pause)
            with shift.ledger.transaction() as tx:
                write(tx)
        except LeaseLost:
            # Ours, if an earlier COMMIT was applied and the word of it lost.
            if _committed_after_all(shift, run, committed):
                return
            raise
        except passing as error:
            log.warning("outcome_not_committed", run_id=run.id, error=type(error).__name__)
            if _committed_after_all(shift, run, committed):
                return
            collisions += isinstance(error, IntegrityError)
            if monotonic() > give_up or collisions > _MOST_COLLISIONS:
                raise
            pause = pause or 0.1 if isinstance(error, IntegrityError) else min(max(0.1, pause * 2), 5.0)
        else:
            return


def _committed_after_all(shift: Shift, run: Run, committed: Callable[[Connection, Run], bool]) -> bool:
    passing: tuple[type[BaseException], ...] = (DBAPIError, *_AWAY, *shift.interruptions)
    try:
        with shift.ledger.read() as connection:
            return committed(connection, run)
    except passing:
        return False


def ended(run: Run, outcome: Outcome, at: datetime, *, by: str) -> AuditEntry:
    facts = {"job": run.job, "fence": run.fence, "reason": outcome.reason, "verdict": outcome.verdict, "summary": outcome.summary}
    return AuditEntry(at=at, actor=by, verb=f"run.{outcome.state}", object_kind="run", object_id=run.id, facts=facts)


def close_if_last(tx: Connection, run: Run, now: datetime) -> Batch | None:
    """See `turns.close_if_last`; and whoever subscribed is told of the run."""
    emit(tx, [_finished(tx, run)], now)
    return turns.close_if_last(tx, run, now)
