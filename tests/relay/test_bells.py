"""Bells of queued runs are rung until somebody answers, ever more slowly, and never more than there is room for."""

from dataclasses import replace
from datetime import timedelta

from tests.support.shift import ANA, Rig
from worker.flow.shift import Pace
from worker.flow.verbs import cancel
from worker.ledger import outbox
from worker.records import Topic
from worker.relay import BellRelay

SECOND = timedelta(seconds=1)


def rings(rig: Rig, relay: BellRelay, *, seconds: int) -> list[int]:
    """At which second something was rung, asked every second."""
    heard = []
    for second in range(1, seconds + 1):
        rig.clock.advance(SECOND)
        before = len(rig.rung)
        relay.step()
        heard += [second] * (len(rig.rung) - before)
    return heard


def waiting_bells(rig: Rig) -> int:
    with rig.ledger.read() as connection:
        return outbox.depth(connection).get(Topic.BELL, (0, None))[0]


def test_an_unclaimed_run_is_rung_again_with_growing_pauses(rig: Rig) -> None:
    rig.order(entries=["s00"])
    assert rings(rig, BellRelay(rig.shift, lambda _: 0), seconds=70) == [2, 6, 14, 30, 62]


def test_pauses_grow_up_to_the_slowest(rig: Rig) -> None:
    rig.shift = replace(rig.shift, pace=Pace(slowest_ring=timedelta(seconds=8)))
    rig.order(entries=["s00"])
    assert rings(rig, BellRelay(rig.shift, lambda _: None), seconds=40) == [2, 6, 14, 22, 30, 38]


def test_an_answered_bell_is_dropped_and_never_rung_again(rig: Rig) -> None:
    made = rig.order(entries=["s00", "s01", "s02"])
    rig.execute(made.runs[0])
    cancel(rig.shift, made.runs[1].id, ANA)
    rig.rung.clear()
    relay = BellRelay(rig.shift, lambda _: 0)
    relay.step()
    assert waiting_bells(rig) == 1
    rig.clock.advance(3 * SECOND)
    relay.step()
    assert rig.rung == [made.runs[2].id]


def test_while_the_queue_is_long_a_bell_is_taken_to_wait_its_turn(rig: Rig) -> None:
    rig.shift = replace(rig.shift, pace=Pace(slowest_ring=timedelta(seconds=20)))
    rig.order(entries=["s00"])
    assert rings(rig, BellRelay(rig.shift, lambda _: 5_000), seconds=25)[0] == 20


def test_beyond_the_cap_bells_are_rung_as_others_are_answered(rig: Rig) -> None:
    rig.shift = replace(rig.shift, pace=Pace(ring_cap=10, first_ring_again=timedelta(hours=1), slowest_ring=timedelta(days=1)))
    made = rig.order()
    relay = BellRelay(rig.shift, lambda _: 0)
    rig.rung.clear()
    relay.step()
    assert rig.rung == []
    for run in made.runs[:4]:
        rig.execute(run)
    rig.clock.advance(timedelta(hours=1))
    relay.step()
    assert len(set(rig.rung) & {run.id for run in made.runs[10:]}) == 4


def test_every_run_of_a_large_batch_is_rung_in_the_end(rig: Rig) -> None:
    rig.shift = replace(rig.shift, pace=Pace(ring_cap=10))
    made = rig.order()
    relay = BellRelay(rig.shift, lambda _: 0)
    heard = set(rig.rung[:10])
    by_id = {run.id: run for run in made.runs}
    rig.rung.clear()
    for _ in range(20):
        for run_id in heard & by_id.keys():
            rig.execute(by_id.pop(run_id))
        rig.clock.advance(3 * SECOND)
        relay.step()
        heard |= set(rig.rung)
    assert by_id == {}
    relay.step()
    assert waiting_bells(rig) == 0


def test_two_relays_ring_each_bell_once(rig: Rig) -> None:
    rig.order(entries=["s00"])
    relays = [BellRelay(rig.shift, lambda _: 0) for _ in range(2)]
    rig.rung.clear()
    rig.clock.advance(2 * SECOND)
    for relay in relays:
        relay.step()
    assert len(rig.rung) == 1
