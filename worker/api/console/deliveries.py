"""Deliveries: results, events and messages that went out, and those that did not; a result can be sent again."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import HTMLResponse

from worker.api.console.page import Acts, Looks, back_to
from worker.flow import undelivered
from worker.ledger import telling
from worker.records import DeliveryState

PAGE = 40
SHOWN = (DeliveryState.FAILED, DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.DISABLED, "all")

router = APIRouter(prefix="/deliveries")


@router.get("", response_class=HTMLResponse)
def deliveries_page(
    visitor: Looks,
    state: DeliveryState | Literal["all"] = DeliveryState.FAILED,
    before: Annotated[str, Query(max_length=36)] = "",
) -> HTMLResponse:
    visitor.caller.require("read")
    with visitor.here.shift.ledger.read() as connection:
        wanted = None if state == "all" else DeliveryState(state)
        rows = telling.deliveries(connection, state=wanted, before=before or None, limit=PAGE)
    after = rows[-1].id if len(rows) == PAGE else None
    may_resend = visitor.caller.may("operate")
    return visitor.page("deliveries.html", rows=rows, after=after, state=state, states=SHOWN, may_resend=may_resend)


@router.post("/{delivery_id}/resend")
def resend(visitor: Acts, delivery_id: str) -> Response:
    visitor.caller.require("operate")
    undelivered.resend(visitor.here.shift, delivery_id, visitor.caller.actor)
    return back_to("/deliveries?state=sending")


@router.post("/{delivery_id}/put-away")
def put_away(visitor: Acts, delivery_id: str, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    visitor.caller.require("operate")
    undelivered.put_away(visitor.here.shift, delivery_id, visitor.caller.actor, reason)
    return back_to("/deliveries")
