"""The loop: rows of the outbox that are due, considered by kind, sent, and settled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from notifications.config import RoutesConfig
from notifications.message import MessageKind
from worker.flow.shift import Shift
from worker.ledger import outbox
from worker.ledger.rows import new_id
from worker.records import OutboxRow, Topic
from worker.relay.messages import attention, digests, findings, requests, resolved
from worker.relay.messages.channels import Channels
from worker.relay.messages.sending import Sender
from worker.relay.messages.turn import Turn, given_up

_AT_ONCE = 200
_ATTEMPT = timedelta(minutes=2)
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(hours=1)

log = structlog.get_logger("nightshift.messages")


@dataclass(slots=True)
class MessageRelay:
    """One step tells what is due. `routing` and `console_url` are asked anew each time."""

    shift: Shift
    routing: Callable[[], RoutesConfig]
    console_url: Callable[[], str]
    sender: Sender = field(default_factory=Sender)
    _channels: Channels | None = None

    def step(self) -> bool:
        """True when there may be more due at once."""
        now = self.shift.clock()
        with self.shift.ledger.read() as connection:
            due = outbox.due(connection, Topic.MESSAGE, now, _AT_ONCE)
        taken = [row for row in due if self._take(row, now)]
        if not taken:
            return False
        turn = self._turn(now)
        for row in taken:
            _try_to_consider(turn, row)
        self.sender.send(turn)
        for row in taken:
            if row.id in turn.told:
                findings.look_ahead(turn, row)
        self._settle(taken, turn)
        return len(due) == _AT_ONCE

    def _take(self, row: OutboxRow, now: datetime) -> bool:
        with self.shift.ledger.transaction() as tx:
            return outbox.take(tx, row, until=now + _ATTEMPT)

    def _turn(self, now: datetime) -> Turn:
        routing = self.routing()
        if self._channels is None or self._channels.routing is not routing:
            self._channels = Channels(routing, self.shift.providers.secrets)
        return Turn(shift=self.shift, channels=self._channels, console_url=self.console_url(), now=now)

    def _settle(self, taken: Sequence[OutboxRow], turn: Turn) -> None:
        with self.shift.ledger.transaction() as tx:
            for row in taken:
                if row.id in turn.failed:
                    no_more = sorted(given_up(row) | turn.given_up[row.id])
                    payload = {**row.payload, "given_up": no_more} if no_more else None
                    at = max(turn.now + _pause(row.attempts), turn.not_before.get(row.id, turn.now))
                    outbox.try_again(tx, row.id, at=at, error=turn.failed[row.id], payload=payload)
                elif row.id in turn.later:
                    # Whatever is told then is another message than what was told now.
                    payload = {**row.payload, "message_id": new_id()} if row.id in turn.told else None
                    outbox.try_again(tx, row.id, at=turn.later[row.id], payload=payload)
                else:
                    outbox.done(tx, [row.id])


def _pause(attempts: int) -> timedelta:
    return min(_FIRST_PAUSE * (1 << min(attempts, 12)), _LONGEST_PAUSE)


def _try_to_consider(turn: Turn, row: OutboxRow) -> None:
    try:
        _consider(turn, row)
    except SQLAlchemyError:
        raise
    except Exception as error:
        # Of this row alone: what cannot be said of one thing must not keep the others from being told.
        log.exception("message_not_made", subject=row.subject, error=type(error).__name__)
        turn.failed[row.id] = f"cannot be told: {type(error).__name__}"


def _consider(turn: Turn, row: OutboxRow) -> None:
    if "resolution" in row.payload:
        resolved.consider(turn, row)
        return
    match MessageKind(str(row.payload["kind"])):
        case MessageKind.DIGEST:
            digests.consider(turn, row)
        case MessageKind.RUN_NEEDS_ATTENTION:
            attention.consider(turn, row)
        case MessageKind.APPROVAL_REQUESTED | MessageKind.APPROVAL_REMINDER as kind:
            requests.ask(turn, row, kind)
        case MessageKind.APPROVAL_DECIDED | MessageKind.APPROVAL_CLOSED as kind:
            requests.conclude(turn, row, kind)
        case MessageKind.REMEDIATION_ENDED:
            requests.mended(turn, row)
        case _:
            findings.consider(turn, row)
