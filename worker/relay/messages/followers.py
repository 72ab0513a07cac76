"""Whoever was told of a request is told how it goes on: in its thread, and the first message is amended where it can be."""

from collections.abc import Collection
from dataclasses import replace

from notifications.approvals import for_person
from notifications.message import Message, MessageKind, Recipient
from worker.configuration import Person
from worker.ledger import telling
from worker.records import OutboxRow
from worker.relay.messages.turn import Intent, Turn

ASKED = (MessageKind.APPROVAL_REQUESTED, MessageKind.APPROVAL_REMINDER)


def recipient(person: Person) -> Recipient:
    return Recipient(person.name, person.email, person.chat)


def follow(
    turn: Turn,
    row: OutboxRow,
    message: Message,
    subject: str,
    *,
    kinds: Collection[MessageKind] = ASKED,
    besides: Collection[str] = (),
    speak: bool = True,
    amend: bool = True,
) -> set[str]:
    """Follow up where messages of these kinds about `subject` were told, and return the places; not at those `besides`.

    To amend without a word disturbs nobody.
    """
    with turn.shift.ledger.read() as connection:
        told = telling.told_of(connection, subject, kinds)
    for place, reference in told.items():
        if place in besides:
            continue
        channel, _, name = place.partition(">")
        person = turn.shift.estate().person(name) if name else None
        if channel not in turn.routing.channels or (name and person is None):
            continue
        said = for_person(message, recipient(person)) if person else message
        if amend and reference is not None and turn.channels.amends(channel):
            turn.intend(Intent(row=row, channel=channel, message=said, about=subject, amends=reference))
        if speak:
            turn.intend(Intent(row=row, channel=channel, message=replace(said, reply_to=reference), about=subject))
    return set(told)
