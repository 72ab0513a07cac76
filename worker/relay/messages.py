"""Messages: what the routes say about a finding becomes deliveries, each told once; digests and calls for help as well."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import structlog
from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError

from notifications.caps import DEFAULT_CAP, within_cap
from notifications.channel import Channel, ChannelError, Delivery
from notifications.config import RoutesConfig, build_channel
from notifications.findings import FindingFacts, finding_message
from notifications.message import Button, Field, Message, MessageKind
from notifications.routes import Decision, InDigest, TellNow, Told, Wait, decide
from schedules.hours import QuietHours
from worker.flow.nights.report import facts_of
from worker.flow.shift import Shift
from worker.ledger import findings, outbox, runs, telling
from worker.ledger.rows import new_id
from worker.records import DeliveryState, OutboxRow, Run, RunState, Topic
from worker.redaction import PROCESS

_AT_ONCE = 200
_ATTEMPT = timedelta(minutes=2)
_CAPPED = timedelta(minutes=10)
_MOST_ATTEMPTS = 20
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(hours=1)
_HOUR = timedelta(hours=1)
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)

log = structlog.get_logger("nightshift.messages")


@dataclass(frozen=True, slots=True)
class Intent:
    """One message meant for one channel; `told` is what to remember of it once it is delivered."""

    row: OutboxRow
    channel: str
    message: Message
    told: Literal["opened", "resolved"] | None = None


@dataclass(slots=True)
class _Round:
    """What this step does with the rows it took."""

    intents: list[Intent] = field(default_factory=list)
    later: dict[int, datetime] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    """By row: why."""
    told: set[int] = field(default_factory=set)
    """Rows whose finding was told: another telling may be due some day."""
    given_up: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By row: channels for which trying again is pointless."""


@dataclass(slots=True)
class MessageRelay:
    """One step tells what is due. `routing` and `console_url` are asked anew each time."""

    shift: Shift
    routing: Callable[[], RoutesConfig]
    console_url: Callable[[], str]
    channels: dict[str, Channel] = field(default_factory=dict)
    _built_from: RoutesConfig | None = None

    def step(self) -> bool:
        """True when there may be more due at once."""
        now = self.shift.clock()
        with self.shift.ledger.read() as connection:
            due = outbox.due(connection, Topic.MESSAGE, now, _AT_ONCE)
        taken = [row for row in due if self._take(row, now)]
        if not taken:
            return False
        routing = self._fresh_routing()
        turn = _Round()
        for row in taken:
            self._try_to_consider(row, routing, turn, now)
        self._send(turn, routing, now)
        for row in taken:
            if row.id in turn.told:
                self._look_ahead(row, routing, turn, now)
        self._settle(taken, turn, now)
        return len(due) == _AT_ONCE

    def _take(self, row: OutboxRow, now: datetime) -> bool:
        with self.shift.ledger.transaction() as tx:
            return outbox.take(tx, row, until=now + _ATTEMPT)

    def _fresh_routing(self) -> RoutesConfig:
        routing = self.routing()
        if routing is not self._built_from:
            self.channels, self._built_from = {}, routing
        return routing

    def _try_to_consider(self, row: OutboxRow, routing: RoutesConfig, turn: _Round, now: datetime) -> None:
        try:
            self._consider(row, routing, turn, now)
        except SQLAlchemyError:
            raise
        except Exception as error:
            # Of this row alone: what cannot be said of one finding must not keep the others from being told.
            log.exception("message_not_made", subject=row.subject, error=type(error).__name__)
            turn.failed[row.id] = f"cannot be told: {type(error).__name__}"

    def _consider(self, row: OutboxRow, routing: RoutesConfig, turn: _Round, now: datetime) -> None:
        match MessageKind(str(row.payload["kind"])):
            case MessageKind.DIGEST:
                self._digest(row, routing, turn)
            case MessageKind.RUN_NEEDS_ATTENTION:
                self._attention(row, routing, turn, now)
            case _:
                self._finding(row, routing, turn, now)

    def _decide(
        self, row: OutboxRow, routing: RoutesConfig, now: datetime
    ) -> tuple[FindingFacts, Told, Sequence[Decision]] | None:
        with self.shift.ledger.read() as connection:
            found = findings.get(connection, row.subject)
            told = Told(
                opened=findings.tellings(connection, row.subject, "opened"),
                resolved=findings.tellings(connection, row.subject, "resolved"),
            )
        if found is None:
            return None
        facts = facts_of(found)
        return facts, told, decide(routing.to_routes(), facts, told, quiet_until=_quiet_until(routing, now), now=now)

    def _finding(self, row: OutboxRow, routing: RoutesConfig, turn: _Round, now: datetime) -> None:
        if any(intent.row.subject == row.subject for intent in turn.intents):
            # Two pieces of news of one finding: the second is decided on once the first is told.
            turn.later[row.id] = now
            return
        decided = self._decide(row, routing, now)
        if decided is None:
            return
        facts, told, decisions = decided
        given_up = _given_up(row)
        for decision in decisions:
            match decision:
                case TellNow(channels):
                    kind = _kind(facts, told, channels)
                    message = finding_message(kind, facts, self.console_url(), now=now)
                    if kind is not MessageKind.FINDING_REMINDED:
                        # What got worse is told anew: under the id of its first telling, mail programs would drop it.
                        message = replace(message, id=str(row.payload["message_id"]))
                    what: Literal["opened", "resolved"] = "resolved" if facts.state == "resolved" else "opened"
                    turn.intents += [Intent(row, name, message, what) for name in channels if name not in given_up]
                case Wait(until):
                    turn.later[row.id] = until
                case InDigest():
                    # The digest is made of the ledger: it has the finding in any case.
                    pass

    def _digest(self, row: OutboxRow, routing: RoutesConfig, turn: _Round) -> None:
        with self.shift.ledger.read() as connection:
            night = telling.night(connection, row.subject)
        if night is None:
            return
        message = MESSAGE.validate_python(night[3]["message"])
        pending = [name for name in routing.digest.channels if name not in _given_up(row)]
        turn.intents += [Intent(row, name, message) for name in pending if not self._sent(message.id, name)]

    def _attention(self, row: OutboxRow, routing: RoutesConfig, turn: _Round, now: datetime) -> None:
        with self.shift.ledger.read() as connection:
            run = runs.get(connection, row.subject)
        if run is None or run.state is not RunState.NEEDS_ATTENTION:
            return
        message = attention_message(run, str(row.payload["message_id"]), self.console_url(), now)
        names = {name for route in routing.routes for name in route.channels} or set(routing.digest.channels)
        names -= _given_up(row)
        turn.intents += [Intent(row, name, message) for name in sorted(names) if not self._sent(message.id, name)]

    def _sent(self, message_id: str, channel: str) -> bool:
        with self.shift.ledger.read() as connection:
            return telling.was_sent(connection, message_id, channel)

    def _send(self, turn: _Round, routing: RoutesConfig, now: datetime) -> None:
        by_channel: dict[str, list[Intent]] = defaultdict(list)
        for intent in turn.intents:
            by_channel[intent.channel].append(intent)
        for name, intents in by_channel.items():
            self._send_to(name, intents, turn, routing.caps.get(name, DEFAULT_CAP), now)

    def _send_to(self, name: str, intents: Sequence[Intent], turn: _Round, cap: int, now: datetime) -> None:
        with self.shift.ledger.read() as connection:
            sent = telling.sent_since(connection, name, now - _HOUR)
        of_message = {intent.message.id: intent for intent in intents}
        messages = [intent.message for intent in of_message.values()]
        capped = within_cap(name, messages, sent_in_last_hour=sent, cap=cap, console_url=self.console_url(), now=now)
        for message in capped.send:
            self._deliver(name, message, [i for i in intents if i.message.id == message.id], turn)
        if capped.summary is not None:
            told = [of_message[message.id] for message in capped.summarised]
            self._deliver(name, capped.summary, told, turn)
        for message in capped.later:
            turn.later[of_message[message.id].row.id] = now + _CAPPED

    def _deliver(self, name: str, message: Message, intents: Sequence[Intent], turn: _Round) -> None:
        subject = intents[0].row.subject
        now = self.shift.clock()
        with self.shift.ledger.transaction() as tx:
            delivery = telling.begin_delivery(tx, message_id=message.id, kind=message.kind, channel=name, subject=subject, at=now)
        try:
            detail = self._handed_over(name, message).detail
        except ChannelError as error:
            final = error.permanent or delivery.attempts >= _MOST_ATTEMPTS
            state = DeliveryState.FAILED if final else DeliveryState.SENDING
            why = PROCESS.redact(str(error))[:500]
            log.warning("delivery_failed", channel=name, message_id=message.id, error=why, final=final)
            with self.shift.ledger.transaction() as tx:
                telling.end_delivery(tx, delivery.id, state=state, detail=why, at=self.shift.clock())
            for intent in intents:
                turn.failed[intent.row.id] = why
                if final:
                    turn.given_up[intent.row.id].add(name)
            return
        with self.shift.ledger.transaction() as tx:
            at = self.shift.clock()
            telling.end_delivery(tx, delivery.id, state=DeliveryState.SENT, detail=PROCESS.redact(detail), at=at)
            for intent in intents:
                if intent.told:
                    findings.told(tx, intent.row.subject, name, intent.told, at)
                    turn.told.add(intent.row.id)

    def _handed_over(self, name: str, message: Message) -> Delivery:
        """A channel may be a stranger's code: whatever it raises, the other channels have their turn."""
        channel = self._channel(name)
        try:
            return channel.deliver(message)
        except ChannelError:
            raise
        except Exception as error:
            log.exception("channel_broke", channel=name, message_id=message.id, error=type(error).__name__)
            told = f"channel {name!r} broke: {type(error).__name__}"
            raise ChannelError(told) from error

    def _channel(self, name: str) -> Channel:
        if name not in self.channels:
            assert self._built_from is not None
            try:
                self.channels[name] = build_channel(self._built_from.channels[name], self.shift.providers.secrets)
            except Exception as error:
                message = f"channel {name!r} cannot be set up: {error}"
                raise ChannelError(message) from error
        return self.channels[name]

    def _look_ahead(self, row: OutboxRow, routing: RoutesConfig, turn: _Round, now: datetime) -> None:
        """After a telling: when the next one is due, as far as the routes say now."""
        decided = self._decide(row, routing, now)
        for decision in decided[2] if decided else ():
            match decision:
                case Wait(until):
                    turn.later[row.id] = until
                case TellNow(channels) if not set(channels) <= _given_up(row) | turn.given_up[row.id]:
                    turn.later[row.id] = now
                case _:
                    pass

    def _settle(self, taken: Sequence[OutboxRow], turn: _Round, now: datetime) -> None:
        with self.shift.ledger.transaction() as tx:
            for row in taken:
                if row.id in turn.failed:
                    given_up = sorted(_given_up(row) | turn.given_up[row.id])
                    payload = {**row.payload, "given_up": given_up} if given_up else None
                    pause = min(_FIRST_PAUSE * 2 ** min(row.attempts, 12), _LONGEST_PAUSE)
                    outbox.try_again(tx, row.id, at=now + pause, error=turn.failed[row.id], payload=payload)
                elif row.id in turn.later:
                    # Whatever is told then is another message than what was told now.
                    payload = {**row.payload, "message_id": new_id()} if row.id in turn.told else None
                    outbox.try_again(tx, row.id, at=turn.later[row.id], payload=payload)
                else:
                    outbox.done(tx, [row.id])


def _given_up(row: OutboxRow) -> set[str]:
    names = row.payload.get("given_up", [])
    return {str(name) for name in names} if isinstance(names, list) else set()


def _quiet_until(routing: RoutesConfig, now: datetime) -> datetime | None:
    quiet = routing.quiet_hours
    return QuietHours(zone=quiet.timezone, start=quiet.start, end=quiet.end).quiet_until(now) if quiet else None


def _kind(
    facts: FindingFacts, told: Told, channels: Sequence[str]
) -> Literal[MessageKind.FINDING_OPENED, MessageKind.FINDING_REMINDED, MessageKind.FINDING_RESOLVED]:
    if facts.state == "resolved":
        return MessageKind.FINDING_RESOLVED
    known = [told.opened[name] for name in channels if name in told.opened]
    return MessageKind.FINDING_REMINDED if known and max(known) >= facts.opened_at else MessageKind.FINDING_OPENED


def attention_message(run: Run, message_id: str, console_url: str, now: datetime) -> Message:
    """A call for help: which run, why, and the ways out."""
    url = f"{console_url.rstrip('/')}/runs/{run.id}"
    return Message(
        id=message_id,
        kind=MessageKind.RUN_NEEDS_ATTENTION,
        title=f"A person is needed: {run.job}",
        body=f"{run.summary}\nWays out: nightshift resolve {run.id} --applied | --not-applied | --retry, with a reason.",
        severity="high",
        fields=[
            Field("Run", run.id),
            Field("Job", run.job),
            Field("Environment", run.environment),
            Field("Why", run.reason or ""),
        ],
        buttons=[Button("Open the run", url)],
        at=now,
        thread=f"run-{run.id}",
        data={"run": run.id, "job": run.job, "reason": run.reason},
    )
