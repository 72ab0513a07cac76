"""How a message looks as text and as HTML: Jinja2 in one place, strict about names, escaping all HTML."""

import re
from datetime import UTC, datetime, tzinfo
from functools import cache
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined

from notifications.message import Message, MessageKind

# Unicode's Cc and Cs but for line feed and tab, and what turns the direction of writing.
_DISGUISES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_COLOURS = {
    "info": "#4a6fa5",
    "low": "#4a6fa5",
    "medium": "#a66a00",
    "high": "#c2410c",
    "critical": "#b91c1c",
    "cannot_tell": "#6d4aa5",
    "ok": "#2e7d4f",
}


def plain(text: str) -> str:
    """`text` without terminal escapes, other control characters and direction overrides, which can disguise a line."""
    return _DISGUISES.sub("", text)


def one_line(text: str, limit: int) -> str:
    """`text` as one line of at most `limit` characters, with an ellipsis if something had to go."""
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def instant(at: datetime) -> str:
    """`20 Nov 2026 02:14 UTC`."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y %H:%M} UTC"


def shortened(text: str, most_bytes: int, where: str) -> str:
    """As many whole lines of `text` as fit, and how many there are more. A line that is longer than all of it is cut."""
    lines, kept, room = plain(text).rstrip().splitlines(), [], most_bytes
    for line in lines:
        room -= _weight(line) + 1
        if room < 0:
            break
        kept.append(line)
    if lines and not kept:
        kept = [_cut(lines[0], most_bytes)]
        return "\n".join([*kept, f"… the rest of this line and {len(lines) - 1} more: {where}"])
    more = len(lines) - len(kept)
    return "\n".join([*kept, f"… and {more} more lines: {where}"] if more else kept)


def _cut(line: str, most_bytes: int) -> str:
    kept = line[:most_bytes]
    while _weight(kept) > most_bytes:
        kept = kept[: len(kept) * most_bytes // _weight(kept)]
    return kept


def short(text: str, most_bytes: int) -> str:
    """One line of it, with an ellipsis if something had to go."""
    line = one_line(text, most_bytes)
    return line if _weight(line) <= most_bytes else _cut(line, most_bytes - 3) + "…"


def _weight(text: str) -> int:
    return len(escape(text).encode("utf-8", "replace"))


def when(at: datetime, zone: tzinfo) -> str:
    """`Mon 23 Nov 2026 17:00 CET (16:00 UTC)`: in the deciders' zone, and in everybody's."""
    local, utc = at.astimezone(zone), at.astimezone(UTC)
    told = f"{local:%a} {local.day} {local:%b %Y %H:%M} {local.tzname()}"
    if local.utcoffset() == utc.utcoffset():
        return told
    other_day = f"{utc:%a} " if utc.date() != local.date() else ""
    return f"{told} ({other_day}{utc:%H:%M} UTC)"


def text(message: Message) -> str:
    """The plain text of `message`; ends with one line feed."""
    return plain(_environment("txt").get_template(f"{_template(message)}.txt").render(message=message)).rstrip() + "\n"


def html(message: Message) -> str:
    """A whole HTML page of `message`: styles inline, nothing loaded from elsewhere, every value escaped."""
    return plain(_environment("html").get_template(f"{_template(message)}.html").render(message=message))


def _template(message: Message) -> str:
    return "digest" if message.kind is MessageKind.DIGEST else "message"


@cache
def _environment(kind: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("notifications", "templates"),
        autoescape=kind == "html",  # noqa: S701 - plain text has nothing to escape
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"instant": instant, "web": _web, "colour": _colour, "one_line": one_line}
    return environment


def _web(url: str | None) -> str | None:
    """Only what a reader can safely follow: `javascript:` and the like are no links."""
    return url if url and url.lower().startswith(("https://", "http://")) else None


def _colour(severity: str | None) -> str:
    return _COLOURS.get(severity or "info", _COLOURS["info"])
