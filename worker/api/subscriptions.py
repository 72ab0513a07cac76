"""`/v1/subscriptions`: webhooks that are told what happens."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from worker.api.auth import Caller, Who
from worker.api.callbacks import check_callback
from worker.api.gateway import Gateway, Here
from worker.api.validation import Closed
from worker.flow import subscribing
from worker.flow.errors import Forbidden, NotFound
from worker.flow.shown import shown
from worker.ledger import subscriptions
from worker.records import ActorKind, EventKind, Subscription

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])
_HIDDEN = ("url", "secret", "word")


class SubscriptionBody(Closed):
    """Which webhook, and what it is told."""

    url: str = Field(description="Where events are POSTed; its host must be allowed (setting callback_hosts).")
    events: tuple[EventKind, ...] = Field(min_length=1, max_length=len(EventKind), description="Kinds of events.")
    word: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{16,200}$",
        description="Sent with each event as X-Nightshift-Webhook: what Header Auth of n8n asks for. Kept encrypted.",
    )


@router.post("", status_code=201)
def subscribe(body: SubscriptionBody, here: Here, who: Who) -> dict[str, Any]:
    """Subscribe: the answer holds the secret that signs each event, once."""
    if who.actor.kind not in (ActorKind.N8N, ActorKind.TOKEN):
        raise Forbidden("a machine's token subscribes, not a person", code="not_a_machine")
    check_callback(body.url, here.settings.callback_hosts, field="url")
    made = subscribing.subscribe(
        here.shift, body.url, body.events, word=body.word, actor=who.actor, family=who.family, grants=who.grants
    )
    return {**_shown(made.row), "secret": made.secret}


@router.get("")
def list_subscriptions(here: Here, who: Who) -> dict[str, Any]:
    """Your token's own; with `read` on everything, all."""
    with here.shift.ledger.read() as connection:
        rows = subscriptions.listing(connection, None if who.may("read") else who.family)
    return {"subscriptions": [_shown(row) for row in rows]}


@router.get("/{subscription_id}")
def get_subscription(subscription_id: str, here: Here, who: Who) -> dict[str, Any]:
    """One, without its URL and secret."""
    return _shown(_visible(here, who, subscription_id))


@router.delete("/{subscription_id}", status_code=204)
def unsubscribe(subscription_id: str, here: Here, who: Who) -> None:
    """Nothing more is sent there. Your own, or any with the grant `operate` on everything."""
    if _visible(here, who, subscription_id).family != who.family:
        who.require("operate")
    subscribing.unsubscribe(here.shift, subscription_id, who.actor)


def _visible(here: Gateway, who: Caller, subscription_id: str) -> Subscription:
    with here.shift.ledger.read() as connection:
        found = subscriptions.get(connection, subscription_id)
    if found is None or not (found.family == who.family or who.may("read")):
        raise NotFound(f"no subscription {subscription_id[:64]!r}", code="unknown_subscription")
    return found


def _shown(row: Subscription) -> dict[str, Any]:
    return {name: member for name, member in shown(row).items() if name not in _HIDDEN}
