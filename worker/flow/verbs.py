"""What people and machines may do to runs, findings and schedules; each verb one transaction with its audit row."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from worker.flow import asking, resolving
from worker.flow.errors import Invalid, NotFound, Refused
from worker.flow.events import emit
from worker.flow.outcome import close_if_last, finding_news
from worker.flow.rechecking import check_again
from worker.flow.shift import Shift
from worker.ledger import approvals, audit_rows, batches, findings, outbox, revisions, runs, schedules
from worker.ledger.rows import new_id
from worker.records import (
    Actor,
    ActorKind,
    ApprovalState,
    AuditEntry,
    EventKind,
    FindingRow,
    FindingState,
    Run,
    RunKind,
    RunState,
    Topic,
)

_RESOLUTIONS = {"applied": RunState.SUCCEEDED, "not_applied": RunState.FAILED, "retry": RunState.QUEUED}


def note(tx: Connection, at: datetime, actor: Actor, verb: str, kind: str, object_id: str, **facts: object) -> None:
    """One audit row."""
    entry = AuditEntry(at=at, actor=str(actor), verb=verb, object_kind=kind, object_id=object_id, facts=facts)
    audit_rows.append(tx, entry)


def cancel(shift: Shift, run_id: str, actor: Actor, reason: str = "") -> Run:
    """queued → cancelled at once; a running run is asked to stop at its next boundary. Raises `NotFound`, `Refused`."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        # Always the approval first, then the run: so does whoever revokes.
        approval = approvals.hold(tx, _run(tx, run_id).approval_id or "")
        # Held: between the two statements below a worker that is told to stop might put it back, and nobody hear of this.
        run = runs.hold(tx, run_id) or _run(tx, run_id)
        told = f"cancelled by {actor}" + (f": {reason}" if reason else "")
        if runs.cancel_queued(tx, run_id, by=str(actor), reason="cancelled", summary=told):
            note(tx, now, actor, "run.cancelled", "run", run_id, reason=reason)
            close_if_last(tx, run, now)
            if approval is not None:
                asking.close(tx, approval, ApprovalState.REVOKED, by=str(actor), reason=told, now=now)
        elif runs.request_cancel(tx, run_id, by=str(actor)):
            note(tx, now, actor, "run.cancel_requested", "run", run_id, reason=reason)
        elif (found := _run(tx, run_id)).state.terminal:
            message = f"run {run_id} has ended already: {found.state}"
            raise Refused(message, code="run_ended")
        return _run(tx, run_id)


def cancel_batch(shift: Shift, batch_id: str, actor: Actor, reason: str = "") -> int:
    """Cancel every run of the batch that has not ended; returns how many."""
    with shift.ledger.read() as connection:
        if batches.get(connection, batch_id) is None:
            raise NotFound(f"no batch {batch_id}")
        open_runs = [run.id for run in runs.of_batch(connection, batch_id) if not run.state.terminal]
    cancelled = 0
    for run_id in open_runs:
        try:
            cancel(shift, run_id, actor, reason)
            cancelled += 1
        except Refused:
            continue
    return cancelled


def require_resolution(resolution: str, reason: str) -> None:
    """Raise `Invalid` unless somebody says what became of a run, and how they know."""
    if resolution not in _RESOLUTIONS:
        message = f"resolution {resolution!r}: accepted are {', '.join(_RESOLUTIONS)}"
        raise Invalid(message, field="resolution")
    _require(reason, "reason")


def resolve(
    shift: Shift,
    run_id: str,
    actor: Actor,
    resolution: str,
    reason: str,
    *,
    process_ended: bool = False,
    link_sha256: str | None = None,
) -> Run:
    """The way out of needs_attention: `applied`, `not_applied` or `retry`, with a reason. Raises `Invalid`, `Refused`.

    Their word also counts for every step of which nobody knew whether it happened. A link they came by is spent with it,
    and everybody who was told that a person is needed is told who it was.
    """
    require_resolution(resolution, reason)
    resolving.refuse_while_alive(shift, run_id, resolution, process_ended=process_ended)
    now = shift.clock()
    said = {"process_ended": True} if process_ended else {}
    with shift.ledger.transaction() as tx:
        run = _run(tx, run_id)
        state = _RESOLUTIONS[resolution]
        if run.state is not RunState.NEEDS_ATTENTION:
            message = f"run {run_id} is {run.state}: only a run that needs attention can be resolved"
            raise Refused(message, code="not_needs_attention")
        settled = resolving.settle_steps(tx, run, actor, resolution, reason, now)
        if not runs.resolve(tx, run_id, state=state, reason=f"resolved_{resolution}", summary=f"{actor}: {reason}"):
            raise Refused(f"run {run_id} was resolved this very moment", code="not_needs_attention")
        resolving.end_links(tx, run, actor, link_sha256, now)
        note(tx, now, actor, "run.resolved", "run", run_id, resolution=resolution, reason=reason, steps=settled, **said)
        resolving.tell(tx, run, actor, resolution, reason, now)
        if state is RunState.QUEUED:
            batches.run_reopened(tx, run.batch_id)
            outbox.put(tx, Topic.BELL, run_id, at=now, not_before=now)
        elif run.kind is RunKind.EFFECT:
            check_again(tx, run, now, by=f"run:{run.id}")
        return _run(tx, run_id)


def acknowledge(shift: Shift, finding_id: str, actor: Actor, reason: str = "") -> FindingRow:
    """Somebody is on it: told no more until it gets worse or comes back."""
    states = (FindingState.OPEN, FindingState.MUTED)
    return _set_finding(shift, finding_id, actor, FindingState.ACKNOWLEDGED, reason, states)


def mute(shift: Shift, finding_id: str, actor: Actor, reason: str, until: datetime) -> FindingRow:
    """Told no more until then; a reason is asked for. Raises `Invalid` for a past or endless mute."""
    _require(reason, "reason")
    if until <= shift.clock():
        message = f"until {until.isoformat()}: a mute ends in the future"
        raise Invalid(message, field="until")
    states = (FindingState.OPEN, FindingState.ACKNOWLEDGED, FindingState.MUTED)
    return _set_finding(shift, finding_id, actor, FindingState.MUTED, reason, states, until)


def unmute(shift: Shift, finding_id: str, actor: Actor, reason: str = "") -> FindingRow:
    """Open again."""
    states = (FindingState.MUTED, FindingState.ACKNOWLEDGED)
    return _set_finding(shift, finding_id, actor, FindingState.OPEN, reason, states)


def reopen_mutes(shift: Shift) -> int:
    """Findings whose mute has expired are open again, and told as if new; returns how many."""
    now = shift.clock()
    with shift.ledger.read() as connection:
        over = findings.mutes_over(connection, now)
    for row in over:
        with shift.ledger.transaction() as tx:
            told = f"the mute of {row.state_by} ended"
            if findings.end_mute(tx, row.id, by="mute", reason=told, now=now):
                note(tx, now, Actor(ActorKind.SWEEPER, "sweeper"), "finding.unmuted", "finding", row.id, reason=told)
                payload = {"kind": "finding_opened", "message_id": new_id()}
                outbox.put(tx, Topic.MESSAGE, row.id, at=now, not_before=now, payload=payload)
                emit(tx, [finding_news(EventKind.FINDING_OPENED, replace(row, state=FindingState.OPEN))], now)
    return len(over)


def pause(shift: Shift, schedule: str, actor: Actor, reason: str) -> None:
    """The schedule does not fire until it is resumed."""
    _require(reason, "reason")
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        if not schedules.pause(tx, schedule, actor=str(actor), reason=reason, at=now):
            raise _no_schedule(tx, schedule, "paused already")
        note(tx, now, actor, "schedule.paused", "schedule", schedule, reason=reason)


def resume(shift: Shift, schedule: str, actor: Actor) -> None:
    """Fires again from now on; what was due meanwhile stays unfired."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        if not schedules.resume(tx, schedule, at=now):
            raise _no_schedule(tx, schedule, "not paused")
        note(tx, now, actor, "schedule.resumed", "schedule", schedule)


def freeze(shift: Shift, actor: Actor, reason: str) -> None:
    """No effect step starts until `thaw`."""
    _require(reason, "reason")
    _set_brake(shift, actor, "ledger.frozen", reason, frozen_by=str(actor), frozen_reason=reason)


def thaw(shift: Shift, actor: Actor, reason: str) -> None:
    """Lifts freeze and kill."""
    _require(reason, "reason")
    with shift.ledger.transaction() as tx:
        revisions.set_state(tx, frozen_by=None, frozen_reason=None, killed=False)
        outbox.hurry(tx, RunKind.EFFECT, shift.clock())
        note(tx, shift.clock(), actor, "ledger.thawed", "ledger", "ledger", reason=reason)


def kill(shift: Shift, actor: Actor, reason: str) -> None:
    """Freeze, and every running effect stops before its next step, even if a thaw follows at once."""
    _require(reason, "reason")
    with shift.ledger.transaction() as tx:
        # Always the run first, then the state: so does an intent.
        runs.cancel_effects(tx, by=str(actor))
        revisions.set_state(tx, frozen_by=str(actor), frozen_reason=reason, killed=True)
        note(tx, shift.clock(), actor, "ledger.killed", "ledger", "ledger", reason=reason)


def _set_brake(shift: Shift, actor: Actor, verb: str, reason: str, **state: object) -> None:
    with shift.ledger.transaction() as tx:
        revisions.set_state(tx, **state)
        note(tx, shift.clock(), actor, verb, "ledger", "ledger", reason=reason)


def _set_finding(
    shift: Shift,
    finding_id: str,
    actor: Actor,
    state: FindingState,
    reason: str,
    from_states: tuple[FindingState, ...],
    until: datetime | None = None,
) -> FindingRow:
    with shift.ledger.transaction() as tx:
        found = findings.get(tx, finding_id)
        if found is None:
            raise NotFound(f"no finding {finding_id}")
        changed = findings.set_state(
            tx, finding_id, state=state, by=str(actor), reason=reason, from_states=from_states, muted_until=until
        )
        if not changed:
            message = f"finding {finding_id} is {found.state}: it cannot become {state}"
            raise Refused(message, code="wrong_state")
        shown_until = until.isoformat() if until else None
        note(tx, shift.clock(), actor, f"finding.{state}", "finding", finding_id, reason=reason, until=shown_until)
        row = findings.get(tx, finding_id)
        assert row is not None
        return row


def _run(tx: Connection, run_id: str) -> Run:
    run = runs.get(tx, run_id)
    if run is None:
        raise NotFound(f"no run {run_id}")
    return run


def _no_schedule(tx: Connection, name: str, otherwise: str) -> NotFound | Refused:
    if schedules.get(tx, name) is None:
        names = ", ".join(row.name for row in schedules.listing(tx)) or "none"
        return NotFound(f"no schedule is called {name!r}: schedules are {names}", code="unknown_schedule", field="schedule")
    return Refused(f"schedule {name!r} is {otherwise}")


def _require(value: str, field: str) -> None:
    if not value.strip():
        message = f"`{field}` is empty: say why, it is kept in the audit"
        raise Invalid(message, field=field)
