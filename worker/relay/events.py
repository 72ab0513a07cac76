"""Events to subscribed webhooks: signed, at least once, each under an id that stays the same."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import structlog

from notifications.channel import ChannelError
from notifications.webhook import post_signed
from worker.flow.events import grants_of_family
from worker.flow.shift import Shift
from worker.flow.subscribing import disable
from worker.ledger import outbox, subscriptions, telling
from worker.records import DeliveryState, OutboxRow, Subscription, Topic
from worker.tokens import KeysError

KIND = "event"
_TIMEOUT = timedelta(seconds=10)
_ATTEMPT = timedelta(seconds=60)
_AT_ONCE = 32
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=10)
_PATIENCE = timedelta(hours=24)
"""A webhook that takes nothing for so long is told nothing more."""

log = structlog.get_logger("nightshift.events")

Answer = Literal["delivered", "again", "gone"]


@dataclass(frozen=True, slots=True)
class EventRelay:
    """One step tells what is due, several at a time: one slow receiver holds up nobody else."""

    shift: Shift
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, thread_name_prefix="nightshift-event"))

    def step(self) -> bool:
        now = self.shift.clock()
        with self.shift.ledger.read() as connection:
            due = outbox.due(connection, Topic.EVENT, now, _AT_ONCE)
        return any(list(self.pool.map(self._deliver, due)))

    def _deliver(self, row: OutboxRow) -> bool:
        now = self.shift.clock()
        with self.shift.ledger.transaction() as tx:
            if not outbox.take(tx, row, until=now + _ATTEMPT):
                return False
            subscription = subscriptions.get(tx, row.subject)
            if subscription is None or subscription.state.terminal:
                outbox.done(tx, [row.id])
                return False
            trusted = bool(grants_of_family(tx, subscription.family, now))
            channel = f"{telling.WEBHOOK}{subscription.id}"
            event_id = str(row.payload["id"])
            delivery = telling.begin_delivery(tx, message_id=event_id, kind=KIND, channel=channel, subject=_about(row), at=now)
        if not trusted:
            self._note(row, subscription, delivery.id, "gone", "its token was revoked or has expired")
            return False
        answer, detail = self._post(row, subscription)
        self._note(row, subscription, delivery.id, answer, detail)
        return answer == "delivered"

    def _post(self, row: OutboxRow, subscription: Subscription) -> tuple[Answer, str]:
        content = json.dumps(row.payload, ensure_ascii=False).encode("utf-8", "replace")
        try:
            url = self.shift.keys.decrypt(subscription.url).decode()
            secret = self.shift.keys.decrypt(subscription.secret).decode()
            word = self.shift.keys.decrypt(subscription.word).decode() if subscription.word else None
            now = self.shift.clock()
            proof = post_signed(url, secret, str(row.payload["id"]), content, now=now, timeout=_TIMEOUT, word=word)
        except KeysError as error:
            return "again", str(error)
        except ChannelError as error:
            return "again", str(error)
        except ValueError:
            return "again", f"{subscription.host}: not a URL that can be called"
        return "delivered", proof.detail

    def _note(self, row: OutboxRow, subscription: Subscription, delivery_id: str, answer: Answer, detail: str) -> None:
        now = self.shift.clock()
        failing = subscription.failing_since or now
        over = answer == "gone" or (answer == "again" and now - failing >= _PATIENCE)
        state = DeliveryState.SENT if answer == "delivered" else DeliveryState.FAILED if over else DeliveryState.SENDING
        with self.shift.ledger.transaction() as tx:
            telling.end_delivery(tx, delivery_id, state=state, detail=detail, at=now)
            if answer == "delivered":
                subscriptions.working(tx, subscription.id)
                outbox.done(tx, [row.id])
            elif over:
                outbox.done(tx, [row.id])
                disable(self.shift, tx, subscription, detail)
            else:
                subscriptions.failing(tx, subscription.id, now)
                pause = min(_FIRST_PAUSE * 2 ** min(row.attempts, 12), _LONGEST_PAUSE)
                outbox.try_again(tx, row.id, at=now + pause, error=detail)


def _about(row: OutboxRow) -> str:
    """Id of what the event tells of."""
    told = row.payload["data"]
    if not isinstance(told, dict):
        return row.subject
    about = [told[name] for name in ("finding", "run", "approval") if name in told]
    return str(about[0].get("id", row.subject)) if about and isinstance(about[0], dict) else row.subject
