"""The one result of a batch reaches whoever asked, whatever n8n answers on the way."""

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from tests.flow.conftest import Script, found
from tests.relay.web import (
    BROKEN,
    CRASHED,
    FINISHED,
    MIGRATING,
    OVER,
    PRUNED,
    RESUMED,
    RUNNING,
    SILENT,
    STARTING,
    TWICE,
    WRONG_TOKEN,
    Answer,
    Waiting,
)
from tests.servers.process import free_port
from tests.support.shift import Rig, request
from worker.flow import Enqueued, Order, enqueue
from worker.ledger import outbox, telling
from worker.ledger.tables import METADATA
from worker.records import DeliveryRow, DeliveryState, Topic
from worker.relay import CallbackRelay

pytestmark = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


@pytest.fixture
def relay(rig: Rig) -> Iterator[CallbackRelay]:
    with closing(httpx.Client(timeout=3)) as client:
        relay = CallbackRelay(rig.shift, client=client)
        yield relay
        relay.pool.shutdown()


def ended(rig: Rig, url: str, *entries: str) -> Enqueued:
    """A batch with a callback, all of whose runs have ended, the last one first."""
    callback = rig.shift.keys.encrypt(url.encode())
    made = enqueue(rig.shift, request(Order(job="sites", params={"entries": list(entries or ["s00"])}), callback=callback))
    for run in reversed(made.runs):
        rig.execute(run)
    return made


def deliveries(rig: Rig) -> list[DeliveryRow]:
    with rig.ledger.read() as connection:
        return telling.deliveries(connection)


def left(rig: Rig) -> bool:
    with rig.ledger.read() as connection:
        return bool(outbox.due(connection, Topic.CALLBACK, rig.clock() + timedelta(days=9), 9))


def deliver(rig: Rig, relay: CallbackRelay, *, every: timedelta = timedelta(seconds=31), times: int = 30) -> None:
    for _ in range(times):
        if not left(rig):
            return
        relay.step()
        rig.clock.advance(every)


def test_the_result_is_told_once_in_the_order_of_the_items(rig: Rig, relay: CallbackRelay, node: Waiting, script: Script) -> None:
    script["s01"] = found
    made = ended(rig, node.url, "s02", "s01", "s00")
    deliver(rig, relay)
    relay.step()
    [body] = node.got
    assert body["type"] == "batch.ended"
    assert (body["batch"]["id"], body["batch"]["remaining"]) == (made.batch.id, 0)
    assert [(run["item"], run["params"]["entries"], run["verdict"]) for run in body["runs"]] == [
        (0, ["s02"], "ok"),
        (0, ["s01"], "findings"),
        (0, ["s00"], "ok"),
    ]
    assert "callback" not in body["batch"]


def test_nothing_is_told_before_every_run_has_ended(rig: Rig, relay: CallbackRelay, node: Waiting) -> None:
    callback = rig.shift.keys.encrypt(node.url.encode())
    made = enqueue(rig.shift, request(Order(job="sites", params={"entries": ["s00", "s01"]}), callback=callback))
    rig.execute(made.runs[0])
    relay.step()
    assert node.got == []


@pytest.mark.parametrize(
    ("answers", "state", "posts"),
    [
        ([RESUMED], DeliveryState.SENT, 1),
        ([RUNNING, RUNNING, RESUMED], DeliveryState.SENT, 3),
        ([TWICE, FINISHED], DeliveryState.SENT, 2),
        ([STARTING, STARTING, RESUMED], DeliveryState.SENT, 3),
        ([MIGRATING, MIGRATING, RESUMED], DeliveryState.SENT, 3),
        ([SILENT, OVER], DeliveryState.SENT, 2),
        ([SILENT, RUNNING, FINISHED], DeliveryState.SENT, 3),
        ([OVER], DeliveryState.FAILED, 1),
        ([RUNNING, OVER], DeliveryState.FAILED, 2),
        ([FINISHED], DeliveryState.DISABLED, 1),
        ([STARTING, FINISHED], DeliveryState.DISABLED, 2),
        ([CRASHED], DeliveryState.FAILED, 1),
        ([WRONG_TOKEN], DeliveryState.FAILED, 1),
        ([Answer(403)], DeliveryState.FAILED, 1),
        ([Answer(302)], DeliveryState.FAILED, 1),
        ([Answer(503), Answer(429), RESUMED], DeliveryState.SENT, 3),
        ([PRUNED, PRUNED, RESUMED], DeliveryState.SENT, 3),
    ],
)
def test_each_answer_of_n8n_has_its_consequence(
    rig: Rig, relay: CallbackRelay, node: Waiting, answers: list[Answer], state: DeliveryState, posts: int
) -> None:
    node.answers = list(answers)
    ended(rig, node.url)
    deliver(rig, relay)
    [delivery] = deliveries(rig)
    assert (delivery.state, delivery.attempts, len(node.got)) == (state, posts, posts)
    assert str(delivery.detail).partition(": ")[0] == f"127.0.0.1:{node.port} answered {answers[-1].status}"
    assert not left(rig)


def test_an_early_callback_is_tried_again_after_fifty_milliseconds_and_then_twice_as_long(
    rig: Rig, relay: CallbackRelay, node: Waiting
) -> None:
    node.answers = [RUNNING]
    ended(rig, node.url)
    heard = []
    for tick in range(40):
        before = len(node.got)
        relay.step()
        heard += [tick * 50] * (len(node.got) - before)
        rig.clock.advance(timedelta(milliseconds=50))
    assert heard == [0, 50, 150, 350, 750, 1550]


def test_an_execution_that_is_not_there_is_given_up_after_minutes_and_a_silent_host_after_a_day(
    rig: Rig, relay: CallbackRelay, node: Waiting
) -> None:
    node.answers = [PRUNED]
    ended(rig, node.url)
    start = rig.clock()
    deliver(rig, relay)
    assert timedelta(minutes=5) <= rig.clock() - start < timedelta(minutes=7)
    assert deliveries(rig)[0].state is DeliveryState.FAILED
    ended(rig, f"http://127.0.0.1:{free_port()}/webhook-waiting/8")
    start = rig.clock()
    deliver(rig, relay, every=timedelta(hours=1), times=48)
    assert timedelta(hours=24) <= rig.clock() - start < timedelta(hours=26)
    assert {(row.state, row.detail.rpartition(": ")[2]) for row in deliveries(rig)} == {
        (DeliveryState.FAILED, "deleted, pruned, or of another database"),
        (DeliveryState.FAILED, "ConnectError"),
    }


def test_an_execution_that_cannot_go_on_is_given_up_after_a_minute_however_long_n8n_was_down(
    rig: Rig, relay: CallbackRelay, node: Waiting
) -> None:
    node.answers = [STARTING]
    ended(rig, node.url)
    deliver(rig, relay, every=timedelta(minutes=10), times=12)
    start, node.answers = rig.clock(), [BROKEN]
    deliver(rig, relay, every=timedelta(seconds=5))
    assert timedelta(minutes=1) <= rig.clock() - start < timedelta(minutes=2)
    [delivery] = deliveries(rig)
    assert (delivery.state, delivery.detail.partition(": ")[2]) == (
        DeliveryState.FAILED,
        "n8n cannot go on with the execution, which most likely crashed when n8n was killed",
    )


def test_a_url_that_cannot_be_called_is_given_up_and_holds_up_nobody(rig: Rig, relay: CallbackRelay, node: Waiting) -> None:
    ended(rig, "http://[::bearer-canary")
    ended(rig, "http://127.0.0.1:99999/bearer-canary")
    ended(rig, node.url)
    for _ in range(3):
        relay.step()
        rig.clock.advance(timedelta(minutes=2))
    assert len(node.got) == 1
    assert "canary" not in str(deliveries(rig))


def test_a_callback_whose_key_is_gone_is_told_as_undelivered(rig: Rig, relay: CallbackRelay) -> None:
    made = enqueue(rig.shift, request(Order(job="sites", params={"entries": ["s00"]}), callback="0123456789ab:gAAA"))
    rig.execute(made.runs[0])
    relay.step()
    [delivery] = deliveries(rig)
    assert delivery.state is DeliveryState.FAILED
    assert "restore it from a backup" in delivery.detail


def test_the_url_is_a_bearer_token_and_stands_nowhere(
    rig: Rig, relay: CallbackRelay, node: Waiting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nightshift")
    node.answers = [RUNNING, CRASHED]
    ended(rig, node.url)
    deliver(rig, relay)
    with rig.ledger.read() as connection:
        rows = [str(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(select(table))]
    assert "bearer-canary" not in "".join(rows)
    assert "bearer-canary" not in caplog.text


def test_two_relays_deliver_once(rig: Rig, relay: CallbackRelay, node: Waiting) -> None:
    ended(rig, node.url)
    other = CallbackRelay(rig.shift, client=relay.client, pool=relay.pool)
    relay.step()
    other.step()
    assert len(node.got) == 1


def test_an_answer_without_end_is_not_waited_for(rig: Rig, relay: CallbackRelay, node: Waiting) -> None:
    node.answers = [Answer(200, "x" * 10_000, owed=10**9)]
    ended(rig, node.url)
    relay.step()
    assert [row.state for row in deliveries(rig)] == [DeliveryState.SENT]
    assert len(node.got) == 1
