"""Who comes by a bare link and signs in is led to the page that was asked for, and never to another site."""

import pytest

from tests.approvals.kit import Hall
from worker.api.console.returning import NEXT, own_path

FOREIGN = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " /approvals",
    "/x//evil.example",
    "javascript:alert(1)",
    "approvals",
    "evil.example/approvals",
    "/logout",
    "/login/token",
    "/a/token",
    "/é",
    '/"><script>',
    "",
    "/" + "x" * 600,
]


@pytest.mark.parametrize("path", FOREIGN)
def test_only_a_path_of_ours_is_returned_to(path: str) -> None:
    assert own_path(path) is None


@pytest.mark.parametrize("path", ["/", "/approvals/01a1", "/runs?state=failed&job=x", "/findings?before=a%20b"])
def test_a_page_of_ours_is(path: str) -> None:
    assert own_path(path) == path


def test_a_bare_link_leads_over_the_sign_in_to_its_page(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client, asked = hall_here.client(), f"/approvals/{approval.id}"
    door = client.get(asked).headers["location"]
    assert door == f"/login?next={asked}"
    assert client.get(door).status_code == 200
    signed_in = client.post("/login", data={"token": hall_here.login_token()})
    assert signed_in.headers["location"] == asked
    assert client.post("/login", data={"token": hall_here.login_token()}).headers["location"] == "/"


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_whatever_asks_for_another_site_is_led_home(hall_here: Hall, path: str) -> None:
    client = hall_here.client()
    assert NEXT not in client.get("/login", params={"next": path}).cookies
    client.cookies.set(NEXT, path, path="/login")
    assert client.post("/login", data={"token": hall_here.login_token()}).headers["location"] == "/"


def test_a_form_and_a_part_of_a_page_are_no_pages_to_come_back_to(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client, asked = hall_here.client(), f"/approvals/{approval.id}"
    form = client.post(f"{asked}/decide", data={"pin": "1"})
    part = client.get(f"{asked}/live")
    fetched = client.get(asked, headers={"Sec-Fetch-Dest": "empty"})
    assert {answer.headers["location"] for answer in (form, part, fetched)} == {"/login"}
