import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from notifications import render
from notifications.digest import NightApproval, NightRun, NightUnknown, digest_message
from notifications.findings import finding_message
from notifications.message import Button, Field, Line, Message, MessageKind, Section
from tests.notifications.values import CONSOLE, MESSAGE, NOW, finding, message, night

CANARY = "<script>alert('canary')</script>\"onload=x"

EVERYWHERE = Message(
    id=CANARY,
    kind=MessageKind.FINDING_OPENED,
    title=CANARY,
    body=CANARY,
    severity=CANARY,
    fields=[Field(CANARY, CANARY)],
    sections=[Section(CANARY, [Line(CANARY, f"https://example.org/{CANARY}", CANARY), Line(CANARY, CANARY)], CANARY)],
    buttons=[Button(CANARY, f"https://example.org/{CANARY}"), Button(CANARY, f"javascript:{CANARY}")],
    at=NOW,
    thread=CANARY,
)
STRANGE = finding(
    title=CANARY,
    detail=CANARY,
    subject=CANARY,
    reason=CANARY,
    environment=CANARY,
    owner=CANARY,
    labels={CANARY: CANARY},
    recheck=CANARY,
)
FULL_NIGHT = night(
    looked_at=90,
    incomplete=[CANARY],
    new=[STRANGE],
    still_open=[STRANGE],
    resolved=[STRANGE],
    cannot_tell=[NightUnknown(subject=CANARY, reason=CANARY, detail=CANARY, run_id=CANARY)],
    needs_attention=[NightRun(id=CANARY, job=CANARY, why=CANARY)],
    failed=[NightRun(id=CANARY, job=CANARY, why=CANARY)],
    skipped=[NightRun(id=CANARY, job=CANARY, why=CANARY)],
    approvals=[NightApproval(id=CANARY, title=CANARY, waits_for=[CANARY])],
)


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


@pytest.mark.parametrize(
    "hostile",
    [
        EVERYWHERE,
        replace(EVERYWHERE, kind=MessageKind.DIGEST),
        finding_message(MessageKind.FINDING_OPENED, STRANGE, CONSOLE, now=NOW),
        digest_message(FULL_NIGHT),
    ],
)
def test_a_script_in_any_value_is_escaped_in_html(hostile: Message) -> None:
    page = render.html(hostile)
    tags = Tags(page)

    assert "&lt;script&gt;" in page
    assert "script" not in tags.names
    assert not any(name.startswith("on") for name, _ in tags.attributes)
    links = [value for name, value in tags.attributes if name == "href"]
    assert all(link is not None and link.startswith("https://") for link in links)


def test_html_loads_nothing_from_elsewhere_and_suits_a_phone_at_night() -> None:
    page = render.html(MESSAGE)

    assert not {"img", "link", "iframe", "object"} & set(Tags(page).names)
    assert not re.search(r"url\(|@import|src=", page)
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_text_escapes_nothing() -> None:
    assert "a < b & c" in render.text(message(body="a < b & c"))


def test_text_holds_no_terminal_escape_and_no_direction_override() -> None:
    text = render.text(message(title="a\x1b[2Jb\u202ec", body="d\x9be\rf"))

    assert text.startswith("a[2Jbc\n")
    assert "\ndef\n" in text


@pytest.mark.parametrize("kind", list(MessageKind))
def test_every_kind_of_message_has_text_and_html(kind: MessageKind) -> None:
    bare: dict[str, Any] = {"kind": kind, "body": "", "fields": [], "sections": [], "buttons": []}

    assert MESSAGE.title in render.text(message(**bare))
    assert MESSAGE.title in render.html(message(**bare))
    assert "192.0.2.7" in render.text(message(kind=kind))
    assert "192.0.2.7" in render.html(message(kind=kind))


def test_one_line_is_cut_at_its_limit() -> None:
    assert render.one_line("a\r\nb   c", 10) == "a b c"
    assert render.one_line("abcdef", 5) == "abcd…"
