"""A message as blocks of Slack's Block Kit, within its limits; what had to go is said, and no link is lost. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks (50 blocks a message; 150 characters a header, 3,000 a text, 75 a
button, 3,000 a URL; 25 elements of actions). Words are `rich_text` and `plain_text`, in which nothing is markup.
"""

from collections.abc import Iterator, Sequence

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    PlainTextObject,
    RichTextBlock,
    RichTextElementParts,
    RichTextListElement,
    RichTextPreformattedElement,
    RichTextSectionElement,
)

from notifications import render
from notifications.message import Button, Field, Line, Message, Section

Text = RichTextElementParts.Text
Link = RichTextElementParts.Link

_BLOCKS = 50
_HEADER = 150
_TEXT = 3_000
_BUTTON = 75
_BUTTONS = 25
_URL = 3_000
_FIELDS = 20
_VALUE = 500
_LINE = 300
_SECTIONS = 10
_BOLD = RichTextElementParts.TextStyle(bold=True)


def blocks(message: Message) -> list[Block]:
    """Its links come before what may be long."""
    made: list[Block] = [HeaderBlock(text=_plain(message.title, _HEADER))]
    if message.body:
        made.append(RichTextBlock(elements=[RichTextSectionElement(elements=[Text(text=_cut(message.body, _TEXT))])]))
    if message.fields:
        made.append(RichTextBlock(elements=list(_fields(message.fields))))
    made += _buttons(message.buttons)
    if message.output:
        made.append(RichTextBlock(elements=[RichTextPreformattedElement(elements=[Text(text=_cut(message.output, _TEXT))])]))
    made += [RichTextBlock(elements=list(_section(section))) for section in message.sections[:_SECTIONS]]
    if len(message.sections) > _SECTIONS:
        rest = ", ".join(section.heading for section in message.sections[_SECTIONS:])
        made.append(_small(f"Left out here: {rest}"))
    made.append(_small(f"Nightshift, {render.instant(message.at)}"))
    assert len(made) <= _BLOCKS
    return made


def fallback(message: Message) -> str:
    """What a notification shows. Slack reads markup in it, so `<!channel>` must not stay what it is."""
    return render.one_line(message.title, 500).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fields(fields: Sequence[Field]) -> Iterator[RichTextSectionElement]:
    for field in fields[:_FIELDS]:
        value = _cut(render.plain(field.value), _VALUE)
        yield RichTextSectionElement(elements=[Text(text=f"{field.label}: ", style=_BOLD), Text(text=f"{value}\n")])
    if len(fields) > _FIELDS:
        rest = ", ".join(field.label for field in fields[_FIELDS:])
        yield RichTextSectionElement(elements=[Text(text=_cut(f"Left out here: {rest}", _TEXT))])


def _buttons(buttons: Sequence[Button]) -> list[Block]:
    """Links that open in a browser; a button's address is no text, so Slack fetches no preview of it."""
    opened = [button for button in buttons if button.url.startswith(("https://", "http://")) and len(button.url) <= _URL]
    others = [button for button in buttons if button not in opened] + opened[_BUTTONS:]
    made: list[Block] = []
    if opened:
        elements = [
            ButtonElement(
                text=_plain(button.label, _BUTTON),
                url=button.url,
                action_id=f"open-{place}",
                style="primary" if place == 0 else None,
            )
            for place, button in enumerate(opened[:_BUTTONS])
        ]
        made.append(ActionsBlock(elements=elements))
    if others:
        made.append(_small("\n".join(f"{button.label}: {button.url}" for button in others)))
    return made


def _section(section: Section) -> Iterator[RichTextSectionElement | RichTextListElement]:
    yield RichTextSectionElement(elements=[Text(text=_cut(section.heading, _LINE), style=_BOLD)])
    lines, room = [], _TEXT
    for line in section.lines:
        room -= min(len(line.text), _LINE)
        if room < 0:
            break
        lines.append(RichTextSectionElement(elements=[_line(line)]))
    left = len(section.lines) - len(lines)
    if left:
        lines.append(RichTextSectionElement(elements=[Text(text=f"and {left} more")]))
    if lines:
        yield RichTextListElement(style="bullet", elements=lines)


def _line(line: Line) -> Text | Link:
    words = render.one_line(line.text, _LINE) or "-"
    if line.url and line.url.startswith(("https://", "http://")) and len(line.url) <= _URL:
        return Link(url=line.url, text=words)
    return Text(text=words)


def _small(text: str) -> Block:
    return ContextBlock(elements=[PlainTextObject(text=_cut(text, _TEXT), emoji=False)])


def _plain(text: str, limit: int) -> PlainTextObject:
    return PlainTextObject(text=render.one_line(text, limit) or "-", emoji=False)


def _cut(text: str, limit: int) -> str:
    """`text` without control characters; whole lines if it is too long, and how many more there are."""
    text = render.plain(text)
    if len(text) <= limit:
        return text
    kept = text[: limit - 60].rpartition("\n")[0] or text[: limit - 60]
    more = text.count("\n") - kept.count("\n")
    return f"{kept}\n… {f'and {more} more lines' if more else 'and more'}: see the page"
