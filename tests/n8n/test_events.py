"""Subscribed webhooks are told what happens: signed, at least once, and only what their token may read."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from notifications.config import RoutesConfig
from notifications.webhook import verify
from tests.api.kit import CLI, problem
from tests.n8n.gatehouse import PAYLOAD, Gatehouse
from tests.relay.web import RESUMED, STARTING, Answer, Waiting, waiting
from worker.flow.api_tokens import revoke_token
from worker.flow.expiring import expire_due
from worker.flow.nights import close_night_now
from worker.ledger import outbox, people
from worker.ledger.tables import METADATA
from worker.records import ActorKind, EventKind, FindingState, Topic
from worker.relay import EventRelay
from worker.tokens import Grant

EVERY = [kind.value for kind in EventKind]


@pytest.fixture
def hook() -> Iterator[Waiting]:
    with waiting() as listening:
        yield listening


@pytest.fixture
def relay(gatehouse_here: Gatehouse) -> Iterator[EventRelay]:
    made = EventRelay(gatehouse_here.ward.rig.shift)
    yield made
    made.pool.shutdown()


def subscribe(client: httpx.Client, hook: Waiting, *events: str) -> dict[str, Any]:
    made = client.post("/v1/subscriptions", json={"url": hook.url, "events": list(events or EVERY)})
    assert made.status_code == 201, made.text
    told: dict[str, Any] = made.json()
    return told


def queued(house: Gatehouse) -> int:
    with house.ward.rig.ledger.read() as connection:
        return outbox.depth(connection).get(Topic.EVENT, (0, None))[0]


def types(hook: Waiting) -> list[str]:
    return [body["type"] for body in hook.got]


def test_the_life_of_a_repair_and_of_a_question_is_told(gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    subscribe(canvas, hook)
    repair = house.ward.ask()
    house.ward.say(repair)
    house.ward.carry_out()
    house.ward.look()
    house.ask(canvas)
    house.ward.rig.clock.advance(timedelta(hours=1))
    close_night_now(house.ward.rig.shift, RoutesConfig(), "http://localhost", CLI)
    relay.step()
    assert sorted(types(hook)) == sorted(
        [
            "finding.opened",
            "approval.asked",
            "run.finished",
            "approval.decided",
            "run.finished",
            "finding.resolved",
            "run.finished",
            "approval.asked",
            "run.finished",
            "night.finished",
        ]
    )
    by_type = {body["type"]: body["data"] for body in hook.got}
    assert by_type["approval.decided"]["approval_id"] == repair.id
    assert (by_type["approval.decided"]["answer"], by_type["approval.decided"]["gate"]) == ("approved", None)
    assert by_type["finding.resolved"]["finding"]["state"] == "resolved"
    assert by_type["night.finished"]["night"]["complete"] is not None


def test_the_decision_of_a_question_carries_the_hash_and_never_a_link(
    gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay
) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    subscribe(canvas, hook, "approval.decided")
    approval = house.approval(house.ask(canvas))
    link = house.hall.link(approval)
    house.ward.say(approval)
    relay.step()
    (body,) = hook.got
    assert (body["data"]["approval_id"], body["data"]["answer"]) == (approval.id, "approved")
    assert body["data"]["gate"]["payload_sha256"] == PAYLOAD
    assert body["data"]["gate"]["note"] == "Gate only: neither executed nor verified by Nightshift"
    assert link not in str(body)
    assert "/a/" not in str(body)


def test_time_out_is_told_as_a_no(gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay) -> None:
    house = gatehouse_here
    canvas = house.canvas()
    subscribe(canvas, hook, "approval.closed")
    house.ask(canvas)
    house.ward.rig.clock.advance(timedelta(days=7))
    assert expire_due(house.ward.rig.shift) == 1
    relay.step()
    (body,) = hook.got
    assert (body["data"]["answer"], body["data"]["approval"]["state"]) == ("denied", "expired")


def test_an_event_is_signed_and_keeps_its_id_when_it_is_sent_again(
    gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay
) -> None:
    house = gatehouse_here
    made = subscribe(house.canvas(), hook, "finding.opened")
    hook.answers = [STARTING, Answer(503), RESUMED]
    house.ward.look()
    for _ in range(4):
        relay.step()
        house.ward.rig.clock.advance(timedelta(minutes=1))
    assert len(hook.sent) == 3
    assert {request.headers["webhook-id"] for request in hook.sent} == {hook.got[0]["id"]}
    for request in hook.sent:
        stamp, signature = request.headers["webhook-timestamp"], request.headers["webhook-signature"]
        now = house.ward.rig.clock()
        assert verify(made["secret"], request.headers["webhook-id"], stamp, request.body, signature, now=now)
    assert queued(house) == 0


def test_nobody_listens_nothing_is_written(gatehouse_here: Gatehouse, hook: Waiting) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    made = subscribe(canvas, hook, "approval.closed")
    house.ward.look()
    assert queued(house) == 0
    assert canvas.delete(f"/v1/subscriptions/{made['id']}").status_code == 204
    assert canvas.get("/v1/subscriptions").json() == {"subscriptions": []}


def test_a_deleted_subscription_is_told_nothing_that_waited(gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    made = subscribe(canvas, hook, "finding.opened")
    house.ward.look()
    assert queued(house) == 1
    canvas.delete(f"/v1/subscriptions/{made['id']}")
    relay.step()
    assert (queued(house), hook.got) == (0, [])


def test_a_token_is_told_only_what_it_may_read(gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay) -> None:
    house = gatehouse_here
    gates = house.canvas("gates", [Grant(verb="ask"), Grant(verb="read", jobs=("ask",))])
    subscribe(gates, hook, "finding.opened", "run.finished", "approval.asked")
    house.ward.look()
    house.ask(gates)
    relay.step()
    assert sorted(types(hook)) == ["approval.asked", "run.finished"]
    assert "slots" not in str(hook.got)


def test_a_revoked_token_is_told_nothing_more(gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay) -> None:
    house = gatehouse_here
    subscribe(house.canvas("gone"), hook, "finding.opened")
    house.ward.look()
    shift = house.ward.rig.shift
    with shift.ledger.read() as connection:
        (token,) = people.tokens(connection)
    revoke_token(shift, token.id, CLI)
    relay.step()
    assert hook.got == []
    (row,) = house.canvas("reader").get("/v1/subscriptions").json()["subscriptions"]
    assert (row["state"], row["ended_reason"]) == ("disabled", "its token was revoked or has expired")


def test_a_webhook_that_takes_nothing_for_a_day_is_disabled_and_people_are_told(
    gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay
) -> None:
    house = gatehouse_here
    canvas = house.canvas("dead")
    made = subscribe(canvas, hook, "finding.opened", "run.finished")
    hook.answers = [Answer(404, "not registered")]
    house.ward.look()
    for _ in range(14):
        relay.step()
        house.ward.rig.clock.advance(timedelta(hours=2))
    with house.ward.rig.ledger.read() as connection:
        assert outbox.depth(connection).get(Topic.EVENT) is None
    (finding,) = [one for one in house.ward.rig.findings() if one.reason == "subscription_disabled"]
    assert (finding.title, finding.state) == (f"Events no longer reach 127.0.0.1:{hook.port}", FindingState.OPEN)
    (row,) = house.ward.audit("subscription.disabled")
    assert (row.actor, row.object_id) == ("relay:relay", made["id"])


def test_one_failure_disables_nobody_and_a_success_begins_the_count_anew(
    gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay
) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    made = subscribe(canvas, hook, "finding.opened")
    hook.answers = [Answer(500), RESUMED]
    house.ward.look()
    relay.step()
    assert canvas.get(f"/v1/subscriptions/{made['id']}").json()["failing_since"] is not None
    house.ward.rig.clock.advance(timedelta(minutes=1))
    relay.step()
    assert canvas.get(f"/v1/subscriptions/{made['id']}").json()["failing_since"] is None


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"url": "http://localhost/x", "events": []}, (422, "invalid", "events")),
        ({"url": "http://localhost/x", "events": ["finding.burned"]}, (422, "invalid", "events[0]")),
        ({"url": "http://elsewhere.example/x", "events": ["finding.opened"]}, (422, "callback_host", "url")),
        ({"url": "ftp://localhost/x", "events": ["finding.opened"]}, (422, "callback_not_a_url", "url")),
        ({"events": ["finding.opened"]}, (422, "invalid", "url")),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(
    gatehouse_here: Gatehouse, body: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    assert problem(gatehouse_here.canvas().post("/v1/subscriptions", json=body)) == refusal
    assert gatehouse_here.canvas().get("/v1/subscriptions").json() == {"subscriptions": []}


def test_whoever_does_not_read_everything_is_not_told_of_nights(gatehouse_here: Gatehouse, hook: Waiting) -> None:
    narrow = gatehouse_here.canvas("narrow", [Grant(verb="read", jobs=("slots",))])
    refused = narrow.post("/v1/subscriptions", json={"url": hook.url, "events": ["night.finished"]})
    assert problem(refused) == (422, "unreadable_event", "events")
    blind = gatehouse_here.canvas("blind", [Grant(verb="ask")])
    refused = blind.post("/v1/subscriptions", json={"url": hook.url, "events": ["finding.opened"]})
    assert problem(refused) == (422, "unreadable_event", "events")


def test_a_person_does_not_subscribe(gatehouse_here: Gatehouse, hook: Waiting) -> None:
    person = gatehouse_here.hall.client(gatehouse_here.hall.token(ActorKind.PERSON, "bo"))
    refused = person.post("/v1/subscriptions", json={"url": hook.url, "events": ["finding.opened"]})
    assert problem(refused) == (403, "not_a_machine", None)


def test_neither_url_nor_secret_stands_in_the_ledger_in_clear(
    gatehouse_here: Gatehouse, hook: Waiting, relay: EventRelay
) -> None:
    house = gatehouse_here
    made = subscribe(house.canvas(), hook)
    house.ward.look()
    hook.answers = [Answer(500), RESUMED]
    relay.step()
    with house.ward.rig.ledger.read() as connection:
        rows = str([tuple(row) for table in METADATA.sorted_tables for row in connection.execute(select(table))])
    assert "bearer-canary" not in rows
    assert made["secret"] not in rows
