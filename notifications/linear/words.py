"""A message as Linear's Markdown, in which nothing that others wrote is markup. Pure."""

import re
from collections.abc import Iterator

from notifications import render
from notifications.linear.standing import footer
from notifications.message import Button, Message, MessageKind, Section

# Linear publishes no limits; these are ours, and what had to go is said.
_TITLE = 250
_TEXT = 6_000
_VALUE = 1_000
_LINE = 300
_LINES = 60
_PRIORITIES = {"critical": 1, "high": 2, "medium": 3, "cannot_tell": 3, "low": 4, "info": 4}
# CommonMark: any of these may be escaped anywhere; a list or a heading begins only a line.
_MARKUP = re.compile(r"([\\`*_\[\]<>|~@&$])")
_BEGINNINGS = re.compile(r"^(\s*)([#+\-=]|\d+(?=[.)]))", re.MULTILINE)

_ENDINGS = frozenset({MessageKind.FINDING_RESOLVED, MessageKind.APPROVAL_CLOSED, MessageKind.REMEDIATION_ENDED})
_OPENINGS = frozenset({MessageKind.FINDING_OPENED, MessageKind.APPROVAL_REQUESTED, MessageKind.RUN_NEEDS_ATTENTION})


def ends(message: Message) -> bool:
    """Whether what it is about is over."""
    match message.kind:
        case MessageKind.APPROVAL_DECIDED:
            return bool(message.data.get("gate")) or message.data.get("state") not in ("pending", "approved")
        case MessageKind.RUN_NEEDS_ATTENTION:
            return "resolution" in message.data
        case kind:
            return kind in _ENDINGS


def opens(message: Message) -> bool:
    """Whether it is news that somebody should look at, also where everything was done."""
    return message.kind in _OPENINGS and not ends(message)


def priority(message: Message) -> int:
    """Linear's: 1 urgent, 2 high, 3 medium, 4 low; 0 is none."""
    return _PRIORITIES.get(message.severity, 0)


def title(message: Message) -> str:
    """Of an issue: what is wrong, without how bad, which its priority says."""
    said = message.data.get("title")
    return render.one_line(said if isinstance(said, str) and said.strip() else message.title, _TITLE) or "-"


def description(message: Message) -> str:
    """Of a new issue."""
    return _joined(message)


def comment(message: Message) -> str:
    """On an issue that is there."""
    return _joined(message, f"**{escaped(render.one_line(message.title, _TITLE))}**")


def escaped(text: str) -> str:
    return _BEGINNINGS.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", render.plain(text)))


def _joined(message: Message, *before: str) -> str:
    parts = [*before, *_parts(message), f"Nightshift, {render.instant(message.at)} {footer(message.id)}"]
    return "\n\n".join(part for part in parts if part)


def _parts(message: Message) -> Iterator[str]:
    yield escaped(_cut(message.body, _TEXT)).replace("\n", "\\\n")
    yield "\n".join(f"- **{escaped(one.label)}:** {escaped(render.one_line(one.value, _VALUE))}" for one in message.fields)
    yield " · ".join(_link(button) for button in message.buttons)
    yield _fenced(_cut(message.output, _TEXT)) if message.output else ""
    for section in message.sections:
        yield _section(section)


def _section(section: Section) -> str:
    lines = [f"**{escaped(render.one_line(section.heading, _LINE))}**", ""]
    for line in section.lines[:_LINES]:
        words = render.one_line(line.text, _LINE) or "-"
        lines.append(f"- {_link(Button(words, line.url)) if line.url else escaped(words)}")
    if len(section.lines) > _LINES:
        lines.append(f"- and {len(section.lines) - _LINES} more")
    return "\n".join(lines)


def _link(button: Button) -> str:
    """Only what a reader can safely follow is a link."""
    if not re.fullmatch(r"https?://[^\s<>()\\]+", button.url):
        return f"{escaped(button.label)}: {escaped(button.url)}"
    return f"[{escaped(button.label)}](<{button.url}>)"


def _fenced(text: str) -> str:
    """Longer than any fence inside."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _cut(text: str, limit: int) -> str:
    text = render.plain(text).strip()
    return text if len(text) <= limit else render.shortened(text, limit, "see the page")
