"""Webhooks that are told events, and by which grants."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from worker.ledger.gate_tables import SUBSCRIPTIONS
from worker.ledger.rows import record
from worker.ledger.tables import OUTBOX, TOKENS
from worker.records import Subscription, SubscriptionState, TokenRow, Topic


def insert_subscription(tx: Connection, subscription: Subscription) -> None:
    tx.execute(insert(SUBSCRIPTIONS).values(asdict(subscription)))


def get(connection: Connection, subscription_id: str) -> Subscription | None:
    row = connection.execute(select(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.id == subscription_id)).first()
    return record(Subscription, row) if row else None


def listing(connection: Connection, family: str | None = None) -> list[Subscription]:
    """Oldest first; of one family, or of all."""
    statement = select(SUBSCRIPTIONS).order_by(SUBSCRIPTIONS.c.id)
    if family is not None:
        statement = statement.where(SUBSCRIPTIONS.c.family == family)
    return [record(Subscription, row) for row in connection.execute(statement)]


def active(connection: Connection) -> list[Subscription]:
    """Those that are told events now."""
    statement = select(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.state == SubscriptionState.ACTIVE).order_by(SUBSCRIPTIONS.c.id)
    return [record(Subscription, row) for row in connection.execute(statement)]


def live_tokens(connection: Connection, families: Sequence[str], now: datetime) -> list[TokenRow]:
    """Tokens of these families that may be used now."""
    statement = select(TOKENS).where(TOKENS.c.family.in_(families), TOKENS.c.revoked_at.is_(None), TOKENS.c.expires_at > now)
    return [record(TokenRow, row) for row in connection.execute(statement)]


def remove(tx: Connection, subscription_id: str) -> bool:
    """With what it was still to be told."""
    drop_events(tx, subscription_id)
    return tx.execute(delete(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.id == subscription_id)).rowcount == 1


def disable(tx: Connection, subscription_id: str, *, at: datetime, reason: str) -> bool:
    """False: it was disabled before, or is gone."""
    statement = update(SUBSCRIPTIONS).where(
        SUBSCRIPTIONS.c.id == subscription_id, SUBSCRIPTIONS.c.state == SubscriptionState.ACTIVE
    )
    values = {"state": SubscriptionState.DISABLED, "ended_at": at, "ended_reason": reason}
    return tx.execute(statement.values(values)).rowcount == 1


def failing(tx: Connection, subscription_id: str, at: datetime) -> None:
    """Since when nothing arrives; the first failure counts."""
    statement = update(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.id == subscription_id, SUBSCRIPTIONS.c.failing_since.is_(None))
    tx.execute(statement.values(failing_since=at))


def working(tx: Connection, subscription_id: str) -> None:
    statement = update(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.id == subscription_id, SUBSCRIPTIONS.c.failing_since.is_not(None))
    tx.execute(statement.values(failing_since=None))


def drop_events(tx: Connection, subscription_id: str) -> int:
    """Forget what it was still to be told; returns how many."""
    return tx.execute(delete(OUTBOX).where(OUTBOX.c.topic == Topic.EVENT, OUTBOX.c.subject == subscription_id)).rowcount
