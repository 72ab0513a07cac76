"""Whoever can write to the broker can send anything: no message but a queued run's own bell changes anything."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.support.stack import Flower, Stack
from tests.support.waiting import until
from worker.queue.telling import PREFIX
from worker.records import RunState

NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
Message = tuple[object, dict[str, Any]]
Forge = Callable[[str], Message]


def bell(run_id: str, **headers: object) -> Message:
    """As ours, with other headers."""
    return [[run_id], {}, NO_EMBED], {"lang": "py", "task": PREFIX + "gate", "id": run_id, "retries": 0, **headers}


def body(content: object, **headers: object) -> Forge:
    return lambda run_id: (content, bell(run_id, **headers)[1])


REFUSED: Mapping[str, Forge] = {
    "no argument": body([[], {}, NO_EMBED]),
    "two arguments": lambda run_id: ([[run_id, run_id], {}, NO_EMBED], bell(run_id)[1]),
    "a keyword": lambda run_id: ([[run_id], {"force": True}, NO_EMBED], bell(run_id)[1]),
    "another run's id": body([[str(uuid4())], {}, NO_EMBED]),
    "a callback": lambda run_id: ([[run_id], {}, {**NO_EMBED, "callbacks": [{"task": "x"}]}], bell(run_id)[1]),
    "a number": body(7),
    "nothing": body(None),
    "text": body("ring"),
    "the old protocol": lambda run_id: ({"task": PREFIX + "gate", "id": run_id, "args": [run_id], "kwargs": {}}, {}),
    "no id": lambda run_id: ([[run_id], {}, NO_EMBED], {"task": PREFIX + "gate"}),
    "no run id": body([["7"], {}, NO_EMBED], id="7"),
    "a list for an id": body([["7"], {}, NO_EMBED], id=["7"]),
    "an unknown task": lambda run_id: bell(run_id, task=PREFIX + "never_heard_of"),
    "a task of Celery's": lambda run_id: bell(run_id, task="celery.backend_cleanup"),
    "a list for a task": lambda run_id: bell(run_id, task=["a"]),
}


@pytest.fixture
def send(stack: Stack, flower: Flower) -> Callable[..., None]:
    def put(message: Message, **options: object) -> None:
        content, headers = message
        with stack.house.celery.connection_for_write() as connection, connection.Producer() as producer:
            shape = {"serializer": "json", **options}
            producer.publish(content, headers=headers, routing_key="checks", exchange="nightshift", **shape)

    return put


@pytest.fixture
def running(stack: Stack, flower: Flower) -> Iterator[str]:
    run_id = stack.ask(waits=True)
    stack.at_the_gate(run_id)
    flower.shows(run_id, "STARTED")
    yield run_id
    stack.open(run_id)


def still_well(stack: Stack, flower: Flower, running: str) -> None:
    """The worker answers the next bell, and the run that the forged ones named came to its own end."""
    flower.shows(stack.ask(), "SUCCESS")
    assert (stack.run(running).state, stack.run(running).fence) == (RunState.RUNNING, 1)
    assert flower.state(running) == "STARTED"
    stack.open(running)
    flower.shows(running, "SUCCESS")
    assert stack.run(running).attempts == 1
    assert stack.workers["one"].poll() is None


def test_messages_that_are_no_bells_are_dropped(stack: Stack, flower: Flower, running: str, send: Callable[..., None]) -> None:
    for forge in REFUSED.values():
        send(forge(running))
    still_well(stack, flower, running)


def test_only_json_is_read(stack: Stack, flower: Flower, running: str, send: Callable[..., None]) -> None:
    for content_type in ("application/x-python-serialize", "application/x-yaml", "text/plain", "application/data"):
        raw = json.dumps(bell(running)[0]).encode()
        send((raw, bell(running)[1]), serializer=None, content_type=content_type, content_encoding="binary")
    send((b"{not json", bell(running)[1]), serializer=None, content_type="application/json", content_encoding="utf-8")
    still_well(stack, flower, running)


def test_a_replayed_bell_runs_nothing_twice(stack: Stack, flower: Flower, running: str, send: Callable[..., None]) -> None:
    for _ in range(5):
        send(bell(running))
    still_well(stack, flower, running)


def test_a_bell_under_another_jobs_name_runs_nothing(stack: Stack, flower: Flower, send: Callable[..., None]) -> None:
    holders = [stack.ask(waits=True) for _ in range(2)]
    for holder in holders:
        stack.at_the_gate(holder)
    run_id = stack.ask(waits=True)
    stack.house.celery.control.purge()
    send(bell(run_id, task=PREFIX + "command"))
    for holder in holders:
        stack.open(holder)
    until("the forged bell is heard", lambda: stack.heard(run_id))
    stack.at_the_gate(run_id)
    shown = flower.shows(run_id, "STARTED")
    assert (stack.run(run_id).job, shown["name"]) == ("gate", PREFIX + "gate")
    stack.open(run_id)
    flower.shows(run_id, "SUCCESS")


def test_a_bell_for_a_run_that_never_was_ends_revoked(stack: Stack, flower: Flower, send: Callable[..., None]) -> None:
    nobody = str(uuid4())
    send(bell(nobody))
    flower.shows(nobody, "REVOKED")


def test_a_bell_brings_nothing_but_its_run(stack: Stack, flower: Flower, send: Callable[..., None]) -> None:
    """Not a time limit, an expiry or a stamp of its own: with them a forger could end runs."""
    headers = {"timelimit": [0.01, 0.01], "expires": "2020-01-01T00:00:00Z", "eta": "2099-01-01T00:00:00Z", "shadow": "other"}
    run_id = stack.ask(ring=False, waits=True)
    send(bell(run_id, **headers))
    stack.at_the_gate(run_id)
    shown = flower.shows(run_id, "STARTED")
    assert (shown["name"], shown["expires"], shown["eta"]) == (PREFIX + "gate", None, None)
    stack.open(run_id)
    flower.shows(run_id, "SUCCESS")
