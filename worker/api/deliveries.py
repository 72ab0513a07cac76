"""`/v1/deliveries`: what was said to whom, and results that never arrived."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from worker.api.auth import Caller, Who
from worker.api.gateway import Gateway, Here
from worker.api.runs import WhyBody
from worker.api.validation import Closed
from worker.flow import undelivered
from worker.flow.errors import NotFound
from worker.flow.shown import shown
from worker.ledger import telling
from worker.records import DeliveryRow, DeliveryState

router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])


class DeliveryQuery(Closed):
    """Which deliveries to list."""

    kind: str | None = Field(None, description="`callback`: results; `event`: webhooks; else the kind of a message.")
    state: DeliveryState | None = Field(None, description="`failed`: what never arrived, and why.")
    subject: str | None = Field(None, description="Id of what it is about: a batch, a finding, a run.")
    before: str | None = Field(None, description="`next` of the page before.")
    limit: int = Field(100, ge=1, le=1000)


@router.get("")
def list_deliveries(query: Annotated[DeliveryQuery, Query()], here: Here, who: Who) -> dict[str, Any]:
    """Messages, events and results, newest first. Without `read` on everything: your token's own results and events."""
    with here.shift.ledger.read() as connection:
        rows = telling.deliveries(
            connection,
            state=query.state,
            kind=query.kind,
            subject=query.subject,
            family=None if who.may("read") else who.family,
            before=query.before,
            limit=query.limit,
        )
    return {"deliveries": [shown(row) for row in rows], "next": rows[-1].id if len(rows) == query.limit else None}


@router.post("/{delivery_id}/resend", status_code=202)
def resend(delivery_id: str, here: Here, who: Who) -> dict[str, Any]:
    """Send a result once more that did not arrive: your token's own, or any with `operate` on everything."""
    _require(here, who, delivery_id)
    return shown(undelivered.resend(here.shift, delivery_id, who.actor))


@router.post("/{delivery_id}/put-away")
def put_away(delivery_id: str, body: WhyBody, here: Here, who: Who) -> dict[str, Any]:
    """Nobody waits for it any more: listed as disabled from now on. The result stays in its batch."""
    _require(here, who, delivery_id)
    return shown(undelivered.put_away(here.shift, delivery_id, who.actor, body.reason))


def _require(here: Gateway, who: Caller, delivery_id: str) -> DeliveryRow:
    with here.shift.ledger.read() as connection:
        found = telling.delivery(connection, delivery_id)
        own = found is not None and found in telling.deliveries(connection, subject=found.subject, family=who.family)
    if found is None or not (own or who.may("read")):
        raise NotFound(f"no delivery {delivery_id[:64]!r}", code="unknown_delivery")
    if not own:
        who.require("operate")
    return found
