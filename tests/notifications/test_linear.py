from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from graphql import parse, validate
from pydantic import SecretStr

from notifications.channel import Amends, ChannelError, Personal
from notifications.findings import FindingFacts, finding_message
from notifications.linear import LinearChannel
from notifications.linear.documents import DOCUMENTS
from notifications.linear.standing import client_id
from notifications.linear.words import escaped
from notifications.message import Button, Field, Line, Message, MessageKind, Section
from tests.notifications.values import CONSOLE, NOW, finding, message
from tests.support.linear import HAVE_SCHEMA, NO_SCHEMA, TEAM, TOKEN, LinearServer, linear_server, schema

pytestmark = pytest.mark.skipif(not HAVE_SCHEMA, reason=NO_SCHEMA)
MIDNIGHT = timedelta(days=1)


@pytest.fixture
def server() -> Iterator[LinearServer]:
    with linear_server() as running:
        yield running


def channel(server: LinearServer, **options: Any) -> LinearChannel:
    given: dict[str, Any] = {"team": "OPS", "token": SecretStr(TOKEN), "api_url": server.url} | options
    return LinearChannel(**given)


def opened(facts: FindingFacts | None = None) -> Message:
    return finding_message(MessageKind.FINDING_OPENED, facts or finding(), CONSOLE, now=NOW)


def resolved(facts: FindingFacts | None = None) -> Message:
    gone = facts or finding()
    return finding_message(MessageKind.FINDING_RESOLVED, gone, CONSOLE, now=NOW + MIDNIGHT)


def test_a_finding_is_an_issue_with_its_words_its_page_and_its_priority(server: LinearServer) -> None:
    delivery = channel(server).deliver(opened(finding(severity="critical")))
    issue = server.only()
    assert delivery.reference == issue["id"] == client_id(TEAM, "certificates: www.example.org:443 at 192.0.2.7: expired")
    assert delivery.detail == "made OPS-1"
    assert (issue["title"], issue["priority"]) == ("www.example.org expired 2 days ago", 1)
    assert "**Check again by hand:** openssl s\\_client" in issue["description"]
    assert f"[Open the finding](<{CONSOLE}/findings/f1>)" in issue["description"]
    assert list(server.attachments) == [(issue["id"], f"{CONSOLE}/findings/f1")]
    assert server.comments == {}


@pytest.mark.parametrize(("severity", "priority"), [("critical", 1), ("high", 2), ("medium", 3), ("low", 4), ("info", 4)])
def test_urgent_is_urgent(server: LinearServer, severity: str, priority: int) -> None:
    channel(server).deliver(opened(finding(severity=severity)))
    assert server.only()["priority"] == priority


def test_the_same_message_twice_is_said_once(server: LinearServer) -> None:
    first = channel(server).deliver(opened())
    writes = server.writes()
    assert channel(server).deliver(opened()).reference == first.reference
    reminder = finding_message(MessageKind.FINDING_REMINDED, finding(), CONSOLE, now=NOW + MIDNIGHT)
    assert channel(server).deliver(reminder).reference == channel(server).deliver(reminder).reference
    assert server.writes() == [*writes, "CreateComment"]
    assert len(server.said()) == 1
    assert "STILL OPEN, HIGH" in server.said()[0]


def test_an_issue_is_closed_once_its_finding_is_gone_and_opened_when_it_is_back(server: LinearServer) -> None:
    room = channel(server)
    room.deliver(opened())
    assert room.deliver(resolved()).detail == "commented on OPS-1, closed"
    assert server.state() == "completed"
    again = finding(opened_at=NOW + 2 * MIDNIGHT, severity="critical")
    assert room.deliver(opened(again)).detail == "commented on OPS-1, opened again"
    assert (server.state(), server.only()["priority"], len(server.said())) == ("unstarted", 1, 2)


def test_findings_with_one_cause_share_an_issue_that_is_closed_with_the_last(server: LinearServer) -> None:
    room = channel(server)
    stacks = [finding(id=f"f{n}", subject=f"stack-{n}", cause="upgrade of fakecloud to 1.1", severity="low") for n in range(3)]
    for stack in stacks:
        room.deliver(opened(stack))
    assert len(server.issues) == 1
    assert len(server.attachments) == 3
    for stack in stacks[:2]:
        room.deliver(resolved(stack))
    assert server.state() == "backlog"
    room.deliver(resolved(stacks[2]))
    assert server.state() == "completed"


def test_an_issue_of_more_findings_than_a_page_is_closed_with_the_last(server: LinearServer) -> None:
    server.page = 2
    stacks = [finding(id=f"f{n}", subject=f"stack-{n}", cause="one cause") for n in range(5)]
    for stack in stacks:
        channel(server).deliver(opened(stack))
    for stack in stacks:
        assert server.state() == "backlog"
        channel(server).deliver(resolved(stack))
    assert server.state() == "completed"


def test_findings_of_one_reason_alone_have_an_issue_each(server: LinearServer) -> None:
    for subject in ("a", "b"):
        channel(server).deliver(opened(finding(id=subject, subject=subject, cause="expired")))
    assert len(server.issues) == 2


def test_what_gets_worse_is_raised_and_nothing_is_lowered(server: LinearServer) -> None:
    room = channel(server)
    room.deliver(opened(finding(severity="medium")))
    room.deliver(opened(finding(severity="critical", title="www.example.org is down")))
    assert (server.only()["priority"], server.only()["title"]) == (1, "www.example.org is down")
    room.deliver(opened(finding(severity="low")))
    assert server.only()["priority"] == 1


def test_a_state_that_people_gave_it_stays_while_nothing_is_news(server: LinearServer) -> None:
    room = channel(server)
    room.deliver(opened())
    server.only()["state"] = "canceled"
    room.deliver(finding_message(MessageKind.FINDING_REMINDED, finding(), CONSOLE, now=NOW + MIDNIGHT))
    room.deliver(resolved())
    assert server.state() == "canceled"


@pytest.mark.parametrize("how", [{"archivedAt": "2026-11-21T00:00:00+00:00"}, {"trashed": True}])
def test_an_issue_that_was_put_away_comes_back_with_its_finding(server: LinearServer, how: dict[str, object]) -> None:
    room = channel(server)
    room.deliver(opened())
    room.deliver(resolved())
    server.only().update(how)
    room.deliver(opened(finding(opened_at=NOW + 2 * MIDNIGHT)))
    issue = server.only()
    assert (issue["archivedAt"], issue["trashed"], issue["state"]) == (None, None, "unstarted")


def test_an_issue_that_was_deleted_for_good_is_not_made_again_in_silence(server: LinearServer) -> None:
    channel(server).deliver(opened())
    server.only()["deleted"] = True
    with pytest.raises(ChannelError, match="invalid input: already there") as refused:
        channel(server).deliver(opened())
    assert refused.value.permanent


def test_what_is_over_before_it_was_told_makes_no_issue(server: LinearServer) -> None:
    assert channel(server).deliver(resolved()).detail == "OPS has no issue of it"
    assert server.issues == {}


def test_a_request_shares_the_issue_of_what_it_would_mend_and_is_edited_once_decided(server: LinearServer) -> None:
    room = channel(server)
    assert isinstance(room, Amends)
    assert not isinstance(room, Personal)
    room.deliver(opened())
    asked = request(MessageKind.APPROVAL_REQUESTED, "pending", "Approve? renew")
    reference = room.deliver(asked).reference
    assert reference is not None
    room.deliver(resolved())
    assert server.state() == "backlog", "a request still waits"
    decided = request(MessageKind.APPROVAL_DECIDED, "denied", "Denied by bo", reply_to=reference)
    for _ in range(2):
        room.amend(reference, decided)
    room.deliver(decided)
    assert (len(server.issues), server.state()) == (1, "completed")
    assert "Denied by bo" in server.said()[0]
    assert "Approve?" not in "".join(server.said())


def request(kind: MessageKind, state: str, title: str, **changes: Any) -> Message:
    given: dict[str, Any] = {
        "id": f"r1-{kind}",
        "kind": kind,
        "title": title,
        "thread": "approval-r1",
        "cause": opened().cause,
        "buttons": [Button("Open the request", f"{CONSOLE}/approvals/r1")],
        "data": {"state": state, "title": "renew"},
    }
    return message(**given | changes)


def test_a_request_that_made_its_issue_is_edited_in_its_description(server: LinearServer) -> None:
    room = channel(server)
    reference = room.deliver(request(MessageKind.APPROVAL_REQUESTED, "pending", "Approve? renew")).reference
    assert reference == server.only()["id"]
    assert reference is not None
    room.amend(reference, request(MessageKind.APPROVAL_DECIDED, "approved", "Approved by bo", body="Approved by bo"))
    assert "Approved by bo" in server.only()["description"]
    with pytest.raises(ChannelError, match="not in Linear any more") as gone:
        room.amend(f"{reference}:{client_id('nothing')}", opened())
    assert gone.value.permanent


def test_a_digest_is_a_comment_on_the_one_issue_of_reports(server: LinearServer) -> None:
    for day in ("1", "2"):
        kept = message(id=f"digest-{day}", kind=MessageKind.DIGEST, title=f"Night {day}", thread=None, data={})
        channel(server).deliver(kept)
    assert server.only()["title"] == "Night 1"
    assert [("Night 2" in said) for said in server.said()] == [True]
    assert server.attachments == {}


def test_what_others_wrote_is_never_read_as_markup(server: LinearServer) -> None:
    evil = "<img> [x](http://evil.example) @ana *b* `c` # h\n# heading\n- list\n1. one"
    channel(server).deliver(message(body=evil, output="```\nrm -rf\n````", data={}))
    text = server.only()["description"]
    assert "\\<img\\> \\[x\\](http://evil.example) \\@ana \\*b\\* \\`c\\`" in text
    assert "\\# heading" in text
    assert "`````\n```\nrm -rf\n````\n`````" in text
    assert escaped("1. a") == "\\1. a"


def test_the_biggest_message_says_what_had_to_go_and_keeps_its_links(server: LinearServer) -> None:
    big = message(
        title="t" * 1_000,
        body="b\n" * 100_000,
        output="+ <&>\n" * 100_000,
        fields=[Field("l" * 20, "v" * 50_000)] * 40,
        sections=[Section("s" * 400, [Line("w" * 900, "https://night.example.org/runs/r1")] * 600)] * 3,
        buttons=[Button("Mail", "mailto:ana@example.org"), Button("Open", "https://night.example.org/x")],
        data={},
    )
    channel(server).deliver(big)
    issue = server.only()
    assert len(issue["title"]) <= 250
    assert len(issue["description"]) < 200_000
    for said in (
        "more lines: see the page",
        "and 540 more",
        "Mail: mailto:ana\\@example.org",
        "[Open](<https://night.example.org/x>)",
    ):
        assert said in issue["description"]


# Faults


Answered = tuple[int, dict[str, str], bytes]
HTML = b"<html>bad gateway lin_api_canary_5b1e</html>"
LOST: dict[str, Callable[[bytes], Answered | None]] = {
    "html": lambda _: (200, {}, HTML),
    "gateway": lambda _: (502, {}, HTML),
    "truncated": lambda content: (200, {}, content[:-7]),
    "other": lambda _: (200, {}, b"[]"),
    "internal": lambda _: (500, {}, b'{"errors": [{"message": "x", "extensions": {"type": "internal error"}}]}'),
    "half": lambda _: (200, {}, b'{"data": {"issueCreate": null, "commentCreate": null}, "errors": [{"message": "x"}]}'),
    "late": lambda _: None,
}


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("operation", ["CreateIssue", "CreateComment"])
def test_a_write_whose_answer_is_lost_is_looked_for_and_not_sent_again(server: LinearServer, operation: str, how: str) -> None:
    room = channel(server, timeout_seconds=0.5 if how == "late" else 10)
    if operation == "CreateComment":
        room.deliver(opened())
    server.calls.clear()
    server.broken[operation] = LOST[how]
    delivery = room.deliver(opened() if operation == "CreateIssue" else resolved())
    assert delivery.detail in ("made OPS-1", "commented on OPS-1, closed")
    assert server.calls.count(operation) == 1
    assert len(server.issues) == 1


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("operation", ["Team", "Standing", "Attach", "UpdateIssue"])
def test_an_answer_that_is_lost_elsewhere_is_tried_again_and_mends_itself(server: LinearServer, operation: str, how: str) -> None:
    server.broken[operation] = LOST[how]
    news = opened(finding(severity="critical"))
    if operation == "UpdateIssue":
        channel(server).deliver(opened(finding(severity="low")))
    with pytest.raises(ChannelError) as failed:
        channel(server, timeout_seconds=0.5 if how == "late" else 10).deliver(news)
    assert not failed.value.permanent
    assert TOKEN not in repr(failed.value)
    assert failed.value.__cause__ is None
    server.broken.clear()
    channel(server).deliver(news)
    assert (server.only()["priority"], len(server.attachments)) == (1, 1)
    assert len(server.said()) == (operation == "UpdateIssue")


def test_a_write_that_did_not_happen_is_tried_again_later(server: LinearServer) -> None:
    server.refused["CreateIssue"] = (503, {}, {"type": "internal error"})
    with pytest.raises(ChannelError, match="an error of its own") as failed:
        channel(server).deliver(opened())
    assert not failed.value.permanent
    assert server.calls == ["Team", "Standing", "CreateIssue", "Standing"]
    server.refused.clear()
    channel(server).deliver(opened())
    assert len(server.issues) == 1


@pytest.mark.parametrize(("headers", "after"), [({"Retry-After": "30"}, 30.0), ({}, None), ({"Retry-After": "soon"}, None)])
@pytest.mark.parametrize("status", [200, 400, 429])
def test_too_many_requests_are_tried_again_when_linear_says(
    server: LinearServer, status: int, headers: dict[str, str], after: float | None
) -> None:
    server.refused["*"] = (status, headers, {"type": "ratelimited", "code": "RATELIMITED"})
    with pytest.raises(ChannelError, match="RATELIMITED") as refused:
        channel(server).deliver(opened())
    assert (refused.value.permanent, refused.value.retry_after_seconds) == (False, after)
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("kind", "permanent", "advice"),
    [
        ("authentication error", False, "Personal API keys"),
        ("forbidden", False, "may not write"),
        ("usage limit exceeded", False, "no more issues"),
        ("invalid input", True, "title is too long"),
        ("a kind of next year", True, "a kind of next year"),
    ],
)
def test_a_refusal_says_what_to_do_and_whether_to_try_again(
    server: LinearServer, kind: str, advice: str, *, permanent: bool
) -> None:
    server.refused["CreateIssue"] = (200, {}, {"type": kind, "userPresentableMessage": "title is too long"})
    with pytest.raises(ChannelError, match=advice) as refused:
        channel(server).deliver(opened())
    assert refused.value.permanent is permanent


def test_states_of_a_kind_that_nobody_knew_are_open_ones(server: LinearServer) -> None:
    room = channel(server)
    room.deliver(opened())
    server.state_types |= {"backlog": "a state of next year", "unstarted": "another"}
    room.deliver(resolved())
    assert server.state() == "completed"


def test_the_state_that_closes_may_be_named_and_is_refused_when_it_is_none(server: LinearServer) -> None:
    channel(server).deliver(opened())
    with pytest.raises(ChannelError, match="has no state 'Shipped'") as refused:
        channel(server, done="Shipped").deliver(resolved())
    assert not refused.value.permanent
    channel(server, done="Duplicate").deliver(resolved())
    assert server.state() == "duplicate"


def test_a_team_that_is_not_there_is_named(server: LinearServer) -> None:
    with pytest.raises(ChannelError, match="no team with the key 'WEB'") as refused:
        channel(server, team="WEB").deliver(opened())
    assert refused.value.permanent


def test_attachments_of_others_are_left_alone(server: LinearServer) -> None:
    channel(server).deliver(opened())
    issue = server.only()["id"]
    foreign = {"url": "https://example.org/pr/1", "title": "a pull request", "subtitle": None, "metadata": {"state": "open"}}
    server.attachments[issue, "https://example.org/pr/1"] = foreign
    channel(server).deliver(resolved())
    assert server.state() == "completed"
    assert server.attachments[issue, "https://example.org/pr/1"] == foreign


def test_a_server_that_is_away_is_tried_again(server: LinearServer) -> None:
    with pytest.raises(ChannelError, match="cannot be reached: ConnectionError") as away:
        channel(server, api_url="http://127.0.0.1:1/graphql").deliver(opened())
    assert not away.value.permanent


def test_nothing_is_printed_and_the_token_is_in_no_error_and_no_log(
    server: LinearServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    with pytest.raises(ChannelError) as refused:
        channel(server, token=SecretStr("lin_api_canary_wrong")).deliver(opened())
    for broken in LOST.values():
        server.broken = {"Standing": broken}
        with pytest.raises(ChannelError):
            channel(server, timeout_seconds=0.3).deliver(opened())
    assert "canary" not in repr(refused.value) + caplog.text + repr(channel(server))
    assert capfd.readouterr() == ("", "")


def test_a_netrc_does_not_take_the_place_of_the_token(
    server: LinearServer, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))  # the environment is what is tested
    channel(server).deliver(opened())
    assert len(server.issues) == 1


@pytest.mark.parametrize("token", ["lin_api_1 ", "lin_api_1\nX-Evil: 1", "lin_äpi", ""])
def test_a_token_that_is_no_header_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match="the token is empty, or has") as refused:
        LinearChannel(team="OPS", token=SecretStr(token))
    assert not token or token not in str(refused.value)


def test_the_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="https://"):
        LinearChannel(team="OPS", token=SecretStr(TOKEN), api_url="http://linear.example.org/graphql")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda text: text.split("(")[0].split()[1])
def test_every_document_holds_against_the_schema_that_linear_publishes(document: str) -> None:
    assert validate(schema(), parse(document)) == []


def test_what_the_schema_does_not_know_is_refused_both_ways() -> None:
    server = LinearServer()
    good = 'mutation A { commentUpdate(id: "x", input: { body: "b" }) { success } }'
    for wrong in (good.replace("body:", "bodi:"), good.replace("success", "succes"), good.replace('"b"', "1")):
        server.violations.clear()
        server.comments["x"] = {"id": "x", "issue": "i", "body": ""}
        server.answer(wrong, {})
        assert server.violations != []
    query = 'query A { issues(filter: {id: {eq: "i"}}, includeArchived: true) { nodes { identifier archivedAt } } }'
    row = {"id": "i", "identifier": "OPS-1", "title": "t", "state": "backlog", "archivedAt": None}
    for bad in ({"identifier": None}, {"archivedAt": "yesterday"}, {}):
        server.violations.clear()
        server.issues["i"] = row | bad
        server.answer(query, {})
        assert bool(server.violations) is bool(bad)
