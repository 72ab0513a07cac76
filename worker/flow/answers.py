"""What became of a request, as machines are told it: never with a link."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from tasks.ask import GATE_ONLY
from tasks.model import Json
from worker.flow.shown import jsonable, shown
from worker.ledger import approvals, findings, gates, outbox, plans
from worker.records import Approval, ApprovalState, FindingState, Gate, Topic

APPROVED = (ApprovalState.APPROVED, ApprovalState.CARRIED_OUT)


def answer_to(approval: Approval) -> str:
    """`waiting`, `approved` or `denied`: whatever is not a yes is a no, time-out included."""
    if approval.state is ApprovalState.PENDING:
        return "waiting"
    return "approved" if approval.state in APPROVED else "denied"


def approval_told(connection: Connection, approval_id: str) -> Mapping[str, Json]:
    """The request as it stands now, who said what, and of a gate the payload that the answer counts for."""
    approval, gate = approvals.get(connection, approval_id), gates.get(connection, approval_id)
    assert approval is not None
    said = approvals.decisions(connection, approval_id)
    return {
        "answer": answer_to(approval),
        "approval_id": approval_id,
        "approval": shown(approval),
        "decisions": [
            {"person": one.person, "choice": one.choice.value, "reason": one.reason, "at": jsonable(one.at)} for one in said
        ],
        "gate": gate_told(gate) if gate else None,
    }


def gate_told(gate: Gate) -> Mapping[str, Json]:
    """Its members, and what a yes to it does not mean."""
    return {**shown(gate), "note": GATE_ONLY}


def answered(tx: Connection, approval: Approval, by: str, now: datetime) -> None:
    """A pending request has ended: of a gate, its question is no finding any more, and whoever asked is called back."""
    if gates.get(tx, approval.id) is None:
        return
    now_is = approvals.get(tx, approval.id)
    assert now_is is not None
    if now_is.state is not ApprovalState.SUPERSEDED:
        for row in plans.findings(tx, approval.digest):
            if row.state is not FindingState.RESOLVED:
                findings.retire(tx, row.id, at=now, reason=f"answered: {now_is.state}", observed_at=row.observed_at, by=by)
    for batch_id in gates.to_call_back(tx, approval.id):
        if not gates.waiting(tx, batch_id):
            outbox.put(tx, Topic.CALLBACK, batch_id, at=now, not_before=now)
