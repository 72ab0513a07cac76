"""What a person's word about an effect run means for its steps and its approval."""

from datetime import datetime

from sqlalchemy import Connection

from worker.flow import asking
from worker.flow.carrying.endings import carried_out, happened
from worker.flow.errors import Refused
from worker.flow.liveness import alive, told
from worker.flow.shift import Shift
from worker.ledger import approvals, effects, links, outbox
from worker.ledger.rows import new_id
from worker.records import Actor, ApprovalState, EffectOutcome, LinkPurpose, Run, RunKind, Topic


def refuse_while_alive(shift: Shift, run_id: str, resolution: str, *, process_ended: bool) -> None:
    """Nobody can say what became of a step that still goes on. Raises `Refused`.

    Of a process that cannot be asked from here, `process_ended` is somebody's word, without which nothing of it is done again.
    """
    with shift.ledger.read() as connection:
        begun = effects.of_run(connection, run_id)
    for effect in begun:
        if effect.outcome is not None:
            continue
        lives = alive(effect.process)
        if lives is None and resolution != "applied" and not process_ended:
            who = f"step {effect.step} of run {run_id} may still go on: {told(effect.process)} cannot be asked from here"
            message = f"{who}; make sure there that it has ended, then say so, too (`--process-ended`)"
            raise Refused(message, code="process_unknown")
        if lives:
            message = f"step {effect.step} of run {run_id} still goes on: {told(effect.process)}; wait for its end, or end it"
            raise Refused(message, code="step_goes_on")


def settle_steps(tx: Connection, run: Run, actor: Actor, resolution: str, reason: str, now: datetime) -> list[str]:
    """Give every step that nobody knew about its outcome; of a retry failed ones, too: nothing of them happened, they say.

    The steps that were settled. Raises `Refused`.
    """
    approval = approvals.hold(tx, run.approval_id or "")
    if (
        resolution == "retry"
        and run.kind is RunKind.EFFECT
        and (approval is None or approval.state is not ApprovalState.APPROVED)
    ):
        now_is = approval.state if approval is not None else "gone"
        raise Refused(f"the approval of run {run.id} is {now_is}: it is asked again if it is found again", code="not_approved")
    outcome = EffectOutcome.APPLIED if resolution == "applied" else EffectOutcome.DID_NOT
    detail = f"{actor} said {resolution}: {reason}"
    steps = effects.settle(tx, run.id, over=None, outcome=outcome, at=now, detail=detail)
    if resolution == "retry":
        steps += effects.settle(tx, run.id, over=EffectOutcome.FAILED, outcome=outcome, at=now, detail=detail)
    elif approval is not None and happened(effects.of_run(tx, run.id)):
        carried_out(tx, approval.id, by=str(actor), reason=reason, now=now)
    elif approval is not None:
        why = f"nothing of it happened: {reason}"
        asking.close(tx, approval, ApprovalState.REVOKED, by=str(actor), reason=why, now=now, tells=False)
    return steps


def end_links(tx: Connection, run: Run, actor: Actor, sha256: str | None, now: datetime) -> None:
    """All that were made to settle this run; the one of `sha256` is spent by `actor`. Raises `Refused` if it does not hold."""
    link = links.by_hash(tx, sha256) if sha256 is not None else None
    if sha256 is not None:
        mine = link is not None and (link.person, link.approval_id) == (actor.name, run.approval_id)
        if not mine or links.use(tx, sha256, purpose=LinkPurpose.RESOLVE, now=now) is None:
            raise Refused("this link does not hold any more: ask for a fresh one", code="link_revoked")
    if run.approval_id is not None:
        links.revoke(tx, run.approval_id, now, purpose=LinkPurpose.RESOLVE)


def tell(tx: Connection, run: Run, actor: Actor, resolution: str, reason: str, now: datetime) -> None:
    """One message, to everybody who was called: who settled it, how, and how they know."""
    kind = "approval_decided" if resolution == "retry" else "remediation_ended"
    payload = {"kind": kind, "message_id": new_id(), "by": str(actor), "resolution": resolution, "reason": reason}
    outbox.put(tx, Topic.MESSAGE, run.id, at=now, not_before=now, payload=payload)
