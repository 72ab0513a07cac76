"""What people say to a request, and what follows from it. Nothing else writes a decision; an approval starts at most one run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from worker.flow import asking
from worker.flow.alone import queue_alone
from worker.flow.answers import answered
from worker.flow.authorizing import authorize, identity_of, still_entitled
from worker.flow.errors import Invalid, NotFound, Refused
from worker.flow.outcome import close_if_last
from worker.flow.shift import Estate, Shift
from worker.ledger import approvals, gates, links, outbox, plans, revisions, runs
from worker.ledger.rows import new_id
from worker.records import (
    Actor,
    ActorKind,
    Approval,
    ApprovalState,
    Choice,
    Decision,
    EventKind,
    LinkPurpose,
    Run,
    RunKind,
    Topic,
    Via,
)

HOLDS = timedelta(hours=12)
"""A yes that came late in the day of its expiry still outlasts a freeze of the night."""
LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What somebody says: `digest` is the one that they were shown."""

    approval_id: str
    person: str
    choice: Choice
    digest: str
    pin: str = field(repr=False)
    reason: str
    via: Via
    link_sha256: str | None = field(default=None, repr=False)
    """The link they came by, which is spent with the decision."""


def decide(shift: Shift, said: Statement) -> Approval:
    """Write the decision; the last yes that is needed starts the run, a single no ends it.

    Raises `NotFound`, `Forbidden`, `Invalid`, `Refused` (`not_pending`, `expired`, `propose_only`, `digest_moved`,
    `decided_before`, `link_*`, `pin_locked`); then nothing was written but a wrong PIN's count.
    """
    if said.choice is Choice.DENY and not said.reason.strip():
        raise Invalid("`reason` is empty: say why not; whoever asked reads it", field="reason")
    if len(said.reason) > LONGEST_REASON:
        raise Invalid(f"`reason` has {len(said.reason)} characters, at most {LONGEST_REASON} are kept", field="reason")
    with shift.ledger.read() as connection:
        approval = approvals.get(connection, said.approval_id)
        _refuse(shift, connection, approval, said)
    assert approval is not None
    estate = shift.estate()
    authorize(shift, estate, approval, said.person, said.pin)
    started: list[Run] = []
    with shift.ledger.transaction() as tx:
        held = approvals.hold(tx, said.approval_id)
        _refuse(shift, tx, held, said)
        assert held is not None
        if revisions.current_id(tx) != estate.revision:
            raise Refused("the configuration changed this very moment: send it again", code="configuration_moved")
        _spend_link(shift, tx, said)
        _write(shift, tx, estate, held, said, started)
        decided = approvals.get(tx, said.approval_id)
    shift.ring(started)
    assert decided is not None
    return decided


def revoke(shift: Shift, approval_id: str, actor: Actor, reason: str) -> Approval:
    """pending or approved → revoked: what has not begun does not begin, a running effect stops before its next step."""
    _require(reason)
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        held = _held(tx, approval_id)
        if not asking.close(tx, held, ApprovalState.REVOKED, by=str(actor), reason=reason, now=now):
            raise Refused(f"approval {approval_id} has ended already: {held.state}", code="not_pending")
        _stop(shift, tx, held, actor, reason)
        return _found(tx, approval_id)


def dismiss(shift: Shift, approval_id: str, actor: Actor, reason: str) -> Approval:
    """Put away what mode `propose` shows; the same is not shown again for `ask_again_after`."""
    _require(reason)
    with shift.ledger.transaction() as tx:
        held = _held(tx, approval_id)
        if held.mode != "propose" or held.state is not ApprovalState.PENDING:
            told = f"approval {approval_id} is {held.state} in mode {held.mode}: only a pending proposal is dismissed"
            raise Refused(told, code="not_pending")
        asking.close(tx, held, ApprovalState.DENIED, by=str(actor), reason=reason, now=shift.clock())
        return _found(tx, approval_id)


def _refuse(shift: Shift, connection: Connection, approval: Approval | None, said: Statement) -> None:
    if approval is None:
        raise NotFound(f"no approval {said.approval_id}")
    if approval.state is not ApprovalState.PENDING:
        by = f" by {approval.ended_by}" if approval.ended_by else ""
        raise Refused(f"this request is {approval.state}{by}: nothing is to be decided any more", code="not_pending")
    if approval.expires_at <= shift.clock():
        told = f"this request expired at {approval.expires_at:%Y-%m-%d %H:%M} UTC; it is asked again if it is found again"
        raise Refused(told, code="expired")
    if approval.epoch != revisions.state(connection).epoch:
        raise Refused(
            "this request is of before the ledger was restored: it is asked anew when it is found again", code="not_pending"
        )
    if approval.mode != "execute":
        raise Refused(f"environment {approval.environment!r} only proposes: there is no yes to give", code="propose_only")
    if said.digest != approval.digest:
        raise Refused(f"you saw plan {said.digest[:12]}, asked for is {approval.digest[:12]}: look again", code="digest_moved")
    if any(decision.person == said.person for decision in approvals.decisions(connection, approval.id)):
        raise Refused(f"{said.person} has decided on this before", code="decided_before")


def _spend_link(shift: Shift, tx: Connection, said: Statement) -> None:
    if said.link_sha256 is None:
        return
    link = links.by_hash(tx, said.link_sha256)
    mine = link is not None and (link.person, link.approval_id) == (said.person, said.approval_id)
    if not mine or links.use(tx, said.link_sha256, purpose=LinkPurpose.DECIDE, now=shift.clock()) is None:
        raise Refused("this link does not hold any more: ask for a fresh one", code="link_revoked")


def _write(shift: Shift, tx: Connection, estate: Estate, held: Approval, said: Statement, started: list[Run]) -> None:
    now, by = shift.clock(), f"{ActorKind.PERSON}:{said.person}"
    person = estate.person(said.person)
    assert person is not None
    decision = Decision(
        id=new_id(),
        approval_id=held.id,
        person=said.person,
        choice=said.choice,
        reason=said.reason.strip(),
        via=said.via,
        digest=said.digest,
        revision=revisions.current_id(tx),
        at=now,
        identity=identity_of(person),
    )
    approvals.insert_decision(tx, decision)
    asking.note(tx, now, by, f"approval.{_PAST[said.choice]}_by", held, reason=decision.reason, via=said.via)
    said_yes = [one for one in approvals.decisions(tx, held.id) if one.choice is Choice.APPROVE]
    ended: dict[str, object]
    if said.choice is Choice.DENY:
        ended = {"state": ApprovalState.DENIED, "ended_at": now, "ended_by": by, "ended_reason": decision.reason}
    elif still_entitled(estate, held, said_yes) is None:
        ended = _open_gate(tx, held, now) or _start(shift, tx, held, said_yes, started)
    else:
        asking.tell(tx, held.id, "approval_decided", now)
        return
    approvals.change(tx, held.id, from_states=(ApprovalState.PENDING,), remind_at=None, **ended)
    links.revoke(tx, held.id, now, purpose=LinkPurpose.DECIDE)
    asking.note(tx, now, by, f"approval.{ended['state']}", held, decisions=[one.person for one in said_yes])
    asking.tell(tx, held.id, "approval_decided", now)
    asking.announce(tx, EventKind.APPROVAL_DECIDED, held, now)
    answered(tx, held, by, now)


def _open_gate(tx: Connection, held: Approval, now: datetime) -> dict[str, object] | None:
    """Of a gate: no run follows, and the yes holds as long as it may be used. None: it is none."""
    gate = gates.get(tx, held.id)
    if gate is None:
        return None
    use_by = now + timedelta(seconds=gate.use_seconds)
    gates.open_until(tx, held.id, use_by)
    return {"state": ApprovalState.APPROVED, "expires_at": use_by}


def _start(shift: Shift, tx: Connection, held: Approval, said_yes: Sequence[Decision], started: list[Run]) -> dict[str, object]:
    run = _queue(shift, tx, held, said_yes)
    started.append(run)
    expires_at = max(held.expires_at, shift.clock() + HOLDS)
    return {"state": ApprovalState.APPROVED, "effect_run_id": run.id, "expires_at": expires_at}


_PAST = {Choice.APPROVE: "approved", Choice.DENY: "denied"}


def _queue(shift: Shift, tx: Connection, held: Approval, said_yes: Sequence[Decision]) -> Run:
    """The one run of this approval, with its bell."""
    plan = plans.get(tx, held.digest)
    assert plan is not None
    now, by = shift.clock(), f"{ActorKind.PERSON}:{', '.join(one.person for one in said_yes)}"
    note = f"approval {held.id}"
    run = queue_alone(tx, held, kind=RunKind.EFFECT, parent_id=held.run_id, params=plan.params, by=by, note=note, now=now)
    outbox.put_many(tx, Topic.BELL, [run.id], at=now, not_before=now + shift.pace.first_ring_again, attempts=1)
    return run


def _stop(shift: Shift, tx: Connection, held: Approval, actor: Actor, reason: str) -> None:
    if held.effect_run_id is None:
        return
    run = runs.hold(tx, held.effect_run_id)
    told = f"its approval was revoked by {actor}: {reason}"
    if run is not None and runs.cancel_queued(tx, run.id, by=str(actor), reason="revoked", summary=told):
        close_if_last(tx, run, shift.clock())
    elif run is not None:
        runs.request_cancel(tx, run.id, by=str(actor))


def _held(tx: Connection, approval_id: str) -> Approval:
    held = approvals.hold(tx, approval_id)
    if held is None:
        raise NotFound(f"no approval {approval_id}")
    return held


def _found(tx: Connection, approval_id: str) -> Approval:
    found = approvals.get(tx, approval_id)
    assert found is not None
    return found


def _require(reason: str) -> None:
    if not reason.strip():
        raise Invalid("`reason` is empty: say why, it is kept in the audit", field="reason")
