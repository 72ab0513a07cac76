"""What a person does with the link of a mail: opens it, reads the form, types the PIN. No short cut: cookie, redirect, CSRF."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path

import httpx

from worker.cli.refusals import Unavailable

_LINK = re.compile(r"https?://[^\s<>\"]+/a/[A-Za-z0-9_-]+")
_TIMEOUT_SECONDS = 10.0


def link_in(mail: Path) -> str | None:
    """The personal link of a mail's text; None: it has none."""
    message = email.message_from_bytes(mail.read_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    found = _LINK.search(str(body.get_content())) if body else None
    return found.group() if found else None


def approve(link: str, pin: str, reason: str) -> None:
    """Open `link` and say yes on the page behind it. Raises `Unavailable` when the page does not take it."""
    with httpx.Client(follow_redirects=True, timeout=_TIMEOUT_SECONDS, trust_env=False) as browser:
        page = browser.get(link)
        form = _Form.of(page)
        given = {**form.hidden, "choice": "approve", "reason": reason, "pin": pin}
        answer = browser.post(str(page.url.join(form.action)), data=given)
        if answer.is_error or "Nothing was decided" in answer.text:
            message = f"the page of the request did not take the decision: {answer.status_code} at {answer.url}"
            raise Unavailable(message)


class _Form(HTMLParser):
    """The form that takes a decision: where it goes, and the members that the page put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self._within = False

    @classmethod
    def of(cls, page: httpx.Response) -> "_Form":
        form = cls()
        form.feed(page.text)
        if page.is_error or not form.action:
            message = f"the page behind the link has no form for a decision: {page.status_code} at {page.url.path}"
            raise Unavailable(message)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._within = (given.get("action") or "").endswith("/decide")
            self.action = given["action"] or "" if self._within else self.action
        elif tag == "input" and self._within and given.get("type") == "hidden":
            self.hidden[str(given["name"])] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._within = False
