"""What the routes say becomes mails, each once, over a real mail server."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.config import RoutesConfig
from tasks.context import Context, Entry
from tasks.model import Answer, Finding, Severity
from tasks.testing import FakeSecrets
from tests.flow.conftest import Script, found, ok
from tests.support.mail import MailServer, mail_server
from tests.support.shift import ANA, Rig
from worker.flow import verbs
from worker.ledger import findings, outbox, telling
from worker.ledger.rows import new_id
from worker.records import DeliveryRow, DeliveryState, RunState, Topic
from worker.relay import MessageRelay

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


Routing = Callable[..., RoutesConfig]


@pytest.fixture
def routing(server: MailServer) -> Routing:
    """Routes to `mail`, a real server, and `other`, where nobody listens to our words."""

    def make(*routes: dict[str, Any], **members: Any) -> RoutesConfig:
        mail = {"kind": "email", "host": "127.0.0.1", "port": server.port, "security": "none", "sender": "night@example.org"}
        channels = {
            "mail": {**mail, "recipients": ["ana@example.org"]},
            "other": {**mail, "recipients": ["bob@example.org"]},
            "locked": {**mail, "recipients": ["eve@example.org"], "username": "night", "password": "env:SMTP_PASSWORD"},
            "hook": {"kind": "webhook", "url": "env:HOOK", "secret": "env:HOOK_SECRET"},
        }
        return RoutesConfig.model_validate({"channels": channels, "routes": routes or [{"channels": ["mail"]}], **members})

    return make


class Post:
    """The relay with routes that may change, and what arrived."""

    def __init__(self, rig: Rig, config: RoutesConfig, server: MailServer) -> None:
        self.config = config
        self.rig = rig
        self.server = server
        self.relay = MessageRelay(rig.shift, lambda: self.config, lambda: "http://127.0.0.1:8080")

    def after(self, *pauses: timedelta) -> list[str]:
        """Subjects that arrived in one step now, and one after each pause."""
        before = len(self.server.mails)
        self.relay.step()
        for pause in pauses:
            self.rig.clock.advance(pause)
            self.relay.step()
        return [str(mail["Subject"]) for mail in self.server.mails[before:]]

    def deliveries(self) -> list[DeliveryRow]:
        with self.rig.ledger.read() as connection:
            return telling.deliveries(connection)

    def left(self) -> int:
        with self.rig.ledger.read() as connection:
            return outbox.depth(connection).get(Topic.MESSAGE, (0, None))[0]


@pytest.fixture
def post(rig: Rig, routing: Routing, server: MailServer) -> Post:
    rig.clock.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    return Post(rig, routing(), server)


def at(severity: Severity) -> Callable[[Context, Entry], list[Answer]]:
    return lambda _, entry: [
        Finding(entry=entry.name, subject=entry.name, key="k", reason="r", severity=severity, title=f"{entry.name} is off")
    ]


def look(rig: Rig, *entries: str) -> None:
    rig.look(entries=list(entries or ["s00"]))


def test_a_finding_is_told_once_and_its_end_to_who_knew(rig: Rig, post: Post, script: Script) -> None:
    script["s00"] = found
    look(rig)
    assert post.after(HOUR) == ["HIGH: s00 expired"]
    look(rig)
    assert post.after(HOUR) == []
    script["s00"] = ok
    look(rig)
    assert post.after(HOUR) == ["RESOLVED: s00 expired"]
    assert post.left() == 0
    assert {row.state for row in post.deliveries()} == {DeliveryState.SENT}


def test_what_comes_back_is_told_again(rig: Rig, post: Post, script: Script) -> None:
    for look_at in (found, ok, found):
        script["s00"] = look_at
        look(rig)
        post.after()
        rig.clock.advance(HOUR)
    assert [str(mail["Subject"]).partition(":")[0] for mail in post.server.mails] == ["HIGH", "RESOLVED", "HIGH"]
    assert len({mail["Message-ID"] for mail in post.server.mails}) == 3
    assert len({mail["References"] for mail in post.server.mails}) == 1


def test_what_got_worse_is_told_under_an_id_of_its_own(rig: Rig, post: Post, script: Script) -> None:
    for severity in (Severity.MEDIUM, Severity.CRITICAL):
        script["s00"] = at(severity)
        look(rig)
        post.after()
    assert [str(mail["Subject"]) for mail in post.server.mails] == ["MEDIUM: s00 is off", "CRITICAL: s00 is off"]
    assert len({mail["Message-ID"] for mail in post.server.mails}) == 2


def test_two_pieces_of_news_before_the_first_is_told_are_one_mail(rig: Rig, post: Post, script: Script) -> None:
    for severity in (Severity.MEDIUM, Severity.CRITICAL):
        script["s00"] = at(severity)
        look(rig)
    assert post.after(HOUR, HOUR) == ["CRITICAL: s00 is off"]
    assert post.left() == 0


def test_who_was_never_told_is_not_told_of_the_end(rig: Rig, post: Post, script: Script) -> None:
    script["s00"] = found
    look(rig)
    script["s00"] = ok
    look(rig)
    assert post.after(HOUR) == []
    assert post.left() == 0


def test_a_finding_that_stays_open_is_told_again_as_the_route_says(
    rig: Rig, post: Post, routing: Routing, script: Script
) -> None:
    post.config = routing({"channels": ["mail"], "again_after": "24h"})
    script["s00"] = found
    look(rig)
    told = post.after(*[HOUR] * 49)
    assert told == ["HIGH: s00 expired", "STILL OPEN, HIGH: s00 expired", "STILL OPEN, HIGH: s00 expired"]
    verbs.acknowledge(rig.shift, rig.findings()[0].id, ANA)
    assert post.after(*[HOUR] * 30) == []
    assert post.left() == 0


def test_a_mute_that_ended_is_told_anew(rig: Rig, post: Post, script: Script) -> None:
    script["s00"] = found
    look(rig)
    post.after()
    verbs.mute(rig.shift, rig.findings()[0].id, ANA, "known", rig.clock() + HOUR)
    rig.clock.advance(HOUR)
    verbs.reopen_mutes(rig.shift)
    assert post.after() == ["HIGH: s00 expired"]
    assert len({mail["Message-ID"] for mail in post.server.mails}) == 2


def test_quiet_hours_are_waited_for_and_what_ended_in_them_is_not_told(
    rig: Rig, post: Post, routing: Routing, script: Script
) -> None:
    post.config = routing({"channels": ["mail"]}, quiet_hours={"start": "22:00", "end": "07:00"})
    rig.clock.now = datetime(2026, 11, 21, 23, 0, tzinfo=UTC)
    script.update(s00=found, s01=found)
    look(rig, "s00", "s01")
    assert post.after(*[HOUR] * 7) == []
    script["s01"] = ok
    look(rig, "s01")
    assert post.after(HOUR) == ["HIGH: s00 expired"]


def test_a_route_that_minds_no_quiet_hours_tells_at_once(rig: Rig, post: Post, routing: Routing, script: Script) -> None:
    post.config = routing({"channels": ["mail"], "quiet": False}, quiet_hours={"start": "22:00", "end": "07:00"})
    rig.clock.now = datetime(2026, 11, 21, 23, 0, tzinfo=UTC)
    script["s00"] = found
    look(rig)
    assert post.after() == ["HIGH: s00 expired"]


def test_beyond_the_cap_the_rest_is_one_summary_and_its_end_is_told_to_who_read_it(
    rig: Rig, post: Post, routing: Routing, script: Script
) -> None:
    post.config = routing({"channels": ["mail"]}, caps={"mail": 3})
    names = [f"s{n:02}" for n in range(10)]
    script.update(dict.fromkeys(names, found))
    look(rig, *names)
    told = post.after()
    assert told[3:] == ["and 7 more"]
    assert len(told) == 4
    assert post.left() == 0
    rig.clock.advance(2 * HOUR)
    script["s09"] = ok
    look(rig, "s09")
    assert post.after() == ["RESOLVED: s09 expired"]


def test_a_server_that_is_away_is_tried_again_under_the_same_id(rig: Rig, post: Post, script: Script) -> None:
    post.server.answer = "451 try later"
    script["s00"] = found
    look(rig)
    assert post.after(timedelta(seconds=5)) == []
    [delivery] = post.deliveries()
    assert (delivery.state, delivery.attempts) == (DeliveryState.SENDING, 2)
    assert "451 try later" in delivery.detail
    post.server.answer = "250 kept"
    assert post.after(HOUR) == ["HIGH: s00 expired"]
    [delivery] = post.deliveries()
    assert (delivery.state, delivery.attempts) == (DeliveryState.SENT, 3)


def test_a_channel_that_never_will_is_given_up_and_the_other_one_told_once(
    rig: Rig, post: Post, routing: Routing, script: Script
) -> None:
    post.config = routing({"channels": ["mail", "other"]})
    post.server.recipient_answers = {"ana@example.org": "550 no such user"}
    script["s00"] = found
    look(rig)
    assert post.after(HOUR, HOUR, HOUR) == ["HIGH: s00 expired"]
    assert post.server.envelopes == [["bob@example.org"]]
    assert {(row.channel, row.state, row.attempts) for row in post.deliveries()} == {
        ("mail", DeliveryState.FAILED, 1),
        ("other", DeliveryState.SENT, 1),
    }
    assert post.left() == 0


def test_one_channel_given_up_and_another_that_is_away_are_kept_apart(
    rig: Rig, post: Post, routing: Routing, script: Script
) -> None:
    post.config = routing({"channels": ["mail", "other"]})
    post.server.recipient_answers = {"ana@example.org": "550 no such user", "bob@example.org": "450 try later"}
    script["s00"] = found
    look(rig)
    post.after(HOUR)
    post.server.recipient_answers = {"ana@example.org": "550 no such user"}
    assert post.after(HOUR) == ["HIGH: s00 expired"]
    assert {(row.channel, row.attempts) for row in post.deliveries()} == {("mail", 1), ("other", 3)}


def test_other_routes_count_from_the_next_message_on(rig: Rig, post: Post, routing: Routing, script: Script) -> None:
    script["s00"] = found
    look(rig)
    post.after()
    post.config = routing({"channels": ["other"]})
    script["s01"] = found
    look(rig, "s01")
    post.after()
    assert post.server.envelopes == [["ana@example.org"], ["bob@example.org"]]


def test_a_secret_that_cannot_be_read_is_told_and_tried_again(rig: Rig, post: Post, routing: Routing, script: Script) -> None:
    post.config = routing({"channels": ["locked"]})
    script["s00"] = found
    look(rig)
    assert post.after() == []
    [delivery] = post.deliveries()
    assert delivery.state is DeliveryState.SENDING
    assert delivery.detail == "channel 'locked' cannot be set up: env:SMTP_PASSWORD: no such secret"
    secrets = rig.shift.providers.secrets
    assert isinstance(secrets, FakeSecrets)
    secrets.values["env:SMTP_PASSWORD"] = "hunter2hunter2"
    post.after(HOUR)
    assert "cannot be set up" not in post.deliveries()[0].detail
    assert post.deliveries()[0].attempts == 2


def test_a_finding_without_a_route_waits_for_the_digest(rig: Rig, post: Post, routing: Routing, script: Script) -> None:
    post.config = routing({"channels": ["mail"], "match": {"severity": "critical"}})
    script["s00"] = found
    look(rig)
    assert post.after(HOUR) == []
    assert post.left() == 0


def call_for_help(rig: Rig) -> str:
    """A run that needs a person, with its message."""
    from sqlalchemy import update  # noqa: PLC0415

    from worker.ledger.tables import RUNS  # noqa: PLC0415

    run = rig.order(entries=["s00"]).runs[0]
    with rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(state=RunState.NEEDS_ATTENTION, summary="died in mid-step"))
        now = rig.clock()
        payload = {"kind": "run_needs_attention", "message_id": new_id()}
        outbox.put(tx, Topic.MESSAGE, run.id, at=now, not_before=now, payload=payload)
    return run.id


def test_a_call_for_help_goes_to_every_channel_once_with_the_ways_out(rig: Rig, post: Post, routing: Routing) -> None:
    post.config = routing({"channels": ["mail", "other"]})
    post.server.recipient_answers = {"bob@example.org": "550 no such user"}
    run_id = call_for_help(rig)
    assert post.after(HOUR, HOUR) == ["A person is needed: sites: died in mid-step"]
    body = post.server.mails[0].get_body(("plain",))
    assert body is not None
    assert f"nightshift resolve {run_id} --applied" in body.get_content()
    assert post.left() == 0
    assert {(row.channel, row.attempts) for row in post.deliveries()} == {("mail", 1), ("other", 1)}


def test_a_call_for_help_that_was_answered_meanwhile_is_not_sent(rig: Rig, post: Post) -> None:
    verbs.resolve(rig.shift, call_for_help(rig), ANA, "applied", "done by hand")
    assert post.after(HOUR) == []


def test_two_relays_tell_once(rig: Rig, post: Post, script: Script) -> None:
    script["s00"] = found
    look(rig)
    other = MessageRelay(rig.shift, lambda: post.config, lambda: "http://127.0.0.1:8080")
    post.relay.step()
    other.step()
    assert len(post.server.mails) == 1


def test_the_console_is_a_channel_too(rig: Rig, post: Post, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    console = {"channels": {"console": {"kind": "console"}}, "routes": [{"channels": ["console"]}]}
    post.config = RoutesConfig.model_validate(console)
    script["s00"] = found
    look(rig)
    post.after(HOUR)
    assert capsys.readouterr().out.count("HIGH: s00 expired") == 1


def test_a_finding_that_is_no_more_is_no_message(rig: Rig, post: Post) -> None:
    with rig.ledger.transaction() as tx:
        now = rig.clock()
        outbox.put(tx, Topic.MESSAGE, "gone", at=now, not_before=now, payload={"kind": "finding_opened", "message_id": "m"})
        assert findings.get(tx, "gone") is None
    assert post.after() == []
    assert post.left() == 0


def test_a_channel_that_breaks_keeps_no_other_from_its_turn(
    rig: Rig, routing: Routing, server: MailServer, script: Script
) -> None:
    rig.clock.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    secrets = rig.shift.providers.secrets
    assert isinstance(secrets, FakeSecrets)
    # A URL that is a secret is read with the first message, and proves to be none.
    secrets.values |= {"env:HOOK": "hooks.example.org/no-scheme", "env:HOOK_SECRET": "0123456789abcdef"}
    post = Post(rig, routing({"channels": ["hook", "mail"]}), server)
    script["s00"] = found
    look(rig)
    assert post.after() == ["HIGH: s00 expired"]
    assert post.after(HOUR) == []
    assert {row.channel: row.state for row in post.deliveries()} == {"hook": DeliveryState.SENDING, "mail": DeliveryState.SENT}
