"""Who is told of a request, by which link, and how it goes on; over a real mail server."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.approvals.mailroom import CONSOLE, Mailroom, mail_table, routes, text_of, to, to_team, tokens_in
from tests.approvals.ward import PROD, Ward, door, person, rule
from tests.support.mail import MailServer, mail_server
from worker.flow import expiring
from worker.flow.errors import Refused
from worker.flow.linking import open_link
from worker.policy import Policy
from worker.records import ApprovalState, Choice, DeliveryState
from worker.relay import MessageRelay
from worker.tokens import hash_token

HOUR = timedelta(hours=1)
TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture
def room(ward_here: Ward, server: MailServer) -> Mailroom:
    ward_here.rig.clock.now = TUESDAY
    return Mailroom(ward_here, server, routes(server))


def test_each_decider_gets_a_link_of_their_own_and_the_team_the_page(ward: Ward, server: MailServer) -> None:
    ward.rig.clock.now = TUESDAY
    room = Mailroom(ward, server, routes(server))
    approval = ward.ask()
    mails = room.after()
    (team,) = to_team(mails)
    assert tokens_in(text_of(team)) == []
    assert f"{CONSOLE}/approvals/{approval.id}" in text_of(team)
    opened = []
    for name in ("bo", "cy"):
        (mail,) = to(mails, name)
        (token,) = tokens_in(text_of(mail))
        link = open_link(ward.rig.shift, token)
        opened.append((link.person, link.approval_id, link.channel))
        assert f'href="{CONSOLE}/a/{token}"' in text_of(mail, "html")
    assert opened == [("bo", approval.id, "mail"), ("cy", approval.id, "mail")]
    assert len({str(mail["Message-ID"]) for mail in mails}) == 3
    assert room.left() == 0


def test_whoever_asked_gets_no_link(room: Mailroom) -> None:
    room.ward.ask()
    assert to(room.after(), "ana") == []


def test_a_mail_says_all_that_a_decision_needs(room: Mailroom) -> None:
    approval = room.ward.ask()
    (mail,) = to(room.after(), "bo")
    assert str(mail["Subject"]) == "Approve? write 1 slots (prod, medium risk)"
    for kind in ("plain", "html"):
        said = text_of(mail, kind)
        for fact in (
            "door in prod",  # where
            "wrong_value",  # why
            "high: slot a of door does not hold 1",
            "- " + str(room.ward.folder),  # the simulation
            "medium",
            "every request counts as medium or more",
            "Cannot be undone",
            "bo, cy",
            "Wed 25 Nov 2026 17:00 UTC",
            approval.digest[:12],
        ):
            assert fact in said, (kind, fact)
    html = text_of(mail, "html")
    assert len(html.encode()) < 30_000
    assert "<img" not in html
    assert set(re.findall(r'href="([^"]+)"', html)) == {f"{CONSOLE}/a/{tokens_in(html)[0]}"}


def test_the_end_is_told_in_the_zone_of_the_deciders_and_in_utc(room: Mailroom) -> None:
    policy = Policy.model_validate({"rules": [rule().model_dump()], "working_hours": {"timezone": "Europe/Zurich"}})
    room.ward.change(policy=policy)
    room.ward.ask()
    (mail,) = to(room.after(), "bo")
    assert "Wed 25 Nov 2026 17:00 CET (16:00 UTC)" in text_of(mail)


def test_the_token_is_kept_nowhere(room: Mailroom, capsys: pytest.CaptureFixture[str]) -> None:
    room.server.recipient_answers = {"cy@example.com": "550 no such user"}
    room.ward.ask()
    (token,) = tokens_in(text_of(to(room.after(HOUR), "bo")[0]))
    kept = room.ledger()
    assert hash_token(token) in kept
    assert token not in kept
    told = capsys.readouterr()
    assert token not in told.out + told.err


def test_a_server_that_repeats_the_link_in_its_refusal_does_not_get_it_into_the_ledger(
    room: Mailroom, capsys: pytest.CaptureFixture[str]
) -> None:
    room.server.quotes = r"http\S+/a/\S+"
    approval = room.ward.ask()
    assert to(room.after(), "bo") == []
    kept = room.ledger()
    told = capsys.readouterr()
    assert len(room.server.quoted) == 2
    for link in room.server.quoted:
        assert tokens_in(link)[0] not in kept + told.out + told.err
    assert "not kept" in next(row.detail for row in room.deliveries(approval.id) if row.channel == "mail>bo")


def test_another_attempt_has_another_link_under_the_same_message_id(room: Mailroom) -> None:
    room.server.forgets = True
    room.ward.ask()
    (first,) = to(room.after(), "bo")
    room.server.forgets = False
    (second,) = to(room.after(HOUR), "bo")
    assert first["Message-ID"] == second["Message-ID"]
    (dead,), (alive,) = tokens_in(text_of(first)), tokens_in(text_of(second))
    with pytest.raises(Refused, match="void since"):
        open_link(room.ward.rig.shift, dead)
    assert open_link(room.ward.rig.shift, alive).person == "bo"


def test_each_is_told_once_whatever_becomes_of_the_others(room: Mailroom) -> None:
    room.server.recipient_answers = {"cy@example.com": "450 try later"}
    approval = room.ward.ask()
    assert [str(mail["To"]) for mail in room.after(HOUR, HOUR)] == ["team@example.org", "bo@example.com"]
    room.server.recipient_answers = {}
    assert [str(mail["To"]) for mail in room.after(HOUR, HOUR)] == ["cy@example.com"]
    assert {row.channel: row.state for row in room.deliveries(approval.id)} == dict.fromkeys(
        ("mail", "mail>bo", "mail>cy"), DeliveryState.SENT
    )
    assert room.left() == 0


def test_two_relays_tell_once(room: Mailroom) -> None:
    room.ward.ask()
    other = MessageRelay(room.ward.rig.shift, lambda: room.config, lambda: CONSOLE)
    mails = room.after()
    other.step()
    assert len(mails) == 3
    assert room.after(HOUR) == []


def test_many_relays_at_once_tell_each_once(ward: Ward, server: MailServer) -> None:
    ward.rig.clock.now = TUESDAY
    doors = {f"door{n}": door(ward.folder).model_copy(update={"name": f"door{n}"}) for n in range(8)}
    ward.change(tables={"slots": doors})
    ward.rig.look("slots")
    room = Mailroom(ward, server, routes(server, {"channels": ["mail"], "match": {"severity": "critical"}}))
    relays = [MessageRelay(ward.rig.shift, lambda: room.config, lambda: CONSOLE) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(relay.step) for relay in relays]:
            done.result()
    assert Counter(str(mail["To"]) for mail in server.mails) == {"bo@example.com": 8, "cy@example.com": 8}
    assert len({str(mail["Message-ID"]) for mail in server.mails}) == 16
    assert all(open_link(ward.rig.shift, tokens_in(text_of(mail))[0]) for mail in server.mails)
    assert room.left() == 0


def test_a_proposal_gives_nobody_a_link_and_says_that_nothing_is_done(room: Mailroom) -> None:
    room.ward.change(modes={PROD: "propose"})
    approval = room.ward.ask()
    (mail,) = room.after()
    assert str(mail["Subject"]) == "Proposed: write 1 slots"
    assert "Nothing will be done" in text_of(mail)
    assert tokens_in(text_of(mail)) == []
    assert [row.channel for row in room.deliveries(approval.id)] == ["mail"]


def test_what_is_decided_before_it_is_told_is_not_asked(room: Mailroom) -> None:
    room.ward.say(room.ward.ask(), choice=Choice.DENY)
    assert room.after(HOUR) == []
    assert room.left() == 0


def test_a_decision_is_told_in_the_thread_to_everybody_who_was_asked(room: Mailroom) -> None:
    approval = room.ward.ask()
    asked = room.after()
    room.ward.say(approval)
    told = room.after(HOUR)
    assert {str(mail["Subject"]) for mail in told} == {"Approved by bo: write 1 slots"}
    assert len(told) == 3
    for first, second in zip(sorted(asked, key=_to), sorted(told, key=_to), strict=True):
        assert second["In-Reply-To"] == first["Message-ID"]
        assert second["References"] == f"<approval-{approval.id}@example.org> {first['Message-ID']}"
        assert "Approved by bo on Tue 24 Nov 2026 10:00 UTC, by page: it must be" in text_of(second)
        assert tokens_in(text_of(second)) == []


def test_a_denial_says_who_and_why(room: Mailroom) -> None:
    approval = room.ward.ask()
    room.after()
    room.ward.say(approval, choice=Choice.DENY, reason="not on a Tuesday")
    (mail,) = to(room.after(), "cy")
    assert str(mail["Subject"]) == "Denied by bo: write 1 slots"
    assert "not on a Tuesday" in text_of(mail)
    assert "Nothing was done." in text_of(mail)


def test_who_was_never_asked_is_not_told_of_the_end(room: Mailroom) -> None:
    room.server.recipient_answers = {"cy@example.com": "550 no such user"}
    approval = room.ward.ask()
    room.after()
    room.server.recipient_answers = {}
    room.ward.say(approval)
    assert to(room.after(HOUR), "cy") == []


def test_a_verified_repair_ends_the_thread(room: Mailroom) -> None:
    approval = room.ward.ask()
    room.after()
    room.ward.say(approval)
    room.after()
    room.ward.carry_out()
    told = room.after(HOUR)
    assert {str(mail["Subject"]) for mail in told} == {"Verified: write 1 slots"}
    assert len(told) == 3
    assert {str(mail["References"]).split()[0] for mail in told} == {f"<approval-{approval.id}@example.org>"}


def test_a_repair_that_needs_a_person_is_told_in_the_thread_with_its_runbook(room: Mailroom) -> None:
    room.ward.entry(behaviour="does_nothing")
    approval = room.ward.ask()
    room.after()
    room.ward.say(approval)
    room.after()
    room.ward.carry_out()
    told = room.after(HOUR)
    assert len(to(told, "bo")) == len(to(told, "cy")) == len(to_team(told)) == 1
    (run,) = room.ward.effect_runs()
    assert f"nightshift resolve {run.id}" in text_of(told[0])
    assert "What to do" in text_of(told[0])
    assert f"{CONSOLE}/runbooks#{run.reason}" in text_of(told[0])


def test_what_nobody_answers_is_told_as_a_no(room: Mailroom) -> None:
    approval = room.ward.ask()
    room.after()
    room.ward.rig.clock.now = approval.expires_at
    expiring.expire_due(room.ward.rig.shift)
    (mail,) = to(room.after(), "bo")
    assert str(mail["Subject"]) == "Expired: write 1 slots"
    assert "that is a no. Nothing was done." in text_of(mail)
    assert f"{CONSOLE}/runbooks#expired" in text_of(mail)


def test_a_reminder_goes_to_those_who_have_not_decided_with_a_fresh_link(room: Mailroom) -> None:
    room.ward.change(policy=Policy(rules=(rule(approvers=2),)))
    approval = room.ward.ask()
    asked = room.after()
    room.ward.say(approval, "bo")
    (partly,) = to(room.after(), "cy")
    assert str(partly["Subject"]) == "1 of 2 agreed: write 1 slots"
    assert "1 more must agree" in text_of(partly)
    assert approval.remind_at is not None
    room.ward.rig.clock.now = approval.remind_at
    expiring.remind_due(room.ward.rig.shift)
    told = room.after()
    assert to(told, "bo") == []
    (mail,) = to(told, "cy")
    assert str(mail["Subject"]).startswith("Still to decide: write 1 slots")
    assert mail["In-Reply-To"] == to(asked, "cy")[0]["Message-ID"]
    (token,) = tokens_in(text_of(mail))
    assert open_link(room.ward.rig.shift, token).person == "cy"


def test_what_moved_since_it_was_asked_before_is_shown(room: Mailroom) -> None:
    first = room.ward.ask()
    room.after()
    room.ward.meddle(7)
    second = room.ward.ask()
    mails = to(room.after(), "bo")
    assert {str(mail["Subject"]).partition(" ")[0] for mail in mails} == {"Superseded:", "Approve?"}
    asked = next(mail for mail in mails if str(mail["Subject"]).startswith("Approve?"))
    assert "steps.0.before: 0 → 7" in text_of(asked)
    assert first.id != second.id


def test_quiet_hours_hold_for_people_too_unless_a_route_minds_none(room: Mailroom) -> None:
    quiet = {"start": "22:00", "end": "07:00"}
    room.config = routes(room.server, quiet_hours=quiet)
    room.ward.rig.clock.now = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    room.ward.ask()
    assert room.after(HOUR, HOUR) == []
    room.config = routes(room.server, {"channels": ["mail"], "quiet": False}, quiet_hours=quiet)
    room.ward.rig.clock.now = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
    assert len(room.after()) == 3
    room.ward.rig.clock.now = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
    room.ward.meddle(7)
    room.ward.ask()
    assert len(to(room.after(), "bo")) == 2


def test_routes_choose_by_environment_and_risk_and_may_leave_requests_out(room: Mailroom) -> None:
    other = {"other": {**mail_table(room.server), "recipients": ["risky@example.org"]}}
    ways = (
        {"channels": ["other"], "match": {"severity": "high"}},
        {"channels": ["other"], "approvals": False},
        {"channels": ["mail"], "match": {"environments": [PROD], "severity": "medium"}},
    )
    room.config = routes(room.server, *ways, channels=other, approvals={"personal": []})
    room.ward.ask()
    assert [str(mail["To"]) for mail in room.after()] == ["team@example.org"]


def test_a_decider_without_an_address_is_named_in_the_log(room: Mailroom, capsys: pytest.CaptureFixture[str]) -> None:
    room.ward.change(people=(person("ana"), person("bo").model_copy(update={"email": None})))
    room.ward.ask()
    assert to(room.after(), "bo") == []
    assert "decider_unreachable" in capsys.readouterr().out


def test_beyond_the_cap_the_rest_is_one_summary_without_any_link_of_a_person(room: Mailroom) -> None:
    tables = {"slots": {f"door{n}": door(room.ward.folder).model_copy(update={"name": f"door{n}"}) for n in range(4)}}
    room.ward.change(tables=tables)
    room.config = routes(room.server, {"channels": ["mail"], "match": {"severity": "critical"}}, caps={"mail": 2})
    room.ward.rig.look("slots")
    room.relay.step()
    mails = to(room.server.mails, "bo")
    assert [str(mail["Subject"]).partition(" ")[0] for mail in mails] == ["Approve?", "Approve?", "and"]
    assert tokens_in(text_of(mails[2])) == []
    assert len(room.ward.approvals(ApprovalState.PENDING)) == 4


def _to(mail: object) -> str:
    return str(mail["To"])  # type: ignore[index]
