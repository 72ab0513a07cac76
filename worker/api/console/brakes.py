"""The brakes: freeze, kill and thaw, each with its reason."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from worker.api.brakes import BRAKES, standing
from worker.api.console.page import Acts, Looks, back_to
from worker.ledger import audit_rows

router = APIRouter(prefix="/brakes")


@router.get("", response_class=HTMLResponse)
def brakes_page(visitor: Looks) -> HTMLResponse:
    now = standing(visitor.here)
    with visitor.here.shift.ledger.read() as connection:
        told = audit_rows.recent(connection, object_id="ledger", limit=20)
    return visitor.page("brakes.html", now=now, told=told[::-1], may_brake=visitor.caller.may("operate"))


@router.post("/{brake}")
def pull(visitor: Acts, brake: Literal["freeze", "thaw", "kill"], reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    visitor.caller.require("operate")
    BRAKES[brake](visitor.here.shift, visitor.caller.actor, reason)
    return back_to("/brakes")
