"""What a person's word about an effect run means for its steps and its approval."""

from datetime import datetime

from sqlalchemy import Connection

from worker.flow import asking
from worker.flow.carrying.endings import carried_out, happened
from worker.flow.errors import Refused
from worker.flow.liveness import alive, told
from worker.flow.shift import Shift
from worker.ledger import approvals, effects
from worker.records import Actor, ApprovalState, EffectOutcome, Run, RunKind


def refuse_while_alive(shift: Shift, run_id: str) -> None:
    """Nobody can say what became of a step that still goes on. Raises `Refused`."""
    with shift.ledger.read() as connection:
        begun = effects.of_run(connection, run_id)
    for effect in begun:
        if effect.outcome is None and alive(effect.process):
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
        asking.close(tx, approval, ApprovalState.REVOKED, by=str(actor), reason=f"nothing of it happened: {reason}", now=now)
    return steps
