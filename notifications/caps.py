"""At most so many messages an hour to a channel; what is beyond becomes one summary. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from notifications.digest import bounded
from notifications.message import SEVERITIES, Button, Line, Message, MessageKind

DEFAULT_CAP = 30
"""Messages an hour to a channel for which `caps` says nothing."""


@dataclass(frozen=True, slots=True)
class Capped:
    """What becomes of waiting messages: sent one by one, told together in `summary`, or left for the next hour."""

    send: tuple[Message, ...]
    summarised: tuple[Message, ...] = ()
    summary: Message | None = None
    later: tuple[Message, ...] = ()


def within_cap(
    channel: str,
    waiting: Sequence[Message],
    *,
    sent_in_last_hour: int,
    cap: int,
    console_url: str,
    now: datetime,
) -> Capped:
    """Share out what is left of this hour to `channel`, worst first. `sent_in_last_hour` counts the summary as well,
    so that there is one an hour.
    """
    left = max(cap - sent_in_last_hour, 0)
    ordered = tuple(sorted(waiting, key=_worst_first))
    if len(ordered) <= left:
        return Capped(ordered)
    if sent_in_last_hour > cap:
        return Capped((), later=ordered)
    send, rest = ordered[:left], ordered[left:]
    return Capped(send, rest, _summary(channel, rest, console_url, now))


def _worst_first(message: Message) -> tuple[int, datetime]:
    rank = SEVERITIES.index(message.severity) if message.severity in SEVERITIES else 0
    return -rank, message.at


def _summary(channel: str, kept_back: Sequence[Message], console_url: str, now: datetime) -> Message:
    url = f"{console_url.rstrip('/')}/findings"
    lines = [Line(message.title, message.buttons[0].url if message.buttons else None, message.severity) for message in kept_back]
    return Message(
        id=f"summary-{channel}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        kind=MessageKind.SUMMARY,
        title=f"and {len(kept_back)} more",
        body="This channel had its messages for this hour; these are told together.",
        severity=kept_back[0].severity,
        sections=[bounded("Told together", lines, url)],
        buttons=[Button("Open all findings", url)],
        at=now,
        data={"summarised": [message.id for message in kept_back]},
    )
