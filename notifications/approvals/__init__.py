"""Requests for approval, and how they go on: what we know of one, and the messages that say so. Pure."""

from dataclasses import replace
from datetime import datetime

from notifications.approvals import words
from notifications.approvals.facts import OUTPUT_BYTES, OUTPUT_REST, ApprovalFacts, Mended, Said, facts, page_url
from notifications.approvals.words import ApprovalKind, runbook
from notifications.message import Message, MessageKind, Recipient
from notifications.render import shortened

__all__ = [
    "ApprovalFacts",
    "ApprovalKind",
    "Mended",
    "Said",
    "approval_message",
    "for_person",
    "page_url",
    "runbook",
    "with_link",
]


def approval_message(kind: ApprovalKind, request: ApprovalFacts, console_url: str, *, message_id: str, now: datetime) -> Message:
    """What to say of `request`; links lead to its bare page. See `for_person` for a decider's own message."""
    asks = kind in (MessageKind.APPROVAL_REQUESTED, MessageKind.APPROVAL_REMINDER)
    return Message(
        id=message_id,
        kind=kind,
        title=words.title(kind, request),
        body=words.body(kind, request),
        severity=words.severity(kind, request),
        fields=words.fields(request, asks=asks),
        output=shortened(request.simulation, OUTPUT_BYTES, OUTPUT_REST) if asks else "",
        sections=words.sections(request, asks=asks),
        buttons=words.buttons(kind, request, console_url),
        at=now,
        thread=f"approval-{request.id}",
        cause=request.root or None,
        data=facts(request, console_url),
    )


def for_person(message: Message, to: Recipient) -> Message:
    """`message` for one person: under an id of its own, for mail servers drop the second of two mails with one Message-ID."""
    return replace(message, id=f"{message.id}-{to.name}", to=to)


def with_link(message: Message, url: str) -> Message:
    """`message` whose first button opens `url`, the person's own link. Keep the result nowhere."""
    first, *others = message.buttons
    note = "The link is yours alone: do not pass it on. It asks for your PIN."
    return replace(message, body=f"{message.body}\n{note}", buttons=[replace(first, url=url), *others])
