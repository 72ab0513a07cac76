"""The same on the other brokers: RabbitMQ with quorum queues, and folders without any server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest
from kombu import Connection, Exchange, Queue

from tests.servers import RabbitServer
from tests.support.stack import Stack
from tests.support.waiting import until
from worker.doorbell import FolderDoorbell, hold_home, transport_options
from worker.records import RunState


@pytest.fixture
def rabbit(rabbit_server: RabbitServer, tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "home", rabbit_server.url) as stack:
        yield stack


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Stack]:
    with hold_home(tmp_path / "home"):
        doorbell = FolderDoorbell(tmp_path / "home")
        doorbell.start()
        with Stack(tmp_path / "home", doorbell.broker.url) as stack:
            yield stack


@pytest.fixture(params=["rabbit", "folders"])
def elsewhere(request: pytest.FixtureRequest) -> Stack:
    stack: Stack = request.getfixturevalue(request.param)
    return stack


def test_flower_shows_each_state_as_the_ledger_has_it(elsewhere: Stack) -> None:
    worker = elsewhere.worker()
    flower = elsewhere.flower()
    for ends, state in (("ok", "SUCCESS"), ("error", "FAILURE"), ("cannot_tell", "FAILURE")):
        flower.shows(elsewhere.ask(ends=ends), state)
    run_id = elsewhere.ask(waits=True)
    elsewhere.at_the_gate(run_id)
    flower.shows(run_id, "STARTED")
    flower.post(f"/api/task/revoke/{run_id}")
    assert elsewhere.becomes(run_id, RunState.CANCELLED).cancel_requested_by == "flower:flower"
    flower.shows(run_id, "REVOKED")
    put_back = elsewhere.ask(waits=True)
    elsewhere.at_the_gate(put_back)
    assert elsewhere.stop(worker) == 0
    assert elsewhere.run(put_back).state is RunState.QUEUED
    elsewhere.open(put_back)
    elsewhere.worker("two")
    flower.shows(put_back, "SUCCESS")
    assert elsewhere.run(put_back).attempts == 1


def test_a_message_in_a_folder_appears_whole_and_no_binding_is_lost(tmp_path: Path) -> None:
    """Kombu's own transport fails at both: readers take messages that are not written yet."""
    options = {
        "transport": "worker.doorbell.folders:Transport",
        "transport_options": transport_options("filesystem://", tmp_path),
    }
    news, everybody = Exchange("news", "fanout"), Barrier(4)

    def listen(number: int) -> list[int]:
        heard: list[int] = []

        def look() -> bool:
            while message := queue.get(no_ack=True):
                heard.append(message.payload)
            return len(heard) == 100

        with Connection("filesystem://", **options) as connection:
            queue = Queue(f"listener{number}", news, channel=connection.channel())
            queue.declare()
            everybody.wait()
            until(f"all is heard by {number}", look)
        return sorted(heard)

    def tell() -> None:
        with Connection("filesystem://", **options) as connection, connection.Producer() as producer:
            everybody.wait()
            for number in range(100):
                producer.publish(number, exchange=news)

    doorbell = FolderDoorbell(tmp_path)
    doorbell.start()
    with ThreadPoolExecutor(4) as pool:
        listeners = [pool.submit(listen, number) for number in range(3)]
        pool.submit(tell).result()
        assert [listener.result() for listener in listeners] == [list(range(100))] * 3
    doorbell.stop(0, Event())
