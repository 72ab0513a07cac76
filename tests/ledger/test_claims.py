"""Whoever holds the fence writes; everybody else changes nothing."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.support.shift import ANA, Rig
from worker.flow.lost import take_over
from worker.flow.outcome import close_if_last
from worker.flow.verbs import cancel
from worker.ledger import Ledger, audit_rows, batches, leases, outbox, runs, seats
from worker.ledger.tables import RUNS, STATE
from worker.records import AuditEntry, Run, RunState, Topic

THREADS = 8


def claim(ledger: Ledger, run: Run, *, job: str | None = None, lease: float = 30.0) -> Run | None:
    with ledger.transaction() as tx:
        return leases.claim(tx, run.id, job=job or run.job, owner="owner-1", worker="w1", lease_seconds=lease)


def claimed(ledger: Ledger, run: Run, lease: float = 30.0) -> Run:
    taken = claim(ledger, run, lease=lease)
    assert taken is not None
    return taken


def finish(ledger: Ledger, run: Run) -> bool:
    with ledger.transaction() as tx:
        return leases.finish(
            tx, run, state=RunState.SUCCEEDED, verdict="ok", reason=None, summary="1 ok", counts={"ok": 1}, progress={}
        )


@pytest.fixture
def run(rig: Rig) -> Run:
    return rig.order(entries=["s000"]).runs[0]


def test_a_claim_takes_a_queued_run_under_the_next_fence(ledger: Ledger, run: Run) -> None:
    taken = claimed(ledger, run)
    assert (taken.state, taken.fence, taken.attempts, taken.worker) == (RunState.RUNNING, 1, 1, "w1")
    assert taken.started_at is not None
    assert taken.lease_until is not None
    assert timedelta(seconds=29) < taken.lease_until - taken.started_at < timedelta(seconds=31)


def test_a_run_is_claimed_once(ledger: Ledger, run: Run) -> None:
    claimed(ledger, run)
    assert claim(ledger, run) is None


def test_a_bell_of_another_job_claims_nothing(ledger: Ledger, run: Run) -> None:
    assert claim(ledger, run, job="certificates") is None


def test_a_run_of_an_older_epoch_is_not_claimed(ledger: Ledger, run: Run) -> None:
    with ledger.transaction() as tx:
        tx.execute(update(STATE).values(epoch=2))
    assert claim(ledger, run) is None


def test_a_cancelled_run_is_not_claimed(ledger: Ledger, rig: Rig, run: Run) -> None:
    cancel(rig.shift, run.id, ANA)
    assert claim(ledger, run) is None


@pytest.mark.parametrize("stranger", [{"fence": 2}, {"lease_owner": "owner-2"}])
def test_only_the_holder_of_the_fence_extends_finishes_and_releases(
    ledger: Ledger, run: Run, stranger: dict[str, object]
) -> None:
    taken = claimed(ledger, run)
    other = replace(taken, **stranger)  # type: ignore[arg-type] # members of a run
    with ledger.transaction() as tx:
        assert leases.extend(tx, other, lease_seconds=99, progress={"done": 1}) == (False, None)
        assert not leases.release(tx, other)
    assert not finish(ledger, other)
    with ledger.read() as connection:
        assert runs.get(connection, run.id) == taken


def test_extending_renews_the_lease_shows_progress_and_reads_who_wants_it_cancelled(ledger: Ledger, run: Run) -> None:
    taken = claimed(ledger, run, lease=1.0)
    with ledger.transaction() as tx:
        assert leases.extend(tx, taken, lease_seconds=60, progress={"done": 1}) == (True, None)
        runs.request_cancel(tx, run.id, by="ana")
        assert leases.extend(tx, taken, lease_seconds=60, progress={"done": 2}) == (True, "ana")
        now = runs.get(tx, run.id)
    assert now is not None
    assert now.progress == {"done": 2}
    assert now.lease_until is not None
    assert taken.lease_until is not None
    assert now.lease_until > taken.lease_until + timedelta(seconds=50)


def test_a_second_outcome_is_refused_and_the_first_can_be_told_by_its_holder(ledger: Ledger, run: Run) -> None:
    taken = claimed(ledger, run)
    assert finish(ledger, taken)
    assert not finish(ledger, taken)
    with ledger.read() as connection:
        assert leases.finished_by(connection, taken)
        assert not leases.finished_by(connection, replace(taken, lease_owner="owner-2"))


def test_a_released_run_is_queued_again_and_its_attempt_not_counted(ledger: Ledger, run: Run) -> None:
    taken = claimed(ledger, run)
    with ledger.transaction() as tx:
        assert leases.release(tx, taken)
    again = claimed(ledger, run)
    assert (again.fence, again.attempts) == (2, 1)


def test_a_lost_run_is_taken_only_while_its_lease_is_over(ledger: Ledger, run: Run, expire: Callable[[str], None]) -> None:
    taken = claimed(ledger, run)
    with ledger.transaction() as tx:
        assert leases.expired(tx) == []
        assert not leases.take_lost(tx, taken, state=RunState.QUEUED, reason="lost")
    expire(run.id)
    with ledger.read() as connection:
        [seen] = leases.expired(connection)
    with ledger.transaction() as tx:
        assert leases.extend(tx, taken, lease_seconds=30, progress={})[0], "its owner came back"
        assert not leases.take_lost(tx, seen, state=RunState.QUEUED, reason="lost")
    expire(run.id)
    with ledger.transaction() as tx:
        [seen] = leases.expired(tx)
        assert not leases.take_lost(tx, replace(seen, fence=7), state=RunState.QUEUED, reason="lost")
        assert leases.take_lost(tx, seen, state=RunState.QUEUED, reason="lost")
    assert not finish(ledger, taken)


def test_eight_threads_claim_two_hundred_runs_once_each(ledger: Ledger, rig: Rig) -> None:
    queued = list(rig.order().runs)

    def work(number: int) -> list[str]:
        order = queued[number * 25 :] + queued[: number * 25]
        return [run.id for run in order if claim(ledger, run) is not None]

    with ThreadPoolExecutor(THREADS) as pool:
        won = Counter(run_id for taken in pool.map(work, range(THREADS)) for run_id in taken)
    assert won == Counter(run.id for run in queued)


def test_a_batch_whose_runs_end_all_at_once_ends_once(ledger: Ledger, rig: Rig) -> None:
    made = rig.order(entries=[f"s{n:03}" for n in range(64)])

    def end(run: Run) -> bool:
        taken = claimed(ledger, run)
        with ledger.transaction() as tx:
            leases.finish(tx, taken, state=RunState.SUCCEEDED, verdict="ok", reason=None, summary="", counts={}, progress={})
            return close_if_last(tx, taken, rig.clock()) is not None

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(end, made.runs)) == 1
    with ledger.read() as connection:
        batch = batches.get(connection, made.batch.id)
        assert batch is not None
        assert batch.remaining == 0
        assert batch.ended_at is not None
        ended = [row for row in audit_rows.recent(connection, object_id=batch.id) if row.entry.verb == "batch.ended"]
        assert len(ended) == 1


def test_of_many_who_insert_a_batch_under_one_key_one_does(ledger: Ledger, rig: Rig) -> None:
    batch = rig.order(entries=["s000"]).batch

    def insert(number: int) -> bool:
        with ledger.transaction() as tx:
            return batches.insert_batch(tx, replace(batch, id=f"batch-{number}", family="f", idempotency_key="k"))

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(insert, range(THREADS))) == 1


def test_of_many_who_fire_one_schedule_for_one_night_one_does(ledger: Ledger, rig: Rig) -> None:
    batch = rig.order(entries=["s000"]).batch

    def insert(number: int) -> bool:
        with ledger.transaction() as tx:
            return batches.insert_batch(tx, replace(batch, id=f"batch-{number}", schedule="nightly", fire_key="2026-11-21"))

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(insert, range(THREADS))) == 1


def test_an_outbox_row_is_taken_by_one(ledger: Ledger, rig: Rig) -> None:
    now = rig.clock()
    with ledger.transaction() as tx:
        outbox.put(tx, Topic.MESSAGE, "finding-1", at=now, not_before=now)
        [row] = outbox.due(tx, Topic.MESSAGE, now, 10)

    def take(_: int) -> bool:
        with ledger.transaction() as tx:
            return outbox.take(tx, row, until=now + timedelta(minutes=1))

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(take, range(THREADS))) == 1
    with ledger.read() as connection:
        assert outbox.due(connection, Topic.MESSAGE, now, 10) == []
        [later] = outbox.due(connection, Topic.MESSAGE, now + timedelta(minutes=1), 10)
    assert later.attempts == 1


def test_the_bells_of_a_batch_are_counted_as_rung_by_who_wrote_them(ledger: Ledger, rig: Rig) -> None:
    made = rig.order()
    assert rig.rung == [run.id for run in made.runs]
    with ledger.read() as connection:
        assert outbox.rung(connection) == 200
        assert outbox.due(connection, Topic.BELL, rig.clock(), 10) == []


def test_a_change_that_is_rolled_back_leaves_no_audit_row(ledger: Ledger, run: Run, rig: Rig) -> None:
    entry = AuditEntry(at=rig.clock(), actor="ana", verb="run.test", object_kind="run", object_id=run.id)
    with pytest.raises(ZeroDivisionError), ledger.transaction() as tx:  # noqa: PT012 - the whole transaction is the act
        runs.request_cancel(tx, run.id, by="ana")
        audit_rows.append(tx, entry)
        _ = 1 / 0
    with ledger.read() as connection:
        assert [row.entry.verb for row in audit_rows.recent(connection, object_id=run.id)] == []


def test_rows_that_the_chainer_should_have_come_by_are_counted(ledger: Ledger, rig: Rig) -> None:
    rig.order(entries=["s000"])
    with ledger.read() as connection:
        assert audit_rows.stale(connection, rig.clock()) == 0
        assert audit_rows.stale(connection, rig.clock() + timedelta(seconds=61)) == 1


def test_a_lock_is_held_by_one_renewed_by_its_owner_and_free_once_let_go(ledger: Ledger) -> None:
    def hold(owner: str, seconds: float = 30.0) -> bool:
        with ledger.transaction() as tx:
            return seats.hold(tx, "chainer", owner=owner, seconds=seconds)

    assert [hold("a"), hold("b"), hold("a")] == [True, False, True]
    with ledger.transaction() as tx:
        seats.let_go(tx, "chainer", owner="b")
    assert not hold("b"), "only its owner lets go of it"
    with ledger.transaction() as tx:
        seats.let_go(tx, "chainer", owner="a")
    assert hold("b", seconds=-1.0)
    assert hold("c"), "its time was over"


def test_of_many_who_ask_for_a_lock_one_gets_it(ledger: Ledger) -> None:
    def hold(number: int) -> bool:
        with ledger.transaction() as tx:
            return seats.hold(tx, "chainer", owner=f"owner-{number}", seconds=30)

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(hold, range(THREADS))) == 1


def test_eight_threads_that_read_and_then_write_never_find_the_ledger_locked(ledger: Ledger, rig: Rig) -> None:
    made = rig.order(entries=[f"s{n:03}" for n in range(THREADS)])

    def write(run: Run) -> int:
        for number in range(25):
            with ledger.transaction() as tx:
                found = runs.get(tx, run.id)
                assert found is not None
                tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(attempts=found.attempts + 1))
            with ledger.read() as connection:
                assert runs.get(connection, run.id).attempts == number + 1  # type: ignore[union-attr]
        return 25

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(write, made.runs)) == 200


def test_a_run_lost_with_its_worker_is_rung_again_and_fails_at_last(
    ledger: Ledger, rig: Rig, run: Run, expire: Callable[[str], None]
) -> None:
    states = []
    for _ in range(rig.shift.pace.max_attempts):
        claimed(ledger, run)
        expire(run.id)
        with ledger.read() as connection:
            [lost] = leases.expired(connection)
        states.append(take_over(rig.shift, lost))
        assert take_over(rig.shift, lost) is None
    assert states == [RunState.QUEUED, RunState.QUEUED, RunState.FAILED]
    assert rig.run(run.id).summary == "lost 3 times with its worker; the last was w1"
    with ledger.read() as connection:
        batch = batches.get(connection, run.batch_id)
    assert batch is not None
    assert batch.ended_at is not None
