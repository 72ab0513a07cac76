"""`/v1/approvals` and `/v1/plans`: what is asked, the exact bytes of it, and a person's yes or no."""

import base64
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, SecretStr

from worker.api.auth import Caller, Who
from worker.api.gateway import Gateway, Here
from worker.api.reading import ApprovalFilter, visible_approval, visible_approvals, visible_plan
from worker.api.validation import Closed
from worker.flow import deciding
from worker.flow.deciding import Statement
from worker.flow.dossiers import dossier, dossier_shown, plan_shown
from worker.flow.errors import Forbidden
from worker.flow.shown import shown
from worker.records import ActorKind, Approval, ApprovalState, Choice, Via

BYTES = "application/octet-stream"

router = APIRouter(prefix="/v1", tags=["approvals"])


class ApprovalQuery(Closed):
    """Which requests to list."""

    state: ApprovalState | Literal["all"] = Field(ApprovalState.PENDING, description="`all`: whatever became of them.")
    job: str | None = None
    environment: str | None = None
    limit: int = Field(100, ge=1, le=1000)
    before: str | None = Field(None, description="`next` of the page before.")


class DecisionBody(Closed):
    """What a person says."""

    choice: Choice
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="Of the plan that the person saw.")
    pin: SecretStr = Field(min_length=1, max_length=100, description="The person's own PIN.")
    reason: str = Field("", max_length=500, description="Asked for with `deny`.")


class RevokeBody(Closed):
    """Why a request, or a yes, no longer stands."""

    reason: str = Field(min_length=1, max_length=500)


@router.get("/approvals")
def list_approvals(query: Annotated[ApprovalQuery, Query()], here: Here, who: Who) -> dict[str, Any]:
    """Requests, newest first."""
    states = None if query.state == "all" else (ApprovalState(query.state),)
    wanted = ApprovalFilter(states=states, job=query.job, environment=query.environment)
    with here.shift.ledger.read() as connection:
        found, after = visible_approvals(connection, who, wanted, before=query.before, limit=query.limit)
    return {"approvals": [shown(approval) for approval in found], "next": after}


@router.get("/approvals/{approval_id}")
def get_approval(approval_id: str, here: Here, who: Who) -> dict[str, Any]:
    """One request: its plan, simulation, findings, decisions, what it superseded, and the run it led to."""
    estate = here.shift.estate()
    with here.shift.ledger.read() as connection:
        approval = visible_approval(connection, who, approval_id)
        return dossier_shown(dossier(estate, connection, approval))


@router.get("/plans/{digest}", response_model=None)
def get_plan(digest: str, request: Request, here: Here, who: Who) -> Response | dict[str, Any]:
    """A sealed plan. `Accept: application/octet-stream` gets the exact bytes, whose SHA-256 is the digest."""
    with here.shift.ledger.read() as connection:
        plan = visible_plan(connection, who, digest)
    if BYTES in request.headers.get("accept", ""):
        return Response(plan.content, media_type=BYTES)
    return {**plan_shown(plan), "content_base64": base64.b64encode(plan.content).decode()}


@router.post("/approvals/{approval_id}/decisions", status_code=201)
def decide(approval_id: str, body: DecisionBody, here: Here, who: Who) -> dict[str, Any]:
    """A person's yes or no, with their own token and PIN. No other token decides."""
    person = _person(who)
    _visible(here, who, approval_id)
    statement = Statement(
        approval_id=approval_id,
        person=person,
        choice=body.choice,
        digest=body.digest,
        pin=body.pin.get_secret_value(),
        reason=body.reason,
        via=Via.API,
    )
    return shown(deciding.decide(here.shift, statement))


@router.post("/approvals/{approval_id}/revoke")
def revoke(approval_id: str, body: RevokeBody, here: Here, who: Who) -> dict[str, Any]:
    """Nobody can decide on it any more, and a yes that was given starts nothing more."""
    require_revoke(who, _visible(here, who, approval_id))
    return shown(deciding.revoke(here.shift, approval_id, who.actor, body.reason))


@router.post("/approvals/{approval_id}/dismiss")
def dismiss(approval_id: str, body: RevokeBody, here: Here, who: Who) -> dict[str, Any]:
    """Put away what is only proposed."""
    require_dismiss(who, _visible(here, who, approval_id))
    return shown(deciding.dismiss(here.shift, approval_id, who.actor, body.reason))


def require_revoke(caller: Caller, approval: Approval) -> None:
    """Whoever may decide on such requests, or operates there."""
    if not caller.may("decide", approval.job, approval.environment):
        caller.require("operate", approval.job, approval.environment)


def require_dismiss(caller: Caller, approval: Approval) -> None:
    """Whoever may decide on such requests, or mute the findings."""
    if not caller.may("decide", approval.job, approval.environment):
        caller.require("mute", approval.job, approval.environment)


def _person(who: Caller) -> str:
    """Whose token it is. A session decides on the page, where the person sees what they decide on."""
    if who.actor.kind is not ActorKind.PERSON or who.session is not None:
        told = (
            f"{who.actor} can ask and cannot decide: a decision needs a person's own token (`nightshift token create --person`)"
        )
        raise Forbidden(told, code="not_a_person")
    return who.actor.name


def _visible(here: Gateway, who: Caller, approval_id: str) -> Approval:
    with here.shift.ledger.read() as connection:
        return visible_approval(connection, who, approval_id)
