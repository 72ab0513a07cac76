"""Time at requests: those that nobody decided, yeses that nobody used, and a word to the deciders before it is over."""

from collections.abc import Sequence

from worker.flow import asking
from worker.flow.shift import Shift
from worker.ledger import approvals, gates
from worker.records import Approval, ApprovalState

_SWEEPER = "sweeper:sweeper"


def expire_due(shift: Shift) -> int:
    """Pending requests whose time is over: that means no. Returns how many."""
    with shift.ledger.read() as connection:
        over, _ = approvals.due(connection, shift.clock())
    return _expire(shift, over, ApprovalState.PENDING, "nobody decided in time, which means no")


def expire_unused(shift: Shift) -> int:
    """Gates whose yes nobody used in time. Returns how many."""
    with shift.ledger.read() as connection:
        unused = gates.unused(connection, shift.clock())
    return _expire(shift, unused, ApprovalState.APPROVED, "nobody used the yes in time")


def remind_due(shift: Shift) -> int:
    """Tell the deciders of requests that expire soon, once. Returns how many requests."""
    now = shift.clock()
    with shift.ledger.read() as connection:
        _, soon = approvals.due(connection, now)
    for approval in soon:
        with shift.ledger.transaction() as tx:
            held = approvals.hold(tx, approval.id)
            if held is not None and held.state is ApprovalState.PENDING and held.remind_at == approval.remind_at:
                approvals.change(tx, held.id, from_states=(ApprovalState.PENDING,), remind_at=None)
                asking.note(tx, now, _SWEEPER, "approval.reminded", held)
                asking.tell(tx, held.id, "approval_reminder", now)
    return len(soon)


def _expire(shift: Shift, over: Sequence[Approval], state: ApprovalState, why: str) -> int:
    now = shift.clock()
    for approval in over:
        with shift.ledger.transaction() as tx:
            held = approvals.hold(tx, approval.id)
            if held is not None and held.state is state:
                asking.close(tx, held, ApprovalState.EXPIRED, by=_SWEEPER, reason=why, now=now)
    return len(over)
