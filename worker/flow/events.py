"""Telling subscribers: what happened becomes one outbox row per webhook, in the transaction of what it tells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Connection

from tasks.model import Json
from worker.flow.shown import jsonable
from worker.ledger import outbox, subscriptions
from worker.ledger.rows import new_id
from worker.records import EventKind, Subscription, Topic
from worker.tokens import Grant, allows

_GRANTS = TypeAdapter(tuple[Grant, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that happened, where, and what there is to tell of it. Without a job it concerns everything."""

    kind: EventKind
    job: str | None
    environment: str | None
    tell: Callable[[], Mapping[str, Json]]
    """Asked only when somebody listens."""


def emit(tx: Connection, news: Sequence[News], now: datetime) -> None:
    """Tell whoever subscribed, and may read it."""
    listening = subscriptions.active(tx) if news else []
    if not listening:
        return
    grants = _grants(tx, listening, now)
    for one in news:
        told_to = [sub for sub in listening if one.kind in sub.events and _may_read(grants.get(sub.family, ()), one)]
        if not told_to:
            continue
        event = {"id": new_id(), "type": one.kind.value, "timestamp": jsonable(now), "data": one.tell()}
        for sub in told_to:
            outbox.put(tx, Topic.EVENT, sub.id, at=now, not_before=now, payload=event)


def grants_of_family(connection: Connection, family: str, now: datetime) -> tuple[Grant, ...]:
    """What the tokens of this family may do that are alive; nothing once the last has expired or was revoked."""
    return tuple(
        grant for token in subscriptions.live_tokens(connection, [family], now) for grant in _GRANTS.validate_python(token.grants)
    )


def _grants(tx: Connection, listening: Sequence[Subscription], now: datetime) -> dict[str, list[Grant]]:
    found: dict[str, list[Grant]] = {}
    for token in subscriptions.live_tokens(tx, sorted({sub.family for sub in listening}), now):
        found.setdefault(token.family, []).extend(_GRANTS.validate_python(token.grants))
    return found


def _may_read(grants: Sequence[Grant], news: News) -> bool:
    return allows(grants, "read", news.job, news.environment)
