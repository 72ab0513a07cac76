"""Gates, whose work somebody else does, and the webhooks that are told what happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AskedHow(StrEnum):
    """What a check had to do with a request."""

    NEW = "new"
    JOINED = "joined"
    QUIET = "quiet"
    """It was denied a short while ago: the same was not asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What an approved question may be used for, by whom, and whether it was."""

    approval_id: str
    family: str
    """Of the token that asked: no other consumes."""
    payload_sha256: str
    use_seconds: int
    use_by: datetime | None = None
    """Set by the yes."""
    consumed_at: datetime | None = None
    consumed_by: str | None = None


class SubscriptionState(StrEnum):
    """active → disabled."""

    ACTIVE = "active"
    DISABLED = "disabled"

    @property
    def terminal(self) -> bool:
        """It is told nothing more: whoever wants to be told subscribes anew."""
        return self is SubscriptionState.DISABLED


class EventKind(StrEnum):
    """What subscribers are told of."""

    FINDING_OPENED = "finding.opened"
    FINDING_RESOLVED = "finding.resolved"
    APPROVAL_ASKED = "approval.asked"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_CLOSED = "approval.closed"
    RUN_FINISHED = "run.finished"
    NIGHT_FINISHED = "night.finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A webhook and the events that it is told. `url`, `secret` and `word` are encrypted with the instance keys."""

    id: str
    family: str
    """Of the token that subscribed: it is told what that family may read."""
    created_by: str
    url: str
    host: str
    secret: str
    events: Sequence[str]
    state: SubscriptionState
    created_at: datetime
    word: str | None = None
    """What a receiver that checks no signature asks for, in a header."""
    failing_since: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: str | None = None
