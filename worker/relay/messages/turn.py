"""One step of the relay: the rows it took, what it means to say, and what is to become of each row."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from notifications.config import RoutesConfig
from notifications.message import Message
from schedules.hours import QuietHours
from worker.flow.shift import Shift
from worker.ledger import telling
from worker.records import Approval, LinkPurpose, OutboxRow
from worker.relay.messages.channels import Channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One message meant for one channel, or for one person by it."""

    row: OutboxRow
    channel: str
    message: Message
    told: Literal["opened", "resolved"] | None = None
    """What to remember of the finding once it is delivered."""
    about: str | None = None
    """What the delivery is about, when that is not the row's subject."""
    link: Approval | None = None
    """The request to which the person gets a link of their own, made for each attempt."""
    purpose: LinkPurpose = LinkPurpose.DECIDE
    """Of that link."""
    amends: str | None = None
    """The reference of a delivered message, in whose place this one is shown."""

    @property
    def place(self) -> str:
        """Where a message arrives at most once: the channel, or the person by it."""
        return place_of(self.channel, self.message.to.name if self.message.to else None)

    @property
    def delivered_as(self) -> str:
        """The channel of its delivery. An edit is one apart: it counts against no cap, and may fail where a message arrives."""
        return self.place if self.amends is None else f"{self.place}, edit"


def place_of(channel: str, person: str | None) -> str:
    """`mail`, `mail>ana`."""
    return channel if person is None else f"{channel}>{person}"


def given_up(row: OutboxRow) -> set[str]:
    """Where trying again is pointless, by earlier attempts: see `Intent.delivered_as`."""
    names = row.payload.get("given_up", [])
    return {str(name) for name in names} if isinstance(names, list) else set()


@dataclass(slots=True, kw_only=True)
class Turn:
    """What this step works with, and what it does with the rows it took."""

    shift: Shift
    channels: Channels
    console_url: str
    now: datetime
    intents: list[Intent] = field(default_factory=list)
    later: dict[int, datetime] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    """By row: why."""
    not_before: dict[int, datetime] = field(default_factory=dict)
    """By row: when the other side wants to be asked again."""
    told: set[int] = field(default_factory=set)
    """Rows whose finding was told: another telling may be due some day."""
    given_up: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By row: where trying again is pointless."""

    @property
    def routing(self) -> RoutesConfig:
        return self.channels.routing

    def intend(self, intent: Intent) -> None:
        """Say it in this step, unless it was said there before or never will be."""
        if intent.delivered_as not in given_up(intent.row) and not self._sent(intent.message.id, intent.delivered_as):
            self.intents.append(intent)

    def quiet_until(self) -> datetime | None:
        """When the quiet hours that hold now end; None: it is not quiet."""
        quiet = self.routing.quiet_hours
        if quiet is None:
            return None
        return QuietHours(zone=quiet.timezone, start=quiet.start, end=quiet.end).quiet_until(self.now)

    def _sent(self, message_id: str, channel: str) -> bool:
        with self.shift.ledger.read() as connection:
            return telling.was_sent(connection, message_id, channel)
