"""Gates: questions for work that somebody else does, and the one use of a yes."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tasks.ask import JOB, Question, plan_of
from tasks.model import Json
from worker.flow import asking
from worker.flow.answers import answer_to, approval_told
from worker.flow.authorizing import still_entitled
from worker.flow.carrying.endings import carried_out
from worker.flow.drafting import Order
from worker.flow.errors import FlowError, Forbidden, NotFound, Refused
from worker.flow.intake import Enqueued, Request, enqueue
from worker.flow.shift import Estate, Shift
from worker.ledger import approvals, batches, gates, revisions, runs
from worker.policy import Denied, assess, judge
from worker.records import Actor, Approval, ApprovalState, AskedHow, Gate, LedgerState, Trigger

MOST_WAITING = 50
"""Questions of one token's family that may wait at a time."""
MOST_AN_HOUR = 100
"""Those that took the place of others, too: each is mail to everybody who may decide."""

Permit = Callable[[str], None]
"""`permit(environment)` raises `Forbidden` unless the actor may ask there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A question as it came in. `callback` is encrypted already."""

    subject: str
    body: str
    risk: str
    payload_sha256: str
    environment: str | None
    use_seconds: int
    actor: Actor
    family: str
    trigger: Trigger
    idempotency_key: str | None = None
    callback: str | None = None
    callback_sha256: str | None = None


def ask(shift: Shift, asked: Asking, permit: Permit) -> Enqueued:
    """Queue the run that asks people. Raises `Forbidden`, `Invalid`, `KeyConflict`, and `Refused` when nobody could say yes."""
    estate = shift.estate()
    environment = asked.environment or str(estate.defaults.get("environment", "default"))
    permit(environment)
    target = _target(asked, environment)
    _refuse_hopeless(estate, target)
    _refuse_a_flood(shift, asked)
    request = Request(
        orders=[Order(job=JOB.name, params={"targets": [target]})],
        trigger=asked.trigger,
        actor=asked.actor,
        family=asked.family,
        idempotency_key=asked.idempotency_key,
        callback=asked.callback,
        callback_sha256=asked.callback_sha256,
        question=True,
    )
    return enqueue(shift, request)


def answer(connection: Connection, batch_id: str) -> dict[str, Json]:
    """What whoever asked is told: `waiting`, `approved`, or `denied` for whatever is not a yes."""
    (run,) = runs.of_batch(connection, batch_id)
    asked = gates.asked_in(connection, batch_id).get(run.id, [])
    if asked:
        approval, how = asked[-1]
        before = {"reason": f"denied before: {approval.ended_reason}"} if how is AskedHow.QUIET else {}
        told = {**approval_told(connection, approval.id), "reason": approval.ended_reason, **before}
        return {"ask": batch_id, "state": approval.state.value, **told}
    waits = not run.state.terminal
    why = "no worker has asked yet" if waits else f"nobody was asked: see the log of run {run.id}; {run.summary}"
    told = {"approval_id": None, "approval": None, "decisions": [], "gate": None, "reason": why}
    return {"ask": batch_id, "state": "queued" if waits else "not_asked", "answer": "waiting" if waits else "denied", **told}


def consume(shift: Shift, approval_id: str, payload_sha256: str, *, actor: Actor, family: str) -> Approval:
    """Use the yes, once. Raises `NotFound`, `Forbidden`, `Refused`; a refusal is in the audit too."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        held, gate = approvals.hold(tx, approval_id), gates.get(tx, approval_id)
        if held is None or gate is None:
            raise NotFound(f"no gate {approval_id[:64]!r}", code="unknown_gate")
        refusal = _why_not(shift, tx, held, gate, payload_sha256, family, now)
        if refusal is None and not gates.consume(tx, approval_id, by=str(actor), at=now):
            refusal = _consumed_before(gate)
        if refusal is None:
            carried_out(tx, approval_id, by=str(actor), reason="its yes was used", now=now)
            asking.note(tx, now, str(actor), "gate.consumed", held)
        else:
            asking.note(tx, now, str(actor), "gate.refused", held, code=refusal.code, given=payload_sha256)
        after = approvals.get(tx, approval_id)
    if refusal is not None:
        raise refusal
    assert after is not None
    return after


def _target(asked: Asking, environment: str) -> Mapping[str, Any]:
    asker = hashlib.sha256(asked.family.encode()).hexdigest()[:12]
    question = Question(
        name=f"{asked.subject} [{asker}]",
        environment=environment,
        subject=asked.subject,
        body=asked.body,
        risk=asked.risk,  # type: ignore[arg-type] # the model says what is accepted
        payload_sha256=asked.payload_sha256,
        use_seconds=asked.use_seconds,
        asker=asker,
    )
    return question.model_dump(mode="json", exclude={"owner", "labels"})


def _refuse_hopeless(estate: Estate, target: Mapping[str, Any]) -> None:
    """What could not be approved is told at once, to whoever can mend it; the run that asks looks again."""
    question = Question.model_validate(target)
    mode = estate.mode(question.environment)
    if mode != "execute":
        told = f"environment {question.environment!r} is in mode {mode}: there is no yes to give; estate.toml says its mode"
        raise Refused(told, code="not_in_execute")
    plan = plan_of(question)
    verdict = judge(estate.policy, plan, question.environment, assess(plan, question.environment).risk)
    if isinstance(verdict, Denied):
        raise Refused(verdict.why, code=verdict.code)


def _refuse_a_flood(shift: Shift, asked: Asking) -> None:
    """Each question is a mail to everybody who may decide: a loop gone wrong must not drown those that matter."""
    with shift.ledger.read() as connection:
        if asked.idempotency_key is not None and batches.by_idempotency_key(connection, asked.family, asked.idempotency_key):
            return
        waiting = gates.waiting_of(connection, JOB.name, asked.family)
        lately = gates.asked_since(connection, JOB.name, asked.family, shift.clock() - timedelta(hours=1))
    if waiting >= MOST_WAITING:
        told = f"{waiting} questions of this token wait, at most {MOST_WAITING} may: ask one question about many things"
        raise Refused(told, code="too_many_questions")
    if lately >= MOST_AN_HOUR:
        told = f"this token asked {lately} questions within an hour, at most {MOST_AN_HOUR} may: is a loop asking them?"
        raise Refused(told, code="too_many_questions")


def _why_not(
    shift: Shift, tx: Connection, held: Approval, gate: Gate, payload_sha256: str, family: str, now: datetime
) -> FlowError | None:
    if gate.family != family:
        return Forbidden("another token asked this: only its family may use the yes", code="other_family")
    if gate.consumed_at is not None:
        return _consumed_before(gate)
    if gate.use_by is not None and gate.use_by <= now:
        return Refused(f"the yes held until {gate.use_by:%Y-%m-%d %H:%M:%S} UTC: ask again", code="too_late")
    if held.state is not ApprovalState.APPROVED:
        by = f" by {held.ended_by}: {held.ended_reason}" if held.ended_by else ""
        return Refused(f"this question is {answer_to(held)} ({held.state}{by})", code="not_approved")
    if payload_sha256 != gate.payload_sha256:
        told = f"approved is payload {gate.payload_sha256}, you bring {payload_sha256}: do what was approved, or ask anew"
        return Refused(told, code="payload_differs", field="payload_sha256")
    return _not_any_more(shift, tx, held, revisions.state(tx), now)


def _not_any_more(shift: Shift, tx: Connection, held: Approval, state: LedgerState, now: datetime) -> FlowError | None:
    """Brakes, and everything that the yes rests on, looked at again."""
    estate = shift.estate()
    if held.epoch != state.epoch:
        # It may have been used after the backup that was restored, and counts once.
        return Refused("the yes was given before the ledger was restored: ask again", code="before_a_restore")
    if state.killed or state.frozen_by is not None:
        return Refused(f"everything is {'stopped' if state.killed else 'frozen'}: {state.frozen_reason}", code="frozen")
    if (window := estate.policy.frozen(held.environment, now)) is not None:
        return Refused(f"freeze window {window!r} holds for {held.environment!r}", code="frozen")
    if (mode := estate.mode(held.environment)) != "execute":
        return Refused(f"environment {held.environment!r} is in mode {mode} now", code="not_in_execute")
    lost = still_entitled(estate, held, approvals.decisions(tx, held.id))
    return Refused(f"the yes does not hold any more: {lost}", code="quorum_lost") if lost else None


def _consumed_before(gate: Gate) -> Refused:
    when = f" at {gate.consumed_at:%Y-%m-%d %H:%M:%S} UTC by {gate.consumed_by}" if gate.consumed_at else ""
    return Refused(f"the yes was used{when}: it counts once", code="consumed_before")
