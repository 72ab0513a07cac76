"""Requests: the list, and the page on which a person decides and later sees what came of it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from tasks.ask import GATE_ONLY
from worker.api.approvals import BYTES
from worker.api.console.page import Looks
from worker.api.console.render import render
from worker.api.console.settling import lines_seen, outputs
from worker.api.console.viewer import Viewer, Views
from worker.api.problems import ProblemError
from worker.api.reading import ApprovalFilter, no_approval, visible_approval, visible_approvals
from worker.flow.authorizing import why_not, why_not_resolve
from worker.flow.dossiers import Dossier, dossier, simulation_of
from worker.ledger import approvals, plans
from worker.records import Approval, ApprovalState, LinkPurpose, RunState

PAGE = 40
LONGEST_PAGE = 29 * 1024
"""Bytes; what does not fit is behind a link of its own."""

router = APIRouter()
_one = APIRouter(prefix="/approvals/{approval_id}")


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a request one page shows."""

    lines: int
    steps: int
    value: int
    reasons: int
    width: int
    """Characters of a line."""


FULL = Detail(lines=120, steps=12, value=400, reasons=20, width=300)
SHORT = Detail(lines=30, steps=5, value=120, reasons=8, width=160)
LEAST = Detail(lines=8, steps=2, value=60, reasons=3, width=80)


@router.get("/approvals", response_class=HTMLResponse)
def approvals_page(
    visitor: Looks,
    state: ApprovalState | Literal["all"] = ApprovalState.PENDING,
    job: str = "",
    before: Annotated[str, Query(max_length=36)] = "",
) -> HTMLResponse:
    wanted = ApprovalFilter(states=None if state == "all" else (ApprovalState(state),), job=job or None)
    with visitor.here.shift.ledger.read() as connection:
        rows, after = visible_approvals(connection, visitor.caller, wanted, before=before or None, limit=PAGE)
    return visitor.page(
        "approvals.html",
        rows=rows,
        after=after,
        state=state,
        states=[*ApprovalState, "all"],
        job=job,
        jobs=sorted(visitor.here.shift.jobs),
        now=visitor.here.shift.clock(),
    )


@_one.get("", response_class=HTMLResponse)
def approval_page(viewer: Views) -> HTMLResponse:
    return decision_page(viewer)


@_one.get("/live", response_class=HTMLResponse)
def approval_now(viewer: Views) -> HTMLResponse:
    """The part of the page that changes while what was approved is carried out; `X-Live: over` once it changes no more."""
    found = dossier_for(viewer)
    body = render("approval_live.html", **_frame(viewer, found), detail=FULL, zone=viewer.here.settings.timezone)
    return HTMLResponse(body, headers={"X-Live": "on" if _living(found) else "over"})


@_one.get("/simulation")
def simulation(viewer: Views) -> Response:
    """All of it as plain text."""
    with viewer.here.shift.ledger.read() as connection:
        plan = plans.get(connection, approval_for(viewer, connection).digest)
        assert plan is not None
        text = simulation_of(connection, plan)
    if text is None:
        raise ProblemError(404, "unknown_artifact", "the simulation is kept encrypted: `operate` is needed to fetch it")
    return _download(text.encode(), "text/plain; charset=utf-8", f"simulation-{plan.digest[:12]}.txt")


@_one.get("/plan")
def plan_bytes(viewer: Views) -> Response:
    """The exact bytes that are approved; their SHA-256 is the digest."""
    with viewer.here.shift.ledger.read() as connection:
        plan = plans.get(connection, approval_for(viewer, connection).digest)
    assert plan is not None
    return _download(plan.content, BYTES, f"plan-{plan.digest[:12]}")


def decision_page(viewer: Viewer, problem: ProblemError | None = None, said: tuple[str, str] = ("", "")) -> HTMLResponse:
    """The page; with what was wrong with a form that was sent, and the (choice, reason) it held. Never its PIN."""
    found = dossier_for(viewer)
    members = {**_frame(viewer, found), "problem": problem.document() if problem else None, "said": said}
    if members["may_settle"]:
        members["settling"] = _settling(viewer, found)
    text = ""
    for detail in (FULL, SHORT, LEAST):
        text = viewer.page("approval.html", **members, detail=detail, refresh=_living(found))
        if len(text.encode()) <= LONGEST_PAGE:
            break
    return HTMLResponse(text, problem.status_code if problem else 200)


def dossier_for(viewer: Viewer) -> Dossier:
    with viewer.here.shift.ledger.read() as connection:
        return dossier(viewer.estate, connection, approval_for(viewer, connection))


def approval_for(viewer: Viewer, connection: Connection) -> Approval:
    """The request of the address. A session needs `read` on it; a link of its own proves that it may be looked at."""
    if viewer.held is None:
        assert viewer.visitor is not None
        return visible_approval(connection, viewer.visitor.caller, viewer.approval_id)
    approval = approvals.get(connection, viewer.approval_id)
    if approval is None:
        raise no_approval(viewer.approval_id)
    return approval


def _frame(viewer: Viewer, found: Dossier) -> dict[str, object]:
    approval, now = found.approval, viewer.here.shift.clock()
    open_to_decide = approval.state is ApprovalState.PENDING and approval.mode == "execute" and approval.expires_at > now
    refusal = _why_not(viewer, found) if open_to_decide else None
    return {
        "viewer": viewer,
        "found": found,
        "approval": approval,
        "gate_only": GATE_ONLY,
        "now": now,
        "window": viewer.estate.policy.frozen(approval.environment, now),
        "mode_now": viewer.estate.mode(approval.environment),
        "why_not": refusal,
        "may_decide": open_to_decide and refusal is None,
        "may_settle": _may_settle(viewer, found),
        "may_dismiss": _may(viewer, approval, "mute") and approval.mode == "propose" and approval.state is ApprovalState.PENDING,
        "may_revoke": _may(viewer, approval, "operate") and not approval.state.terminal,
        "may_see_runs": viewer.visitor is not None and _may_read(viewer, approval),
    }


def _why_not(viewer: Viewer, found: Dossier) -> str | None:
    """Why this viewer cannot decide; None: they can."""
    if any(decision.person == viewer.person for decision in found.decisions):
        return "You have decided on this."
    if not viewer.may_speak(LinkPurpose.DECIDE):
        return "This link is not for deciding: sign in, or ask for a fresh one."
    if refusal := why_not(viewer.estate, found.approval, viewer.person):
        return str(refusal)
    person = viewer.estate.person(viewer.person)
    if person is not None and person.pin_hash is None:
        return f"You have no PIN yet, and every decision asks for it: ask for `nightshift people pin {person.name}`."
    return None


def _settling(viewer: Viewer, found: Dossier) -> dict[str, object]:
    """What was seen and said, for whoever settles it here and now."""
    assert found.run is not None
    with viewer.here.shift.ledger.read() as connection:
        return {"seen": lines_seen(found.carried), "outputs": outputs(connection, found.run)}


def _may_settle(viewer: Viewer, found: Dossier) -> bool:
    """Whether this viewer can say what became of a repair that needs a person."""
    if found.run is None or found.run.state is not RunState.NEEDS_ATTENTION or not viewer.may_speak(LinkPurpose.RESOLVE):
        return False
    return why_not_resolve(viewer.estate, found.run, viewer.person) is None


def _may(viewer: Viewer, approval: Approval, verb: Literal["mute", "operate"]) -> bool:
    """`verb`, or `decide`, which is more."""
    if viewer.visitor is None:
        return False
    caller = viewer.visitor.caller
    return any(caller.may(one, approval.job, approval.environment) for one in (verb, "decide"))


def _may_read(viewer: Viewer, approval: Approval) -> bool:
    return viewer.visitor is not None and viewer.visitor.caller.may("read", approval.job, approval.environment)


def _living(found: Dossier) -> bool:
    """Whether the page changes by itself: what was approved is being carried out."""
    return found.run is not None and not found.run.state.terminal


def _download(content: bytes, media_type: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=media_type, headers=headers)


router.include_router(_one)
