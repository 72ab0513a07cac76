"""The pages as a browser lays them out: a phone 320 pixels wide, the dark, a keyboard, and no scripts."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.model import Json
from tests.approvals.kit import Hall
from tests.approvals.ward import PIN, person
from tests.support.browser import Browser, Page
from worker.flow.verbs import freeze
from worker.ledger import findings
from worker.ledger.rows import new_id
from worker.records import Actor, ActorKind, Approval, ApprovalState

TOO_WIDE = """
[...document.querySelectorAll("main *, header *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".skip"))
  .map((one) => one.outerHTML.slice(0, 120))
"""
DIM = """
(() => {
  const luminance = (text) => {
    const parts = text.match(/[\\d.]+/g).map((n) => n / 255);
    const [r, g, b] = parts.map((n) => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    const own = getComputedStyle(one).backgroundColor;
    return own.startsWith("rgba(0, 0, 0, 0") && one.parentElement ? behind(one.parentElement) : own;
  };
  return [...document.querySelectorAll("main *")]
    .filter((one) => [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .filter((one) => {
      const [a, b] = [luminance(getComputedStyle(one).color), luminance(behind(one))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    }).map((one) => one.outerHTML.slice(0, 120));
})()
"""
"""Texts whose contrast is below 4.5, the least of WCAG AA."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.page() as opened:
        yield opened


@pytest.fixture
def approval(hall_here: Hall) -> Approval:
    """With all that a page can show: what moved, a freeze, long names."""
    ward = hall_here.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("adm", "admin", environment="*")))
    ward.entry(slots=("a", "b" * 90))
    ward.ask()
    ward.meddle(7)
    freeze(ward.rig.shift, Actor(ActorKind.PERSON, "adm"), "a-long-reason-without-a-space" * 4)
    return ward.ask()


def a_drift(hall: Hall) -> str:
    """A finding with all that its page can show of a difference."""
    change: dict[str, Json] = {
        "name": "n" * 90,
        "type": "t" * 90,
        "path": "p" * 90,
        "desired": "d" * 200,
        "last_known": 7,
        "actual": "a" * 200,
    }
    with hall.ward.rig.shift.ledger.transaction() as tx:
        row = findings.listing(tx, limit=1)[0]
        changes = [change, {**change, "in_cloud": False}]
        drift = replace(
            row, id=new_id(), key="drift", evidence={"changes": changes, "who": "w" * 90, "since": "2026-11-20T02:14:00Z"}
        )
        findings.insert_finding(tx, drift)
    return drift.id


def sign_in(page: Page, hall: Hall, name: str) -> None:
    page.open(f"{hall.url}/login/{hall.login_token(name)}")
    page.run("window.left = true; document.querySelector('form').submit()")
    page.settle()


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_every_page_without_scrolling_sideways_and_with_contrast(
    page: Page, hall_here: Hall, approval: Approval, *, dark: bool
) -> None:
    page.screen(320, dark=dark)
    sign_in(page, hall_here, "adm")
    drift = f"/findings/{a_drift(hall_here)}"
    for path in (f"/approvals/{approval.id}", "/approvals", "/brakes", "/audit", f"/runs/{approval.run_id}", "/findings", drift):
        page.open(f"{hall_here.url}{path}")
        page.run("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.run(TOO_WIDE) == [], path
        assert page.run("document.documentElement.scrollWidth") <= 320, path
        assert page.run(DIM) == [], path


def test_a_keyboard_is_enough_to_decide(page: Page, hall_here: Hall, approval: Approval) -> None:
    page.open(f"{hall_here.url}/a/{hall_here.link(approval)}")
    page.run("document.querySelector('input[name=choice]').focus()")
    _press(page, " ", "Space")
    for key in ("Tab", "Tab"):
        _press(page, key, key)
    assert page.run("document.activeElement.name") == "pin"
    page.ask("Input.insertText", text=PIN)
    page.run("window.left = true")
    _press(page, "\r", "Enter")
    page.settle()
    assert hall_here.ward.approval(approval.id).state is ApprovalState.APPROVED


def test_no_answer_is_chosen_beforehand_and_enter_alone_sends_nothing(page: Page, hall_here: Hall, approval: Approval) -> None:
    page.open(f"{hall_here.url}/a/{hall_here.link(approval)}")
    assert page.run("document.querySelectorAll('input[name=choice]:checked').length") == 0
    page.run("document.querySelector('input[name=pin]').focus()")
    page.ask("Input.insertText", text=PIN)
    _press(page, "\r", "Enter")
    assert page.run("document.forms[0].reportValidity()") is False
    assert hall_here.ward.approval(approval.id) == approval


def test_without_scripts_the_page_says_the_same(page: Page, hall_here: Hall, approval: Approval) -> None:
    page.ask("Emulation.setScriptExecutionDisabled", value=True)
    page.ask("Page.navigate", url=f"{hall_here.url}/a/{hall_here.link(approval)}")
    page.settle()
    told = page.run("document.body.innerText")
    assert "Until 23 Nov 17:00, in 2 d; silence means no." in told
    assert "Send the decision" in told


def test_with_scripts_the_time_left_runs_down(page: Page, hall_here: Hall, approval: Approval) -> None:
    page.open(f"{hall_here.url}/a/{hall_here.link(approval)}")
    assert page.run("document.querySelector('[data-until]').textContent").startswith(("in ", "time is over"))
    assert page.run("document.getElementById('zone').textContent") == page.run("Intl.DateTimeFormat().resolvedOptions().timeZone")


def _press(page: Page, text: str, code: str) -> None:
    shown = {" ": " ", "\r": "Enter"}.get(text, text)
    number = {"Space": 32, "Tab": 9, "Enter": 13}[code]
    down = {"key": shown, "code": code, "windowsVirtualKeyCode": number}
    page.ask("Input.dispatchKeyEvent", type="keyDown", **down, **({} if code == "Tab" else {"text": text}))
    page.ask("Input.dispatchKeyEvent", type="keyUp", **down)
