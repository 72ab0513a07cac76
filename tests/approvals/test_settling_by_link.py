"""A repair that needs a person is settled from the mail alone: by a link of their own, and their PIN."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest

from tests.approvals.kit import COUNTING, Hall, page_of, text_of
from tests.approvals.mailroom import Mailroom, routes, to, to_team, tokens_in
from tests.approvals.mailroom import text_of as words_of
from tests.approvals.ward import PIN, person
from tests.support.mail import MailServer, mail_server
from worker.flow import verbs
from worker.flow.linking import RESOLVES_FOR
from worker.records import Actor, ActorKind, Approval, LinkPurpose, Run, RunState

ANA = Actor(ActorKind.PERSON, "ana")
HOUR = timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture
def room(hall_here: Hall, server: MailServer) -> Mailroom:
    return Mailroom(hall_here.ward, server, routes(server))


def stuck(hall: Hall, behaviour: str = "does_nothing") -> Approval:
    """What was approved was carried out, and did not come out as it should."""
    ward = hall.ward
    ward.entry(behaviour=behaviour)
    approval = ward.ask()
    ward.say(approval)
    ward.carry_out()
    assert run_of(hall, approval).state is RunState.NEEDS_ATTENTION
    return ward.approval(approval.id)


def run_of(hall: Hall, approval: Approval) -> Run:
    found = hall.ward.approval(approval.id)
    return hall.ward.rig.run(found.effect_run_id or "")


def opened(hall: Hall, approval: Approval, name: str = "ana", channel: str = "mail") -> httpx.Client:
    """A browser in which the person opened their link to settle it."""
    client = hall.client()
    assert client.get(f"/a/{hall.link(approval, name, channel, LinkPurpose.RESOLVE)}").status_code == 303
    return client


def csrf_of(page: str) -> str:
    return page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0] if 'name="csrf"' in page else ""


def word(page: str, **members: str) -> dict[str, str]:
    return {"csrf": csrf_of(page), "resolution": "applied", "reason": "I saw it", "pin": PIN, **members}


def settle(client: httpx.Client, approval: Approval, **members: str) -> httpx.Response:
    """Load the page, fill in the form, send it."""
    return client.post(f"/approvals/{approval.id}/resolve", data=word(page_of(client, approval), **members))


def test_from_the_mail_alone_whoever_asked_settles_it(hall_here: Hall, room: Mailroom) -> None:
    approval = stuck(hall_here)
    mails = room.after(HOUR)
    assert tokens_in(words_of(to_team(mails)[0])) == []
    (mail,) = [mail for mail in to(mails, "ana") if "A person is needed" in str(mail["Subject"])]
    (token,) = tokens_in(words_of(mail))
    client = hall_here.client()
    assert client.get(f"/a/{token}").headers["location"] == f"/approvals/{approval.id}"
    page = page_of(client, approval)
    assert page.index('name="pin"') < page.index("<h2>Why</h2>")
    assert "0 of 1 slots hold what they should" in text_of(page)
    assert settle(client, approval).status_code == 303
    run = run_of(hall_here, approval)
    assert (run.state, run.reason, run.summary) == (RunState.SUCCEEDED, "resolved_applied", "person:ana: I saw it")
    assert 'name="pin"' not in page_of(client, approval)


def test_who_may_not_resolve_gets_no_link(hall_here: Hall, room: Mailroom) -> None:
    ward = hall_here.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("vic", "viewer"), person("eve", environment="elsewhere")))
    stuck(hall_here)
    mails = [mail for mail in room.after(HOUR) if tokens_in(words_of(mail))]
    assert sorted(str(mail["To"]) for mail in mails) == ["ana@example.com", "bo@example.com", "cy@example.com"]


def test_looking_at_the_link_and_its_page_changes_nothing(hall_here: Hall) -> None:
    approval = stuck(hall_here)
    token = hall_here.link(approval, "ana", "mail", LinkPurpose.RESOLVE)
    client = hall_here.client()
    before = hall_here.picture()
    for method in ("GET", "HEAD", "OPTIONS") * 5:
        for path in (f"/a/{token}", f"/approvals/{approval.id}", f"/approvals/{approval.id}/resolve"):
            assert client.request(method, path).status_code in (200, 303, 405)
    assert hall_here.picture() == before


@pytest.mark.parametrize(
    ("members", "status", "told"),
    [
        ({"pin": "000000"}, 403, "wrong PIN"),
        ({"pin": ""}, 403, "wrong PIN"),
        ({"csrf": ""}, 403, "form was not of the page"),
        ({"resolution": "shrug"}, 422, "accepted are applied"),
        ({"reason": " "}, 422, "is empty"),
    ],
)
def test_without_the_pin_or_the_form_of_the_page_nothing_is_settled(
    hall_here: Hall, members: dict[str, str], status: int, told: str
) -> None:
    approval = stuck(hall_here)
    client = opened(hall_here, approval)
    before = hall_here.picture(COUNTING)
    answer = settle(client, approval, **members)
    assert (answer.status_code, told in text_of(answer.text)) == (status, True), answer.text
    assert hall_here.picture(COUNTING) == before


def test_wrong_pins_lock_it_as_they_lock_decisions(hall_here: Hall) -> None:
    approval = stuck(hall_here)
    client = opened(hall_here, approval)
    for _ in range(5):
        settle(client, approval, pin="000000")
    answer = settle(client, approval)
    assert (answer.status_code, "too many wrong PINs" in answer.text) == (409, True)
    assert run_of(hall_here, approval).state is RunState.NEEDS_ATTENTION


def no_grant(hall: Hall, approval: Approval) -> tuple[httpx.Client, str]:
    """It was taken away after the mail."""
    client = opened(hall, approval)
    csrf = csrf_of(page_of(client, approval))
    hall.ward.change(people=(person("ana", "viewer"), person("bo"), person("cy")))
    return client, csrf


def of_another_run(hall: Hall, approval: Approval) -> tuple[httpx.Client, str]:
    client = hall.client()
    hall.ward.meddle(7, "b")
    client.cookies.set(f"nightshift_link_{approval.id}", opened(hall, approval).cookies[f"nightshift_link_{approval.id}"][:-2])
    return client, ""


def expired(hall: Hall, approval: Approval) -> tuple[httpx.Client, str]:
    client = opened(hall, approval)
    csrf = csrf_of(page_of(client, approval))
    hall.ward.rig.clock.advance(RESOLVES_FOR)
    return client, csrf


def replaced(hall: Hall, approval: Approval) -> tuple[httpx.Client, str]:
    client = opened(hall, approval)
    csrf = csrf_of(page_of(client, approval))
    opened(hall, approval)
    return client, csrf


def used(hall: Hall, approval: Approval) -> tuple[httpx.Client, str]:
    """And the run needs a person once more."""
    client = opened(hall, approval)
    csrf = csrf_of(page_of(client, approval))
    assert settle(client, approval, resolution="retry").status_code == 303
    hall.ward.meddle(9)
    hall.ward.carry_out()
    return client, csrf


def revoked(hall: Hall, approval: Approval) -> tuple[httpx.Client, str]:
    """Somebody else had settled it, and the run needs a person once more."""
    client = opened(hall, approval)
    csrf = csrf_of(page_of(client, approval))
    verbs.resolve(hall.ward.rig.shift, run_of(hall, approval).id, ANA, "retry", "again")
    hall.ward.carry_out()
    return client, csrf


def n8n(hall: Hall, approval: Approval) -> tuple[httpx.Client, str]:
    return hall.client(hall.token(ActorKind.N8N, "canvas")), ""


@pytest.mark.parametrize("way", [no_grant, of_another_run, expired, replaced, used, revoked, n8n])
def test_a_link_that_does_not_hold_settles_nothing(
    hall_here: Hall, way: Callable[[Hall, Approval], tuple[httpx.Client, str]]
) -> None:
    approval = stuck(hall_here)
    client, csrf = way(hall_here, approval)
    assert run_of(hall_here, approval).state is RunState.NEEDS_ATTENTION
    # The audit keeps what n8n tried.
    before = hall_here.picture(without=("audit",))
    body = {"csrf": csrf, "resolution": "applied", "reason": "because", "pin": PIN}
    answer = client.post(f"/approvals/{approval.id}/resolve", data=body)
    assert answer.status_code >= 400 or answer.headers["location"] == "/login", answer.text
    assert hall_here.picture(without=("audit",)) == before


def test_a_link_for_the_decision_settles_nothing_and_one_to_settle_decides_nothing(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.opened(approval)
    csrf = csrf_of(page_of(client, approval))
    before = hall_here.picture()
    body = {"csrf": csrf, "resolution": "applied", "reason": "because", "pin": PIN}
    assert client.post(f"/approvals/{approval.id}/resolve", data=body).status_code == 404
    assert hall_here.picture() == before


def test_its_mail_says_what_was_seen_and_every_way_out_as_a_whole_command(hall_here: Hall, room: Mailroom) -> None:
    approval = stuck(hall_here)
    run = run_of(hall_here, approval)
    (mail,) = to_team([mail for mail in room.after(HOUR) if "person" in str(mail["Subject"])])
    assert str(mail["Subject"]).strip() == "A person is needed: door: unchanged: 0 of 1 slots hold what they should"
    said = words_of(mail)
    for way in ("--applied", "--not-applied", "--retry"):
        assert f'nightshift resolve {run.id} {way} --reason "…"' in said
    assert "0 of 1 slots hold what they should" in said
    assert "`" not in said


@pytest.mark.parametrize(
    ("resolution", "title"),
    [
        ("applied", "Resolved by ana: door: it is done"),
        ("not_applied", "Resolved by ana: door: it is not done, and shall not be"),
        ("retry", "Resolved by ana: door: to be tried again; what is done is not repeated"),
    ],
)
def test_everybody_who_was_called_is_told_once_who_settled_it_and_how(
    hall_here: Hall, room: Mailroom, resolution: str, title: str
) -> None:
    approval = stuck(hall_here)
    called = room.after(HOUR)
    verbs.resolve(hall_here.ward.rig.shift, run_of(hall_here, approval).id, ANA, resolution, "I looked twice")
    told = room.after(HOUR, HOUR)
    assert sorted(str(mail["To"]) for mail in told) == sorted({str(mail["To"]) for mail in called})
    assert {str(mail["Subject"]).strip() for mail in told} == {title}
    assert all("ana says: I looked twice" in words_of(mail) for mail in told)
    assert {str(mail["References"]).split()[0] for mail in told} == {str(mail["References"]) for mail in called}
    assert [tokens_in(words_of(mail)) for mail in told] == [[]] * len(told)


def test_what_a_failed_step_said_is_in_the_mail(hall_here: Hall, room: Mailroom) -> None:
    stuck(hall_here, "fails")
    (mail,) = to_team([mail for mail in room.after(HOUR) if "person" in str(mail["Subject"])])
    assert "step write-a failed" in str(mail["Subject"])
    assert "What step write-a said" in words_of(mail)
