"""Closing a night: what it looked at and found becomes one message to the digest's channels; told once."""

from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import Connection

from notifications.config import RoutesConfig
from notifications.digest import Night, digest_message
from notifications.message import Message, MessageKind
from schedules.schedule import Due, Schedule, latest_due
from schedules.walls import wall_at
from worker.flow.events import News, emit
from worker.flow.nights import own
from worker.flow.nights.report import NIGHT_INCOMPLETE, night_between, night_start
from worker.flow.shift import Shift
from worker.flow.shown import jsonable
from worker.flow.verbs import note
from worker.ledger import batches, outbox, revisions, telling
from worker.ledger.tables import STATE
from worker.records import Actor, EventKind, Topic

MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
_ENTRY = "night"


@dataclass(frozen=True, slots=True)
class Closed:
    """A night that was closed, and the message that says so."""

    fire_key: str
    night: Night
    message: Message


def digest_due(shift: Shift, routing: RoutesConfig) -> Due | None:
    """The latest time of the digest that has come and was not dealt with; its fire key is the local date.

    Nothing is due before there was a batch to tell of. Of several mornings missed the last one tells of all.
    """
    digest = routing.digest
    every_day = Schedule(name="digest", job="digest", cron=f"{digest.at.minute} {digest.at.hour} * * *", zone=digest.timezone)
    with shift.ledger.read() as connection:
        before = telling.last_night(connection)
        after = before[2] if before else batches.first_created_at(connection)
        if after is None:
            return None
        dues = latest_due(every_day, after, shift.clock(), limit=1)
        # The hour of the digest may have been changed since this morning's.
        if not dues or telling.night(connection, _date(dues[0])) is not None:
            return None
        return Due(at=dues[0].at, fire_key=_date(dues[0]))


def close_night(shift: Shift, routing: RoutesConfig, console_url: str, due: Due, actor: Actor) -> Closed | None:
    """Write the night that ends at `due`, its message, and whether it was complete. None: another process did."""
    with shift.ledger.transaction() as tx:
        # Holds the ledger's one state row: nights are closed one by one, each from the end of the one before.
        revisions.set_state(tx, revision=STATE.c.revision)
        since = night_start(tx, due.at)
        if since >= due.at:
            return None
        night = night_between(shift, tx, since, due.at, routing.digest.timezone, console_url)
        message = digest_message(night)
        content = {"message": MESSAGE.dump_python(message, mode="json"), "summary": _summary(night)}
        if not telling.close_night(tx, fire_key=due.fire_key, since=night.since, until=night.until, content=content):
            return None
        now = shift.clock()
        payload = {"kind": MessageKind.DIGEST.value, "message_id": message.id}
        outbox.put(tx, Topic.MESSAGE, due.fire_key, at=now, not_before=now, payload=payload)
        note(tx, now, actor, "night.closed", "night", due.fire_key, message_id=message.id, **_summary(night))
        _tell_whether_complete(shift, tx, night, actor)
        told = {"name": due.fire_key, **{name: jsonable(value) for name, value in _summary(night).items()}}
        emit(tx, [News(kind=EventKind.NIGHT_FINISHED, job=None, environment=None, tell=lambda: {"night": told})], now)
    return Closed(due.fire_key, night, message)


def close_night_now(shift: Shift, routing: RoutesConfig, console_url: str, actor: Actor) -> Closed | None:
    """Close the night before its time; the digest in the morning tells of what comes after. None: closed this second."""
    now = shift.clock()
    due = Due(at=now, fire_key=f"{wall_at(now, routing.digest.timezone):%Y-%m-%dT%H:%M:%S}")
    return close_night(shift, routing, console_url, due, actor)


def _tell_whether_complete(shift: Shift, tx: Connection, night: Night, actor: Actor) -> None:
    if not night.complete:
        told = f"{night.looked_at} of {night.expected} looked at"
        own.open_own(
            shift,
            tx,
            actor,
            entry=_ENTRY,
            key=NIGHT_INCOMPLETE,
            reason=NIGHT_INCOMPLETE,
            title=f"Night incomplete: {told}",
            detail="; ".join([told, *night.incomplete]),
        )
    elif night.expected > 0:  # an empty night proves nothing
        own.resolve_own(shift, tx, actor, entry=_ENTRY, key=NIGHT_INCOMPLETE)


def _summary(night: Night) -> dict[str, object]:
    return {
        "expected": night.expected,
        "looked_at": night.looked_at,
        "complete": night.complete,
        "ok": night.ok,
        "new": len(night.new),
        "still_open": len(night.still_open),
        "resolved": len(night.resolved),
        "cannot_tell": len(night.cannot_tell),
        "needs_attention": len(night.needs_attention),
        "failed": len(night.failed),
        "skipped": len(night.skipped),
    }


def _date(due: Due) -> str:
    return due.fire_key.partition("T")[0]
