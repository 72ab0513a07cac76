"""The forms of an approval's page: yes or no, taking it back, and what became of a repair that needs a person."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fastapi import APIRouter, Request, Response

from worker.api.approvals import require_dismiss, require_revoke
from worker.api.auth import Caller
from worker.api.console.approvals import approval_for, decision_page
from worker.api.console.forms import Members
from worker.api.console.page import back_to
from worker.api.console.viewer import Viewer, Views, set_link_cookie
from worker.api.problems import ProblemError, of_flow
from worker.flow import deciding, settling
from worker.flow.deciding import Statement
from worker.flow.errors import FlowError, Forbidden
from worker.flow.settling import Word
from worker.flow.shift import Shift
from worker.records import Actor, Approval, Choice

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
    return _said(request, viewer)


@router.post("/resolve")
def settle(request: Request, viewer: Views, members: Members) -> Response:
    """What a person found out about a repair that needs one, with their PIN. What is refused is told on the page itself."""
    viewer.check_csrf(members.get("csrf", ""))
    approval = _approval(viewer)
    resolution, reason = members.get("resolution", ""), members.get("reason", "")
    word = Word(
        approval_id=approval.id,
        person=viewer.person,
        resolution=resolution,
        reason=reason,
        pin=members.get("pin", ""),
        process_ended="process_ended" in members,
        link_sha256=viewer.held.link_sha256 if viewer.held else None,
    )
    try:
        settling.settle(viewer.here.shift, word)
    except FlowError as error:
        return decision_page(viewer, of_flow(error, {}, None), (resolution, reason))
    return _said(request, viewer)


@router.post("/revoke")
def revoke(viewer: Views, members: Members) -> Response:
    """Nobody can decide on it any more; what was approved does not go on."""
    return _put_an_end(viewer, members, require_revoke, deciding.revoke)


@router.post("/dismiss")
def dismiss(viewer: Views, members: Members) -> Response:
    """Put away what is only proposed."""
    return _put_an_end(viewer, members, require_dismiss, deciding.dismiss)


def _put_an_end(
    viewer: Viewer,
    members: Mapping[str, str],
    require: Callable[[Caller, Approval], None],
    end: Callable[[Shift, str, Actor, str], Approval],
) -> Response:
    """What needs a role needs a sign-in: a link says who decides, and nothing more."""
    if viewer.visitor is None:
        raise Forbidden("sign in for this: a link is for the decision alone", code="signed_out")
    viewer.check_csrf(members.get("csrf", ""))
    approval, caller = _approval(viewer), viewer.visitor.caller
    require(caller, approval)
    end(viewer.here.shift, approval.id, caller.actor, members.get("reason", ""))
    return back_to(f"/approvals/{approval.id}")


def _said(request: Request, viewer: Viewer) -> Response:
    response = back_to(f"/approvals/{viewer.approval_id}")
    if viewer.held is not None:
        # The link is spent; whoever spoke may still see what comes of it.
        set_link_cookie(request, viewer.here, response, replace(viewer.held, spent=True))
    return response


def _approval(viewer: Viewer) -> Approval:
    with viewer.here.shift.ledger.read() as connection:
        return approval_for(viewer, connection)
