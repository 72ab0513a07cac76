"""Reads the engine's events from the JSON log that the CLI writes, line by line: never more than one of them in memory.

Not the SDK's typed events: those drop what they do not know (an operation `diff`, an `errorEvent`), and warn.
Most lines of a night are resources that did not change; what they say is taken from their first bytes, without parsing JSON.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

UNREADABLE = "unreadable"
_KIND = re.compile(rb'\{"sequence":-?\d+,"timestamp":-?\d+,"(\w+)":')
_STEP = re.compile(rb'\{"metadata":\{"op":"([\w-]+)","urn":("(?:[^"\\]|\\.)*")')
_UNREAD = {b"resourcePreEvent", b"preludeEvent", b"stdoutEvent", b"progressEvent", b"policyLoadEvent", b"startDebuggingEvent"}


LONGEST_LINE_BYTES = 32 << 20
"""An event holds its resource up to four times."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name in Pulumi (`resOutputsEvent`) and what it holds; `body` is None if nobody wants to know."""

    kind: str
    body: Mapping[str, Any] | None
    operation: str = ""
    urn: str = ""


def read_events(log: Path, *, wanted: Callable[[str, str], bool]) -> Iterator[Event]:
    """All events of the log in order, except those that say nothing about resources.

    `wanted(operation, urn)` says whether the body of a `resOutputsEvent` is of interest. A line that was cut off, because the CLI
    was killed, or that is too long to be held, is an event `UNREADABLE`: nobody knows what it was about. No log is no events.
    """
    if not log.exists():
        return
    with log.open("rb") as file:
        while line := file.readline(LONGEST_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) == LONGEST_LINE_BYTES:
                _skip_the_rest(file)
                yield Event(UNREADABLE, None)
                continue
            event = _read(line, wanted)
            if event is not None:
                yield event


def _skip_the_rest(file: BinaryIO) -> None:
    while (more := file.readline(LONGEST_LINE_BYTES)) and not more.endswith(b"\n"):
        pass


def _read(line: bytes, wanted: Callable[[str, str], bool]) -> Event | None:
    kind = _KIND.match(line)
    if kind is None or not line.endswith(b"\n"):
        return _plainly(line)
    if kind[1] in _UNREAD:
        return None
    step = _STEP.match(line, kind.end()) if kind[1] == b"resOutputsEvent" else None
    if step is not None:
        operation, urn = step[1].decode(), _text(step[2])
        if not wanted(operation, urn):
            return Event("resOutputsEvent", None, operation, urn)
    return _plainly(line)


def _plainly(line: bytes) -> Event | None:
    """By parsing all of it: another CLI may write the members in another order."""
    try:
        said = json.loads(line.decode("utf-8", errors="replace"))
    except ValueError:
        return Event(UNREADABLE, None)
    for kind, body in said.items() if isinstance(said, dict) else ():
        if kind not in {"sequence", "timestamp"} and isinstance(body, dict):
            step = body.get("metadata") or {}
            return None if kind.encode() in _UNREAD else Event(kind, body, str(step.get("op", "")), str(step.get("urn", "")))
    return None


def _text(quoted: bytes) -> str:
    inner = quoted[1:-1]
    return inner.decode("utf-8", errors="replace") if b"\\" not in inner else json.loads(quoted.decode("utf-8", errors="replace"))
