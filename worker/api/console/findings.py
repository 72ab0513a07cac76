"""Findings: the list, one with its evidence, and what a person says to it."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import HTMLResponse

from worker.api.console.page import Acts, Looks, back_to
from worker.api.findings import require_mute
from worker.api.reading import visible_finding, visible_findings
from worker.flow import verbs
from worker.ledger import audit_rows
from worker.ledger.findings import OPEN_STATES
from worker.records import FindingState

PAGE = 40
EVERY_STATE = (*OPEN_STATES, FindingState.RESOLVED)
Shown = Literal["unresolved", "open", "acknowledged", "muted", "resolved", "all"]
MUTE_DAYS = (1, 7, 30, 90)

router = APIRouter(prefix="/findings")


@router.get("", response_class=HTMLResponse)
def findings_page(
    visitor: Looks, state: Shown = "unresolved", job: str = "", page: Annotated[int, Query(ge=1, le=1000)] = 1
) -> HTMLResponse:
    states = {"unresolved": OPEN_STATES, "all": EVERY_STATE}.get(state) or (FindingState(state),)
    with visitor.here.shift.ledger.read() as connection:
        rows = visible_findings(connection, visitor.caller, job=job or None, states=states)
    shown = rows[(page - 1) * PAGE : page * PAGE]
    return visitor.page(
        "findings.html",
        rows=shown,
        total=len(rows),
        state=state,
        job=job,
        jobs=sorted(visitor.here.shift.jobs),
        page=page,
        pages=max(1, -(-len(rows) // PAGE)),
    )


@router.get("/{finding_id}", response_class=HTMLResponse)
def finding_page(visitor: Looks, finding_id: str) -> HTMLResponse:
    with visitor.here.shift.ledger.read() as connection:
        row = visible_finding(connection, visitor.caller, finding_id)
        told = audit_rows.recent(connection, object_id=finding_id, limit=20)
    may_mute = visitor.caller.may("mute", row.job, row.environment) and row.state is not FindingState.RESOLVED
    return visitor.page("finding.html", row=row, told=told[::-1], may_mute=may_mute, mute_days=MUTE_DAYS)


@router.post("/{finding_id}/acknowledge")
def acknowledge(visitor: Acts, finding_id: str, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    require_mute(visitor.here, visitor.caller, finding_id)
    verbs.acknowledge(visitor.here.shift, finding_id, visitor.caller.actor, reason)
    return back_to(f"/findings/{finding_id}")


@router.post("/{finding_id}/mute")
def mute(
    visitor: Acts,
    finding_id: str,
    days: Annotated[int, Form(ge=1, le=366)],
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    require_mute(visitor.here, visitor.caller, finding_id)
    until = visitor.here.shift.clock() + timedelta(days=days)
    verbs.mute(visitor.here.shift, finding_id, visitor.caller.actor, reason, until)
    return back_to(f"/findings/{finding_id}")


@router.post("/{finding_id}/unmute")
def unmute(visitor: Acts, finding_id: str) -> Response:
    require_mute(visitor.here, visitor.caller, finding_id)
    verbs.unmute(visitor.here.shift, finding_id, visitor.caller.actor)
    return back_to(f"/findings/{finding_id}")
