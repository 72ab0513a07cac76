"""Sending what this step means to say: each channel in a thread of its own, within its caps, and for so long only."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic

import structlog

from notifications.approvals import with_link
from notifications.caps import DEFAULT_CAP, within_cap
from notifications.channel import Amends, ChannelError, Delivery, Personal
from notifications.message import Message
from worker.flow.errors import Refused
from worker.flow.linking import mint
from worker.ledger import findings, telling
from worker.records import DeliveryRow, DeliveryState
from worker.redaction import PROCESS
from worker.relay.messages.turn import Intent, Turn

_CAPPED = timedelta(minutes=10)
_HOUR = timedelta(hours=1)
_MOST_ATTEMPTS = 20
_PATIENCE_SECONDS = 20.0
"""A channel that is slower leaves the rest of its messages to the next step: nobody else's wait longer for it. With the
30 s that one delivery may take, the step ends well before its rows are anybody's again."""
_PIECE = 8

log = structlog.get_logger("nightshift.messages")


@dataclass(slots=True)
class Sender:
    """`send` returns once every channel had its turn."""

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(32, thread_name_prefix="nightshift-message"))

    def send(self, turn: Turn) -> None:
        by_channel: dict[str, list[Intent]] = defaultdict(list)
        for intent in turn.intents:
            by_channel[intent.channel].append(intent)
        for done in [self.pool.submit(_send_to, turn, name, intents) for name, intents in by_channel.items()]:
            done.result()


def _send_to(turn: Turn, name: str, intents: Sequence[Intent]) -> None:
    """What shows up in the place of a delivered message disturbs nobody, and counts against no cap."""
    give_up = monotonic() + _PATIENCE_SECONDS
    for intent in intents:
        if intent.amends is not None:
            _in_time(turn, give_up, intent.message, [intent])
    by_place: dict[str, list[Intent]] = defaultdict(list)
    for intent in intents:
        if intent.amends is None:
            by_place[intent.place].append(intent)
    cap = turn.routing.caps.get(name, DEFAULT_CAP)
    for place, meant in by_place.items():
        _send_capped(turn, place, meant, cap, give_up)


def _send_capped(turn: Turn, place: str, intents: Sequence[Intent], cap: int, give_up: float) -> None:
    with turn.shift.ledger.read() as connection:
        sent = telling.sent_since(connection, place, turn.now - _HOUR)
    of_message = {intent.message.id: intent for intent in intents}
    messages = [intent.message for intent in of_message.values()]
    capped = within_cap(place, messages, sent_in_last_hour=sent, cap=cap, console_url=turn.console_url, now=turn.now)
    for message in capped.send:
        _in_time(turn, give_up, message, [i for i in intents if i.message.id == message.id])
    if capped.summary is not None:
        summary = replace(capped.summary, to=intents[0].message.to)
        # Without anybody's link: those are for one request each.
        told = [replace(of_message[message.id], link=None) for message in capped.summarised]
        _in_time(turn, give_up, summary, told)
    for message in capped.later:
        turn.later[of_message[message.id].row.id] = turn.now + _CAPPED


def _in_time(turn: Turn, give_up: float, message: Message, intents: Sequence[Intent]) -> None:
    if monotonic() < give_up:
        _deliver(turn, message, intents)
        return
    for intent in intents:
        turn.later[intent.row.id] = turn.now


def _deliver(turn: Turn, message: Message, intents: Sequence[Intent]) -> None:
    first, ledger = intents[0], turn.shift.ledger
    subject = first.about or first.row.subject
    with ledger.transaction() as tx:
        delivery = telling.begin_delivery(
            tx, message_id=message.id, kind=message.kind, channel=first.delivered_as, subject=subject, at=turn.shift.clock()
        )
    try:
        proof = _handed_over(turn, first, message)
    except ChannelError as error:
        _not_delivered(turn, delivery, error, intents)
        return
    except Refused as refusal:
        # Decided or closed this very moment: there is nothing left to ask.
        with ledger.transaction() as tx:
            at = turn.shift.clock()
            telling.end_delivery(tx, delivery.id, state=DeliveryState.DISABLED, detail=str(refusal), at=at)
        return
    with ledger.transaction() as tx:
        at, detail = turn.shift.clock(), PROCESS.redact(proof.detail)
        telling.end_delivery(tx, delivery.id, state=DeliveryState.SENT, detail=detail, at=at, reference=proof.reference)
        for intent in intents:
            if intent.told:
                findings.told(tx, intent.row.subject, first.place, intent.told, at)
                turn.told.add(intent.row.id)


def _not_delivered(turn: Turn, delivery: DeliveryRow, error: ChannelError, intents: Sequence[Intent]) -> None:
    final = error.permanent or delivery.attempts >= _MOST_ATTEMPTS
    why = PROCESS.redact(str(error))[:500]
    log.warning("delivery_failed", channel=delivery.channel, message_id=delivery.message_id, error=why, final=final)
    at = turn.shift.clock()
    with turn.shift.ledger.transaction() as tx:
        state = DeliveryState.FAILED if final else DeliveryState.SENDING
        telling.end_delivery(tx, delivery.id, state=state, detail=why, at=at)
    for intent in intents:
        turn.failed[intent.row.id] = why
        if final:
            turn.given_up[intent.row.id].add(intent.delivered_as)
        elif error.retry_after_seconds is not None:
            turn.not_before[intent.row.id] = at + timedelta(seconds=error.retry_after_seconds)


def _handed_over(turn: Turn, intent: Intent, message: Message) -> Delivery:
    """A channel may be a stranger's code: whatever it raises, the other channels have their turn."""
    if intent.link is None or message.to is None:
        return _spoken(turn, intent, message)
    token = mint(turn.shift, intent.link, message.to.name, intent.channel, intent.purpose)
    try:
        proof = _spoken(turn, intent, with_link(message, f"{turn.console_url.rstrip('/')}/a/{token}"))
    except ChannelError as error:
        told, after = _without(token, str(error)), error.retry_after_seconds
        raise ChannelError(told, permanent=error.permanent, retry_after_seconds=after) from None
    return replace(proof, detail=_without(token, proof.detail))


def _spoken(turn: Turn, intent: Intent, message: Message) -> Delivery:
    try:
        channel = turn.channels.get(intent.channel)
        if intent.amends is not None:
            assert isinstance(channel, Amends)
            return channel.amend(intent.amends, message)
        assert message.to is None or isinstance(channel, Personal)
        return channel.deliver(message)
    except ChannelError:
        raise
    except Exception as error:
        # No traceback of a personal message: a stranger's exception may repeat it, and the link in it.
        told = {"channel": intent.channel, "message_id": message.id, "error": type(error).__name__}
        log.exception("channel_broke", exc_info=message.to is None, **told)
        raise ChannelError(f"channel {intent.channel!r} broke: {type(error).__name__}") from None


def _without(token: str, text: str) -> str:
    """`text` unless it repeats a piece of the token, also wrapped over lines as a mail has it."""
    squeezed = "".join(text.replace("=\r\n", "").replace("=\n", "").split())
    pieces = (token[at : at + _PIECE] for at in range(len(token) - _PIECE + 1))
    return "what the other side said repeats the link, and is not kept" if any(p in squeezed for p in pieces) else text
