"""What is to be told to the world, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tasks.model import Json


class DeliveryState(StrEnum):
    """sending → sent | failed | disabled."""

    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DISABLED = "disabled"


class Topic(StrEnum):
    """What an outbox row is for."""

    BELL = "bell"
    CALLBACK = "callback"
    MESSAGE = "message"
    PING = "ping"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """Something to tell the world after commit; deleted once done."""

    id: int
    topic: Topic
    subject: str
    payload: Mapping[str, Json]
    attempts: int
    not_before: datetime
    created_at: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One message or result on one channel: what became of it."""

    id: str
    message_id: str
    kind: str
    channel: str
    state: DeliveryState
    attempts: int
    subject: str
    detail: str
    created_at: datetime
    ended_at: datetime | None
