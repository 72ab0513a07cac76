"""Subscribing webhooks to events; the secret that signs them is shown once."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sqlalchemy import Connection

from worker.flow.errors import Invalid, NotFound, Refused
from worker.flow.nights.own import open_own, resolve_own
from worker.flow.shift import Shift
from worker.flow.verbs import note
from worker.ledger import subscriptions
from worker.ledger.rows import new_id
from worker.records import Actor, ActorKind, EventKind, Subscription, SubscriptionState
from worker.tokens import Grant, allows

MOST = 50
"""Subscriptions of one family."""
_ENTRY = "subscriptions"
_RELAY = Actor(ActorKind.RELAY, "relay")
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """A subscription just made."""

    row: Subscription
    secret: str = field(repr=False)
    """`whsec_…`, shown now and never again."""


def subscribe(
    shift: Shift,
    url: str,
    events: Sequence[EventKind],
    *,
    word: str | None = None,
    actor: Actor,
    family: str,
    grants: Sequence[Grant],
) -> NewSubscription:
    """Tell `url` these events from now on, as far as `grants` may read them. Raises `Invalid`, `Refused`."""
    _refuse_unreadable(events, actor, grants)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    row = Subscription(
        id=new_id(),
        family=family,
        created_by=str(actor),
        url=shift.keys.encrypt(url.encode()),
        host=urlsplit(url).netloc.rpartition("@")[2],
        secret=shift.keys.encrypt(secret.encode()),
        word=shift.keys.encrypt(word.encode()) if word else None,
        events=sorted({kind.value for kind in events}),
        state=SubscriptionState.ACTIVE,
        created_at=shift.clock(),
    )
    with shift.ledger.transaction() as tx:
        if len(subscriptions.listing(tx, family)) >= MOST:
            told = f"this token has {MOST} subscriptions: delete one that nobody needs"
            raise Refused(told, code="too_many_subscriptions")
        subscriptions.insert_subscription(tx, row)
        facts = {"host": row.host, "events": list(row.events)}
        note(tx, row.created_at, actor, "subscription.created", "subscription", row.id, **facts)
    return NewSubscription(row, secret)


def unsubscribe(shift: Shift, subscription_id: str, actor: Actor) -> None:
    """Nothing more is sent there. Raises `NotFound`."""
    with shift.ledger.transaction() as tx:
        if not subscriptions.remove(tx, subscription_id):
            raise NotFound(f"no subscription {subscription_id[:64]!r}", code="unknown_subscription")
        note(tx, shift.clock(), actor, "subscription.deleted", "subscription", subscription_id)
        resolve_own(shift, tx, actor, entry=_ENTRY, key=subscription_id)


def disable(shift: Shift, tx: Connection, subscription: Subscription, why: str) -> None:
    """It failed for too long: what it was still to be told is dropped, and people are told."""
    now = shift.clock()
    if not subscriptions.disable(tx, subscription.id, at=now, reason=why):
        return
    dropped = subscriptions.drop_events(tx, subscription.id)
    note(tx, now, _RELAY, "subscription.disabled", "subscription", subscription.id, reason=why, dropped=dropped)
    again = f"Mend the receiver, then subscribe anew and delete {subscription.id}."
    open_own(
        shift,
        tx,
        _RELAY,
        entry=_ENTRY,
        key=subscription.id,
        reason="subscription_disabled",
        title=f"Events no longer reach {subscription.host}",
        detail=f"Subscribed by {subscription.created_by} to {', '.join(subscription.events)}. {why}. {again}",
    )


def _refuse_unreadable(events: Sequence[EventKind], actor: Actor, grants: Sequence[Grant]) -> None:
    if not events:
        raise Invalid(f"`events` is empty; there are {', '.join(EventKind)}", field="events")
    if EventKind.NIGHT_FINISHED in events and not allows(grants, "read"):
        told = f"{actor} does not read everything: a night tells of all jobs and environments"
        raise Invalid(told, code="unreadable_event", field="events")
    if not any(grant.verb == "read" for grant in grants):
        raise Invalid(f"{actor} has no grant `read`: there is nothing it may be told", code="unreadable_event", field="events")
