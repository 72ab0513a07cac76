"""A mail scanner at its worst: it renders the page, runs its scripts, clicks everything and types whatever it has read."""

import json
import re
from collections.abc import Iterator, Sequence

import pytest
from argon2 import PasswordHasher
from sqlalchemy import delete

from tests.approvals.kit import COUNTING, Hall
from tests.approvals.mailroom import Mailroom, routes, text_of, to, tokens_in
from tests.approvals.ward import PIN, PROD
from tests.support.browser import Browser, Page
from tests.support.mail import MailServer, mail_server
from worker.configuration import Person
from worker.ledger.approval_tables import PIN_TRIES
from worker.records import Approval, ApprovalState

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""The robot guesses hundreds of PINs, which are slow to check by design; how slow is not what stops it."""

READ = """
[...new Set([
  ...document.body.innerText.split(/[\\s,;:()]+/),
  ...[...document.querySelectorAll("input, button, time, a")].flatMap((one) => [...one.attributes].map((it) => it.value)),
].map((text) => text.trim()).filter((text) => text))]
"""
"""Every word that the page shows, and what its fields and links hold."""
READ_SOURCE = """
[...new Set([
  ...document.body.innerText.split(/\\n/),
  ...document.body.innerText.split(/[\\s,;:()]+/),
  ...document.documentElement.outerHTML.split(/[\\s"'<>=&;?\\/]+/),
].map((text) => text.trim()).filter((text) => text))]
"""
"""Every line, every word, and every word of the source."""
CLICK_AROUND = """
(async () => {
  for (const one of document.querySelectorAll("summary, label, input, textarea")) one.click();
  for (const link of document.querySelectorAll("a[href], link[href], script[src]")) await fetch(link.href || link.src);
  for (const verb of ["GET", "HEAD", "OPTIONS"]) await fetch(location.href, {method: verb});
})()
"""
SUBMIT = """
((word, which, hidden) => {
  const forms = [...document.querySelectorAll("form")];
  if (!forms.length) return false;
  const form = forms[which % forms.length];
  form.noValidate = true;
  for (const field of form.querySelectorAll("input:not([type=radio]), textarea, select"))
    if (hidden || field.type !== "hidden") field.value = word;
  const radios = [...form.querySelectorAll("input[type=radio]")];
  if (radios.length) radios[which % radios.length].checked = true;
  window.left = true;
  [...form.querySelectorAll("button, input[type=submit]")][0].click();
  return true;
})
"""
"""Types a word into every field of a form, and presses its button; false: there is no form left."""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as started:
        yield started


@pytest.fixture
def asked(hall_here: Hall, server: MailServer) -> tuple[Approval, str]:
    """A request, and the mail that bo got about it."""
    ana, bo = (
        Person.model_validate(
            {"name": name, "email": f"{name}@example.com", "roles": {PROD: ("operator",)}, "pin_hash": QUICK.hash(PIN)}
        )
        for name in ("ana", "bo")
    )
    hall_here.ward.change(people=(ana, bo))
    room = Mailroom(hall_here.ward, server, routes(server))
    approval = hall_here.ward.ask()
    (mail,) = to(room.after(), "bo")
    return approval, f"{mail['Subject']}\n{text_of(mail)}"


def words_of(mail: str) -> list[str]:
    return list(dict.fromkeys(word for word in re.split(r"[\s,;:()]+", mail) if word))


def submit(word: str, which: int, *, hidden: bool) -> str:
    return f"{SUBMIT}({json.dumps(word)}, {which}, {json.dumps(hidden)})"


def visit(page: Page, hall: Hall, url: str, read: str, mail: Sequence[str], number: int, chunk: int) -> int:
    """Open the link, look and click around, then send every form with this visit's share of all there is to read."""
    page.open(url)
    page.run(CLICK_AROUND)
    words = list(dict.fromkeys([*page.run(read), *mail]))
    share = [words[(number * chunk + n) % len(words)] for n in range(chunk)]
    for turn, word in enumerate(share):
        # As if no lock ever held: what stops the robot must be that it does not know the PIN.
        with hall.ward.rig.ledger.transaction() as tx:
            tx.execute(delete(PIN_TRIES))
        page.run(submit(word, number + turn, hidden=turn % 5 == 4))
        page.settle()
        if not page.run("document.querySelectorAll('form').length"):
            page.open(url)
    return len(words)


def send_robots(browser: Browser, hall: Hall, approval: Approval, mail: str, *, read: str, visits: int, chunk: int) -> None:
    (token,) = set(tokens_in(mail))
    before = hall.picture(COUNTING)
    known = 0
    for number in range(visits):
        with browser.page() as page:
            known = visit(page, hall, f"{hall.url}/a/{token}", read, words_of(mail), number, chunk)
    assert visits * chunk >= known, f"{known} words were to be tried"
    assert hall.picture(COUNTING) == before
    assert hall.ward.approval(approval.id) == approval


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_robot_that_clicks_and_types_everything_decides_nothing(
    browser: Browser, hall_here: Hall, asked: tuple[Approval, str]
) -> None:
    send_robots(browser, hall_here, *asked, read=READ, visits=20, chunk=11)


@pytest.mark.soak
def test_two_hundred_visits_of_the_robot_decide_nothing(browser: Browser, hall_here: Hall, asked: tuple[Approval, str]) -> None:
    send_robots(browser, hall_here, *asked, read=READ_SOURCE, visits=200, chunk=16)


def test_the_same_robot_decides_once_it_has_read_the_pin(browser: Browser, hall_here: Hall, asked: tuple[Approval, str]) -> None:
    """Else nothing above would prove anything."""
    approval, mail = asked
    with browser.page() as page:
        page.open(f"{hall_here.url}/a/{tokens_in(mail)[0]}")
        page.run(submit(PIN, 0, hidden=False))
        page.settle()
    assert hall_here.ward.approval(approval.id).state is ApprovalState.APPROVED
