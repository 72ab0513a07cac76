"""One look wakes whoever of the relay has something to do, and nobody else."""

import threading
from datetime import timedelta

import pytest

from tests.support.shift import Rig
from worker.ledger import audit_rows, outbox
from worker.ledger.waiting import CHAIN
from worker.loops import Loop
from worker.records import Topic
from worker.relay import Chainer, Lookout


def woken(rig: Rig) -> set[str]:
    events = {what: threading.Event() for what in (*Topic, CHAIN)}
    assert not Lookout(rig.shift, events).step()
    return {what for what, event in events.items() if event.is_set()}


def test_nobody_is_woken_for_nothing(rig: Rig) -> None:
    assert woken(rig) == set()


def test_a_queued_run_wakes_the_bells_and_its_audit_row_the_chainer(rig: Rig) -> None:
    rig.order(entries=["s00"])
    assert woken(rig) == {Topic.BELL, CHAIN}
    Chainer(rig.shift, "seat").step()
    assert woken(rig) == {Topic.BELL}
    with rig.ledger.read() as connection:
        assert all(row.number is not None for row in audit_rows.recent(connection))


@pytest.mark.parametrize("topic", [Topic.CALLBACK, Topic.MESSAGE, Topic.PING])
def test_what_is_due_later_wakes_somebody_then(rig: Rig, topic: Topic) -> None:
    now = rig.clock()
    with rig.ledger.transaction() as tx:
        outbox.put(tx, topic, "s", at=now, not_before=now + timedelta(seconds=10))
    assert woken(rig) == set()
    rig.clock.advance(timedelta(seconds=10))
    assert woken(rig) == {topic}


def test_a_loop_that_rests_goes_on_when_it_is_woken() -> None:
    stop, turns = threading.Event(), threading.Semaphore(0)

    def step() -> bool:
        turns.release()
        return False

    loop = Loop("resting", 0.01, step, rested_seconds=3600.0)
    thread = loop.start(stop)
    for _ in range(3):
        assert turns.acquire(timeout=60)
        loop.wake.set()
    stop.set()
    loop.wake.set()
    thread.join(60)
    assert not thread.is_alive()
