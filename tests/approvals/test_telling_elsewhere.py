"""Requests on Slack and by webhook, and a channel that is slow."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from notifications.config import RouteConfig
from tasks.testing import FakeSecrets
from tests.approvals.mailroom import CONSOLE, Mailroom, routes, tokens_in
from tests.approvals.ward import Ward, person, rule
from tests.notifications.web import WebServer, web_server
from tests.support.mail import MailServer, mail_server
from tests.support.slack import CHANNEL, TOKEN, Posted, SlackServer, slack_server
from tests.support.waiting import until
from worker.flow.linking import open_link
from worker.policy import Policy
from worker.records import Choice, DeliveryState

HOUR = timedelta(hours=1)
HOOK_SECRET = "0123456789abcdef"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as running:
        yield running


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


@pytest.fixture
def room(ward_here: Ward, mail: MailServer, slack: SlackServer, web: WebServer) -> Mailroom:
    """Everything goes to Slack, and bo and cy get direct messages."""
    ward_here.rig.clock.now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    ids = {"bo": "U0000000BO", "cy": "U0000000CY"}
    people = [
        person(name).model_copy(update={"chat": {"slack": ids[name]} if name in ids else {}}) for name in ("ana", "bo", "cy")
    ]
    ward_here.change(people=tuple(people))
    secrets = ward_here.rig.shift.providers.secrets
    assert isinstance(secrets, FakeSecrets)
    secrets.values |= {"env:SLACK": TOKEN, "env:HOOK_SECRET": HOOK_SECRET}
    channels = {
        "chat": {"kind": "slack", "channel": CHANNEL, "token": "env:SLACK", "api_url": slack.url},
        "hook": {"kind": "webhook", "url": web.url, "secret": "env:HOOK_SECRET"},
    }
    ways = {"channels": ["chat"], "match": {"jobs": ["slots"]}}
    return Mailroom(ward_here, mail, routes(mail, ways, channels=channels, approvals={"personal": ["chat"]}))


def requests_in(slack: SlackServer) -> dict[str, Posted]:
    return {posted.channel: posted for posted in slack.posted if posted.thread is None and "write 1 slots" in posted.text}


def follow_ups(slack: SlackServer, first: Posted) -> list[str]:
    return [posted.text for posted in slack.posted if posted.thread == first.ts and posted.channel == first.channel]


def test_the_channel_gets_the_page_and_each_decider_their_own_link(room: Mailroom, slack: SlackServer) -> None:
    approval = room.ward.ask()
    room.after()
    told = requests_in(slack)
    assert set(told) == {CHANNEL, "D0000000BO", "D0000000CY"}
    assert told[CHANNEL].links()[0] == f"{CONSOLE}/approvals/{approval.id}"
    assert tokens_in(told[CHANNEL].words() + told[CHANNEL].text) == []
    for conversation, name in (("D0000000BO", "bo"), ("D0000000CY", "cy")):
        (token,) = tokens_in(told[conversation].links()[0])
        assert open_link(room.ward.rig.shift, token).person == name
        assert token not in room.ledger()
    for fact in ("door in prod", "wrong_value", "medium", "bo, cy", "Wed 25 Nov 2026 17:00 UTC", "Cannot be undone"):
        assert fact in told[CHANNEL].words()


def test_once_decided_the_first_message_says_so_and_the_thread_goes_on(room: Mailroom, slack: SlackServer) -> None:
    approval = room.ward.ask()
    room.after()
    room.ward.say(approval)
    room.after()
    for first in requests_in(slack).values():
        assert first.text == "Approved by bo: write 1 slots"
        assert first.edits == 1
        assert tokens_in(first.words()) == []
        assert follow_ups(slack, first) == ["Approved by bo: write 1 slots"]
    room.ward.carry_out()
    room.after(HOUR)
    for first in requests_in(slack).values():
        assert first.text == "Verified: write 1 slots"
        assert first.edits == 2
        assert follow_ups(slack, first) == ["Approved by bo: write 1 slots", "Verified: write 1 slots"]
    assert room.left() == 0


def test_who_has_still_to_agree_keeps_their_link(room: Mailroom, slack: SlackServer) -> None:
    room.ward.change(policy=Policy(rules=(rule(approvers=2),)))
    approval = room.ward.ask()
    room.after()
    room.ward.say(approval, "bo")
    room.after()
    still = requests_in(slack)["D0000000CY"]
    assert still.edits == 0
    assert open_link(room.ward.rig.shift, tokens_in(still.links()[0])[0]).person == "cy"
    assert follow_ups(slack, still) == ["1 of 2 agreed: write 1 slots"]


def test_an_edit_that_fails_for_a_while_is_tried_again_and_the_thread_is_told_once(room: Mailroom, slack: SlackServer) -> None:
    approval = room.ward.ask()
    room.after()
    slack.error = "service_unavailable"
    room.ward.say(approval, choice=Choice.DENY)
    room.after(HOUR)
    slack.error = None
    room.after(HOUR, HOUR)
    for first in requests_in(slack).values():
        assert first.text == "Denied by bo: write 1 slots"
        assert first.edits == 1
        assert follow_ups(slack, first) == ["Denied by bo: write 1 slots"]


def test_a_late_yes_is_not_shown_over_the_end_of_its_run(room: Mailroom, slack: SlackServer) -> None:
    approval = room.ward.ask()
    room.after()
    slack.error = "service_unavailable"
    room.ward.say(approval)
    room.after()
    slack.error = None
    room.ward.carry_out()
    room.after(timedelta(0), HOUR)
    for first in requests_in(slack).values():
        assert first.text == "Verified: write 1 slots"
        assert set(follow_ups(slack, first)) == {"Approved by bo: write 1 slots", "Verified: write 1 slots"}


def test_a_message_that_somebody_deleted_is_not_edited_and_its_thread_is_told(room: Mailroom, slack: SlackServer) -> None:
    approval = room.ward.ask()
    room.after()
    firsts = list(requests_in(slack).values())
    slack.posted.clear()
    room.ward.say(approval)
    room.after(HOUR)
    assert {(posted.thread, posted.text) for posted in slack.posted} == {
        (first.ts, "Approved by bo: write 1 slots") for first in firsts
    }
    edits = [row for row in room.deliveries(approval.id) if row.channel.endswith(", edit")]
    assert {(row.state, row.attempts) for row in edits} == {(DeliveryState.FAILED, 1)}
    assert room.left() == 0


def test_slack_is_asked_again_no_sooner_than_it_wants(room: Mailroom, slack: SlackServer) -> None:
    slack.status, slack.error, slack.headers = 429, "ratelimited", {"Retry-After": "1800"}
    room.ward.ask()
    room.after()
    before = len(slack.calls)
    slack.status, slack.error, slack.headers = 200, None, {}
    room.after(timedelta(minutes=29))
    assert len(slack.calls) == before
    room.after(timedelta(minutes=2))
    assert set(requests_in(slack)) == {CHANNEL, "D0000000BO", "D0000000CY"}


def test_a_webhook_carries_the_same_facts_signed_and_no_link_of_a_person(room: Mailroom, web: WebServer) -> None:
    room.config = room.config.model_copy(update={"routes": routes_to(room, "hook")})
    approval = room.ward.ask()
    room.after()
    room.ward.say(approval)
    room.after()
    room.ward.carry_out()
    room.after(HOUR)
    events = {}
    for _, headers, body in web.requests:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.digest(HOOK_SECRET.encode(), signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"
        assert tokens_in(body.decode()) == []
        events[json.loads(body)["type"]] = json.loads(body)["data"]
    assert list(events)[1:] == ["approval.requested", "approval.decided", "remediation.ended"]
    facts = events["approval.requested"]["facts"]
    assert (facts["id"], facts["risk"], facts["deciders"]) == (approval.id, "medium", ["bo", "cy"])
    assert facts["simulation"].startswith("- ")
    assert events["approval.decided"]["facts"]["decisions"][0]["person"] == "bo"
    assert events["remediation.ended"]["facts"]["verdict"] == "verified"


def routes_to(room: Mailroom, channel: str) -> tuple[RouteConfig, ...]:
    return tuple(route.model_copy(update={"channels": (channel,)}) for route in room.config.routes)


def test_a_channel_that_hangs_holds_up_nobody_elses_messages(room: Mailroom, slack: SlackServer, mail: MailServer) -> None:
    tables = room.config.model_dump()["channels"]
    room.config = routes(mail, {"channels": ["mail", "chat"]}, channels={"chat": tables["chat"]}, approvals={"personal": []})
    slack.hangs = True
    approval = room.ward.ask()
    step = threading.Thread(target=room.relay.step)
    step.start()
    try:
        until(
            "the mail is sent",
            lambda: ("mail", DeliveryState.SENT) in {(row.channel, row.state) for row in room.deliveries(approval.id)},
        )
        assert step.is_alive()
    finally:
        slack.released.set()
        step.join()
