"""The link of a mail: what opening it does, what it never does, and what a link says that holds no more."""

import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.approvals.kit import Hall, decide_on, page_of, text_of, yes
from tests.approvals.ward import person
from worker.records import Approval, ApprovalState
from worker.tokens import Keys, LinkCookies

HTML = {"Accept": "text/html"}


def test_a_thousand_looks_at_a_link_and_its_page_change_nothing(hall: Hall) -> None:
    approval = hall.ward.ask()
    paths = [f"/a/{hall.link(approval)}", f"/approvals/{approval.id}"]
    paths += [f"{paths[1]}/{part}" for part in ("live", "simulation", "plan", "decide")]
    client, chance = hall.opened(approval), random.Random(4)  # noqa: S311 - the same requests every time
    before = hall.picture()
    answers = {
        client.request(chance.choice(["GET", "HEAD", "OPTIONS"]), chance.choice(paths), headers=HTML).status_code
        for _ in range(1000)
    }
    assert answers == {200, 303, 405}
    assert hall.picture() == before


def test_opening_a_link_gives_a_cookie_for_this_approval_alone(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    for method in ("GET", "HEAD"):
        answer = hall_here.client().request(method, f"/a/{hall_here.link(approval)}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/approvals/{approval.id}")
        name, _, rest = answer.headers["set-cookie"].partition("=")
        assert name == f"nightshift_link_{approval.id}"
        attributes = [part.strip() for part in rest.split(";")[1:]]
        left = int((approval.expires_at - hall_here.ward.rig.clock()).total_seconds())
        assert sorted(attributes) == ["HttpOnly", f"Max-Age={left}", f"Path=/approvals/{approval.id}", "SameSite=lax"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_the_cookie_is_for_tls_alone_where_people_come_by_tls(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    here = hall_here.app.state.gateway
    settings = here.settings.model_copy(update={"base_url": "https://night.example"})
    hall_here.app.state.gateway = replace(here, settings=settings)
    assert "; Secure" in hall_here.client().get(f"/a/{hall_here.link(approval)}").headers["set-cookie"]


def test_neither_the_token_nor_its_hash_is_on_the_page(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    token, client = hall_here.link(approval), hall_here.client()
    client.get(f"/a/{token}")
    page = page_of(client, approval)
    assert token not in page
    assert client.cookies[f"nightshift_link_{approval.id}"] not in page


@pytest.mark.parametrize("path", ["/a/s3cret", "//a/s3cret", "/%61/s3cret", "/a/s3cret?x=1", "/login/s3cret", "/a%2Fs3cret"])
def test_the_access_log_does_not_keep_links(path: str, hall_here: Hall) -> None:
    record = logging.LogRecord("uvicorn.access", logging.INFO, "x", 1, '%s "%s %s"', ("127.0.0.1", "GET", path), None)
    logging.getLogger("uvicorn.access").handle(record)
    assert "s3cret" not in record.getMessage()


def expired(hall: Hall, approval: Approval, token: str) -> str:
    hall.ward.rig.clock.advance(timedelta(days=30))
    return token


def tampered(hall: Hall, approval: Approval, token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def foreign(hall: Hall, approval: Approval, token: str) -> str:
    """One of another instance."""
    return "Zm9yZWlnbg" * 4


def used(hall: Hall, approval: Approval, token: str) -> str:
    client = hall.client()
    client.get(f"/a/{token}")
    assert decide_on(client, approval).status_code == 303
    return token


def replaced(hall: Hall, approval: Approval, token: str) -> str:
    """A newer mail was sent."""
    hall.link(approval)
    return token


def decided(hall: Hall, approval: Approval, token: str) -> str:
    """By somebody else."""
    hall.ward.say(approval, "cy")
    return token


@pytest.mark.parametrize(
    ("spoil", "status", "told"),
    [
        (expired, 410, "This link has expired"),
        (tampered, 404, "No such link"),
        (foreign, 404, "No such link"),
        (used, 410, "This link has served"),
        (replaced, 410, "This link is void"),
        (decided, 410, "This link is void"),
    ],
)
def test_a_link_that_does_not_hold_says_which_and_whom_to_ask_and_nothing_of_the_plan(
    hall_here: Hall, spoil: Callable[[Hall, Approval, str], str], status: int, told: str
) -> None:
    approval = hall_here.ward.ask()
    token = spoil(hall_here, approval, hall_here.link(approval))
    before = hall_here.picture()
    answer = hall_here.client().get(f"/a/{token}", headers=HTML)
    assert (answer.status_code, "set-cookie" in answer.headers) == (status, False)
    assert told in answer.text
    assert "nightshift approvals" in answer.text
    for secret in (approval.id, approval.title, approval.digest, approval.subject, approval.environment, token, "slot"):
        assert secret not in text_of(answer.text)
    assert hall_here.picture() == before


def test_a_token_of_a_sign_in_link_opens_no_approval(hall_here: Hall) -> None:
    hall_here.ward.ask()
    token = hall_here.login_token()
    assert hall_here.client().get(f"/a/{token}").status_code == 404


def test_a_cookie_dies_with_its_link(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.client()
    client.get(f"/a/{hall_here.link(approval)}")
    assert client.get(f"/approvals/{approval.id}").status_code == 200
    hall_here.link(approval)
    answer = client.get(f"/approvals/{approval.id}")
    assert (answer.status_code, approval.title in answer.text) == (410, False)


def test_a_cookie_ends_with_its_time(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.opened(approval)
    hall_here.ward.rig.clock.advance(timedelta(days=30))
    assert client.get(f"/approvals/{approval.id}").headers["location"] == f"/login?next=/approvals/{approval.id}"


def test_a_cookie_outlives_a_rotation_of_the_keys_and_dies_with_its_key(hall_here: Hall) -> None:
    approval, keys = hall_here.ward.ask(), hall_here.ward.rig.shift.keys
    client, made_with = hall_here.opened(approval), keys.current_id
    page = page_of(client, approval)
    keys.rotate()
    assert decide_on(client, approval, pin="000000").status_code == 403
    assert client.post(f"/approvals/{approval.id}/decide", data=yes(page, pin="000000")).status_code == 403
    (hall_here.ward.folder.parent / "keys" / f"{made_with}.key").unlink()
    here = hall_here.app.state.gateway
    fresh = replace(here, link_cookies=LinkCookies(Keys(hall_here.ward.folder.parent / "keys"), here.shift.clock))
    hall_here.app.state.gateway = fresh
    assert client.get(f"/approvals/{approval.id}").headers["location"] == f"/login?next=/approvals/{approval.id}"


def test_who_left_the_configuration_sees_nothing_by_their_link(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client, spent = hall_here.opened(approval, "cy"), hall_here.opened(approval, "bo")
    decide_on(spent, approval)
    hall_here.ward.change(people=(person("ana"),))
    for browser in (client, spent):
        answer = browser.get(f"/approvals/{approval.id}")
        assert (answer.status_code, approval.title in answer.text) == (410, False)


def test_who_has_decided_by_a_link_may_look_and_not_decide_again(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.opened(approval)
    form = page_of(client, approval)
    assert decide_on(client, approval).status_code == 303
    page = page_of(client, approval)
    assert 'name="pin"' not in page
    before = hall_here.picture()
    again = client.post(f"/approvals/{approval.id}/decide", data=yes(form))
    assert again.status_code == 409
    assert hall_here.picture() == before
    assert hall_here.ward.approval(approval.id).state is ApprovalState.APPROVED
