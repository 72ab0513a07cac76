"""The brakes: freeze, kill and thaw, each with its reason."""

from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from worker.api.brakes import BRAKES, Brake, require_lever, standing
from worker.api.console.page import Acts, Looks, back_to
from worker.ledger import audit_rows

router = APIRouter(prefix="/brakes")


@router.get("", response_class=HTMLResponse)
def brakes_page(visitor: Looks) -> HTMLResponse:
    caller, now = visitor.caller, standing(visitor.here)
    with visitor.here.shift.ledger.read() as connection:
        told = audit_rows.recent(connection, object_id="ledger", limit=20)
    may = {"may_pull": caller.may_somewhere("operate"), "may_thaw": caller.may("operate")}
    return visitor.page("brakes.html", now=now, told=told[::-1], **may)


@router.post("/{brake}")
def pull(visitor: Acts, brake: Brake, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    require_lever(visitor.caller, brake)
    BRAKES[brake](visitor.here.shift, visitor.caller.actor, reason)
    return back_to("/brakes")
