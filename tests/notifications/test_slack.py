import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from notifications.block_kit import blocks
from notifications.channel import Amends, ChannelError, Personal
from notifications.message import Button, Field, Line, Recipient, Section
from notifications.slack import SlackChannel
from tests.notifications.values import MESSAGE, message
from tests.support.slack import CHANNEL, NO_CONTRACT, TOKEN, SlackServer, contract, slack_server

BO = Recipient("bo", "bo@example.org", {"slack": "U0000000BO"})


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with slack_server() as running:
        yield running


def channel(server: SlackServer, **options: Any) -> SlackChannel:
    given: dict[str, Any] = {"channel": CHANNEL, "token": SecretStr(TOKEN), "api_url": server.url} | options
    return SlackChannel(**given)


def test_a_message_is_posted_with_its_words_and_its_links(server: SlackServer) -> None:
    delivery = channel(server).deliver(MESSAGE)
    (posted,) = server.posted
    assert delivery.reference == f"{CHANNEL}:{posted.ts}"
    assert posted.links() == ["https://night.example.org/findings/f1"]
    assert not posted.previews
    for said in (MESSAGE.title, MESSAGE.body, "expired", "Seen at", "192.0.2.7", "https://night.example.org/runs/r1"):
        assert said in posted.words()


def test_a_message_for_one_person_goes_to_them_alone(server: SlackServer) -> None:
    assert isinstance(channel(server), Personal)
    delivery = channel(server).deliver(message(to=BO))
    assert [posted.channel for posted in server.posted] == ["D0000000BO"]
    assert delivery.reference == f"D0000000BO:{server.posted[0].ts}"
    assert channel(server).reaches(BO)


def test_somebody_without_a_slack_id_is_reached_by_nobody(server: SlackServer) -> None:
    nobody = Recipient("cy", "cy@example.org", {"matrix": "@cy"})
    assert not channel(server).reaches(nobody)
    with pytest.raises(ChannelError, match="cy has no Slack id") as refused:
        channel(server).deliver(message(to=nobody))
    assert refused.value.permanent
    assert server.calls == []


def test_a_follow_up_is_in_the_thread_of_the_first(server: SlackServer) -> None:
    for to in (None, BO):
        first = channel(server).deliver(message(to=to))
        channel(server).deliver(message(id="m2", to=to, reply_to=first.reference))
        posted = server.posted[-2:]
        assert posted[1].thread == posted[0].ts
        assert posted[1].channel == posted[0].channel


def test_a_delivered_message_is_edited_in_its_place(server: SlackServer) -> None:
    assert isinstance(channel(server), Amends)
    reference = channel(server).deliver(MESSAGE).reference
    assert reference is not None
    for _ in range(2):
        channel(server).amend(reference, message(title="Approved by bo", buttons=[]))
    (posted,) = server.posted
    assert posted.edits == 2
    assert "Approved by bo" in posted.words()
    assert posted.links() == []


def test_a_message_that_is_gone_is_not_edited_again(server: SlackServer) -> None:
    with pytest.raises(ChannelError, match="message_not_found") as gone:
        channel(server).amend(f"{CHANNEL}:1764000000.000099", MESSAGE)
    assert gone.value.permanent


def test_what_others_wrote_is_never_read_as_markup(server: SlackServer) -> None:
    channel(server).deliver(message(title="<!channel> & <http://evil.example|here>", body="<!here> *.example.com @ana"))
    (posted,) = server.posted
    assert posted.text == "&lt;!channel&gt; &amp; &lt;http://evil.example|here&gt;"
    assert '"mrkdwn"' not in posted.words()
    assert "<!here> *.example.com @ana" in posted.words()


@pytest.mark.parametrize(
    ("error", "permanent", "advice"),
    [
        ("invalid_auth", True, "xoxb-"),
        ("channel_not_found", True, "not invited"),
        ("not_in_channel", True, "/invite"),
        ("missing_scope", True, "chat:write"),
        ("is_archived", True, "archived"),
        ("internal_error", False, "internal_error"),
        ("service_unavailable", False, "service_unavailable"),
    ],
)
def test_a_refusal_says_what_to_do_and_whether_to_try_again(
    server: SlackServer, error: str, advice: str, *, permanent: bool
) -> None:
    server.error = error
    with pytest.raises(ChannelError, match=advice) as refused:
        channel(server).deliver(MESSAGE)
    assert refused.value.permanent is permanent


@pytest.mark.parametrize(("headers", "after"), [({"Retry-After": "30"}, 30.0), ({}, None), ({"Retry-After": "soon"}, None)])
def test_too_many_messages_are_tried_again_when_slack_says(
    server: SlackServer, headers: dict[str, str], after: float | None
) -> None:
    server.status, server.error, server.headers = 429, "ratelimited", headers
    with pytest.raises(ChannelError, match="fewer messages") as refused:
        channel(server).deliver(MESSAGE)
    assert (refused.value.permanent, refused.value.retry_after_seconds) == (False, after)
    assert len(server.calls) == 1


@pytest.mark.parametrize(("status", "raw"), [(502, b"<html>bad gateway"), (200, b"<html>"), (200, b"[]"), (200, b'{"ok": tr')])
def test_an_answer_that_is_not_slacks_is_tried_again(server: SlackServer, status: int, raw: bytes) -> None:
    server.status, server.raw = status, raw
    with pytest.raises(ChannelError) as refused:
        channel(server).deliver(MESSAGE)
    assert refused.value.permanent is False


def test_the_token_is_in_no_error_and_no_log(server: SlackServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for break_it in ({"error": "invalid_auth"}, {"status": 500, "raw": TOKEN.encode()}):
        vars(server).update(break_it)
        with pytest.raises(ChannelError) as refused:
            channel(server).deliver(message(to=BO, buttons=[Button("Look and decide", "https://n.example/a/canary-link")]))
        assert TOKEN not in repr(refused.value)
        assert refused.value.__cause__ is None
    assert "canary" not in caplog.text


@pytest.mark.parametrize("token", ["xoxb-1 ", "xoxb-1\nX-Evil: 1", "xöxb"])
def test_a_token_that_is_no_header_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match="the token has") as refused:
        SlackChannel(channel=CHANNEL, token=SecretStr(token))
    assert token not in str(refused.value)


def test_the_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="https://"):
        SlackChannel(channel=CHANNEL, token=SecretStr(TOKEN), api_url="http://slack.example.org/api/")


def test_the_biggest_message_keeps_the_limits_and_its_links(server: SlackServer) -> None:
    url = "https://night.example.org/approvals/" + "x" * 2_900
    big = message(
        title="t" * 1_000,
        body="b\n" * 10_000,
        output="+ <&>\n" * 10_000,
        fields=[Field("l" * 20, "v" * 5_000)] * 40,
        sections=[Section("s" * 400, [Line("w" * 900, "https://night.example.org/runs/r1")] * 60)] * 70,
        buttons=[Button("b" * 200, url)] + [Button("more", "https://night.example.org/")] * 30,
    )
    channel(server).deliver(big)
    (posted,) = server.posted
    assert len(posted.blocks) <= 50
    assert posted.links()[0] == url
    assert max(map(len, texts(posted.blocks))) <= 3_000
    assert "more lines: see the page" in posted.words()
    assert "and 50 more" in posted.words()
    assert "Left out here" in posted.words()


def test_a_link_that_no_button_can_hold_is_written_out() -> None:
    made = [block.to_dict() for block in blocks(message(buttons=[Button("Mail", "mailto:ana@example.org")]))]
    assert not [block for block in made if block["type"] == "actions"]
    assert "Mail: mailto:ana@example.org" in json.dumps(made)


@pytest.mark.skipif(contract() is None, reason=NO_CONTRACT)
def test_what_the_contract_does_not_know_is_refused_both_ways() -> None:
    known = contract()
    assert known is not None
    sent = {"content-type": "application/json"}
    good = {"channel": CHANNEL, "text": "hello"}
    assert known.of_request("POST", "/api/chat.postMessage", sent, good) == []
    for wrong in ({**good, "chanel": "x"}, {"text": "hello"}, {**good, "blocks": "[]"}, {**good, "unfurl_links": "no"}):
        assert known.of_request("POST", "/api/chat.postMessage", sent, wrong) != []
    assert known.of_request("POST", "/api/chat.post", sent, good) == ["POST /api/chat.post: no such operation"]
    assert known.of_request("POST", "/api/chat.postMessage", {"content-type": "text/xml"}, good) != []
    answer = {"ok": True, "channel": CHANNEL, "ts": "1764000000.000001", "text": "a", "message": {"text": "a"}}
    assert known.of_response("POST", "/api/chat.update", 200, answer) == []
    for bad in ({**answer, "extra": 1}, {**answer, "ts": 5}, {"ok": False, "error": "made_up"}, {"ok": True}):
        assert known.of_response("POST", "/api/chat.update", 200, bad) != []
    assert known.of_response("POST", "/api/chat.update", 418, {"ok": False, "error": "invalid_auth"}) != []


def texts(value: object) -> Iterator[str]:
    match value:
        case dict():
            for member in value.values():
                yield from texts(member)
        case list():
            for member in value:
                yield from texts(member)
        case str():
            yield value


def test_a_server_that_is_away_or_hangs_is_tried_again(server: SlackServer) -> None:
    server.hangs = True
    with pytest.raises(ChannelError, match="did not answer within 1 s") as hung:
        channel(server, timeout_seconds=1).deliver(MESSAGE)
    with pytest.raises(ChannelError, match="cannot be reached") as away:
        channel(replace(server, port=1)).deliver(MESSAGE)
    assert not hung.value.permanent
    assert not away.value.permanent
