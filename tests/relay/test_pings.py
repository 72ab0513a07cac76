"""A dead man's switch hears of complete nights only."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from schedules.schedule import Schedule
from tasks.testing import FakeSecrets
from tests.flow.conftest import Script, found, untold
from tests.relay.web import Answer, Waiting
from tests.support.shift import ANA, Rig, request
from worker.flow import Order, enqueue
from worker.flow.verbs import cancel_batch
from worker.ledger import outbox
from worker.records import Topic
from worker.relay import PingRelay

UTC = ZoneInfo("UTC")


@pytest.fixture
def relay(rig: Rig, node: Waiting) -> Iterator[PingRelay]:
    schedule = Schedule(name="nightly", cron="30 2 * * *", job="sites", zone=UTC, ping_url=node.url)
    rig.estate.append(replace(rig.estate[-1], schedules={"nightly": schedule}))
    relay = PingRelay(rig.shift)
    yield relay
    relay.client.close()


def night(rig: Rig, fire_key: str = "1") -> str:
    order = Order(job="sites", params={"entries": ["s00", "s01"]})
    made = enqueue(rig.shift, request(order, schedule="nightly", fire_key=fire_key))
    for run in made.runs:
        rig.execute(run)
    return made.batch.id


def left(rig: Rig) -> int:
    with rig.ledger.read() as connection:
        return outbox.depth(connection).get(Topic.PING, (0, None))[0]


def test_a_complete_night_is_told_once_findings_or_not(rig: Rig, relay: PingRelay, node: Waiting, script: Script) -> None:
    script["s00"] = found
    night(rig)
    relay.step()
    relay.step()
    assert node.got == [None]
    assert left(rig) == 0


def test_a_night_that_could_not_tell_is_not_told(rig: Rig, relay: PingRelay, node: Waiting, script: Script) -> None:
    script["s00"] = untold
    night(rig)
    relay.step()
    assert (node.got, left(rig)) == ([], 0)


def test_a_cancelled_night_is_not_told(rig: Rig, relay: PingRelay, node: Waiting) -> None:
    made = enqueue(rig.shift, request(Order(job="sites"), schedule="nightly", fire_key="1"))
    cancel_batch(rig.shift, made.batch.id, ANA)
    relay.step()
    assert (node.got, left(rig)) == ([], 0)


def test_a_switch_that_does_not_answer_is_tried_again_for_an_hour(rig: Rig, relay: PingRelay, node: Waiting) -> None:
    node.answers = [Answer(503), Answer(200)]
    night(rig, "1")
    relay.step()
    rig.clock.advance(timedelta(seconds=10))
    relay.step()
    assert (len(node.got), left(rig)) == (2, 0)
    node.answers = [Answer(503)]
    night(rig, "2")
    for _ in range(20):
        relay.step()
        rig.clock.advance(timedelta(minutes=6))
    assert left(rig) == 0


def test_a_switch_whose_url_is_a_secret_is_read_for_the_ping(rig: Rig, relay: PingRelay, node: Waiting) -> None:
    secrets = rig.shift.providers.secrets
    assert isinstance(secrets, FakeSecrets)
    secrets.values["env:PING"] = node.url
    schedule = replace(rig.estate[-1].schedules["nightly"], ping_url="env:PING")
    rig.estate.append(replace(rig.estate[-1], schedules={"nightly": schedule}))
    night(rig)
    relay.step()
    assert len(node.got) == 1


def test_a_schedule_that_is_gone_or_has_no_switch_is_done(rig: Rig, relay: PingRelay, node: Waiting) -> None:
    night(rig)
    rig.estate.append(replace(rig.estate[-1], schedules={}))
    relay.step()
    assert (node.got, left(rig)) == ([], 0)
