"""The forms of an approval's page: yes or no, and taking it back."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response

from worker.api.approvals import require_dismiss, require_revoke
from worker.api.console.approvals import approval_for, decision_page
from worker.api.console.forms import Members
from worker.api.console.page import back_to
from worker.api.console.viewer import Viewer, Views, set_link_cookie
from worker.api.problems import ProblemError, of_flow
from worker.flow import deciding
from worker.flow.deciding import Statement
from worker.flow.errors import FlowError, Forbidden
from worker.records import Approval, Choice

router = APIRouter(prefix="/approvals/{approval_id}")


@router.post("/decide")
def decide(request: Request, viewer: Views, members: Members) -> Response:
    """A person's yes or no. What is refused is told on the page itself, without the PIN."""
    viewer.check_csrf(members.get("csrf", ""))
    approval = _approval(viewer)
    choice, reason = members.get("choice", ""), members.get("reason", "")
    if choice not in {one.value for one in Choice}:
        problem = ProblemError(422, "invalid", "choose: approve or deny", field="choice", accepted=list(Choice))
        return decision_page(viewer, problem, (choice, reason))
    said = Statement(
        approval_id=approval.id,
        person=viewer.person,
        choice=Choice(choice),
        digest=members.get("digest", ""),
        pin=members.get("pin", ""),
        reason=reason,
        via=viewer.via,
        link_sha256=viewer.held.link_sha256 if viewer.held else None,
    )
    try:
        deciding.decide(viewer.here.shift, said)
    except FlowError as error:
        return decision_page(viewer, of_flow(error, {}, None), (choice, reason))
    response = back_to(f"/approvals/{approval.id}")
    if viewer.held is not None:
        # The link is spent; who decided may still see what comes of it.
        set_link_cookie(request, viewer.here, response, replace(viewer.held, spent=True))
    return response


@router.post("/revoke")
def revoke(viewer: Views, members: Members) -> Response:
    """Nobody can decide on it any more; what was approved does not go on."""
    approval = _by_session(viewer, members.get("csrf", ""))
    assert viewer.visitor is not None
    require_revoke(viewer.visitor.caller, approval)
    deciding.revoke(viewer.here.shift, approval.id, viewer.visitor.caller.actor, members.get("reason", ""))
    return back_to(f"/approvals/{approval.id}")


@router.post("/dismiss")
def dismiss(viewer: Views, members: Members) -> Response:
    """Put away what is only proposed."""
    approval = _by_session(viewer, members.get("csrf", ""))
    assert viewer.visitor is not None
    require_dismiss(viewer.visitor.caller, approval)
    deciding.dismiss(viewer.here.shift, approval.id, viewer.visitor.caller.actor, members.get("reason", ""))
    return back_to(f"/approvals/{approval.id}")


def _approval(viewer: Viewer) -> Approval:
    with viewer.here.shift.ledger.read() as connection:
        return approval_for(viewer, connection)


def _by_session(viewer: Viewer, csrf: str) -> Approval:
    """What needs a role needs a sign-in: a link says who decides, and nothing more."""
    if viewer.visitor is None:
        raise Forbidden("sign in for this: a link is for the decision alone", code="signed_out")
    viewer.check_csrf(csrf)
    with viewer.here.shift.ledger.read() as connection:
        return approval_for(viewer, connection)
