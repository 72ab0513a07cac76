"""What every channel can be asked to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class MessageKind(StrEnum):
    """Why somebody is told."""

    FINDING_OPENED = "finding_opened"
    FINDING_REMINDED = "finding_reminded"
    FINDING_RESOLVED = "finding_resolved"
    RUN_NEEDS_ATTENTION = "run_needs_attention"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_REMINDER = "approval_reminder"
    APPROVAL_DECIDED = "approval_decided"
    """Approved or denied."""
    APPROVAL_CLOSED = "approval_closed"
    """Expired, superseded or revoked: nobody can decide any more."""
    REMEDIATION_ENDED = "remediation_ended"
    """Verified or rolled back."""
    SUMMARY = "summary"
    DIGEST = "digest"
    TEST = "test"


SEVERITIES = ("info", "low", "medium", "high", "critical")
"""Mildest first. A message or a section may also be `ok` (all is well again) or `cannot_tell` (never shown green)."""


@dataclass(frozen=True, slots=True)
class Field:
    """One labelled value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Button:
    """One link; `url` is absolute."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a section; `url`, if any, is absolute and shows more."""

    text: str
    url: str | None = None
    severity: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A headed list in a long message, e.g. the new findings of a digest."""

    heading: str
    lines: Sequence[Line] = ()
    severity: str | None = None
    """Colours the heading: one of `SEVERITIES`, `ok` or `cannot_tell`."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person, and where they can be reached."""

    name: str
    email: str | None = None
    chat: Mapping[str, str] = field(default_factory=dict)
    """Identities by kind of channel: `{"slack": "U0123"}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing to say, whole: a channel renders it as it can and drops nothing without saying so."""

    id: str
    """Stable over retries and channels: becomes the Message-ID, and the webhook's id."""
    kind: MessageKind
    title: str
    body: str = ""
    severity: str = "info"
    """One of `SEVERITIES`, `ok` or `cannot_tell`."""
    fields: Sequence[Field] = ()
    output: str = ""
    """Preformatted lines, e.g. what a plan would do; those that begin with `+`, `-` or `~` may be coloured."""
    sections: Sequence[Section] = ()
    buttons: Sequence[Button] = ()
    at: datetime
    """Aware, UTC."""
    thread: str | None = None
    """Messages of one thread belong together (a finding's opening, reminders, resolution)."""
    cause: str | None = None
    """The root of what it is about: findings with one cause, and requests to mend them, have the same."""
    reply_to: str | None = None
    """The reference (`Delivery.reference`) of the thread's first message on this channel, if it has one."""
    to: Recipient | None = None
    """For this person alone, whose own link may be in it. Only a channel that is `Personal` is handed such a message."""
    data: Mapping[str, object] = field(default_factory=dict)
    """The same facts for machines, JSON-ready; what a webhook carries."""
