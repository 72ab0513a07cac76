"""A turn writes all that goes with it, or nothing: on PostgreSQL in one statement, on SQLite in several."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import update

from tests.support.shift import Rig
from worker.flow.outcome import Outcome, ended
from worker.ledger import Ledger, audit_rows, batches, findings, leases, outbox, runs, subscriptions, turns
from worker.ledger.rows import new_id
from worker.ledger.tables import BATCHES
from worker.records import (
    EventKind,
    FindingKind,
    FindingRow,
    FindingState,
    Run,
    RunKind,
    RunState,
    Subscription,
    SubscriptionState,
    Topic,
    Verdict,
)

SAID: leases.Finish = {
    "state": RunState.SUCCEEDED,
    "verdict": Verdict.OK,
    "reason": None,
    "summary": "1 ok",
    "counts": {"ok": 1},
    "progress": {},
}


def take(ledger: Ledger, rig: Rig, run: Run) -> Run | None:
    with ledger.turn() as tx:
        return turns.take(
            tx, run.id, job=run.job, kind=RunKind.CHECK, owner=new_id(), worker="w1", lease_seconds=30, at=rig.clock()
        )


def taken(ledger: Ledger, rig: Rig, run: Run) -> Run:
    found = take(ledger, rig, run)
    assert found is not None
    return found


def end(ledger: Ledger, rig: Rig, run: Run) -> bool:
    outcome = Outcome(run_id=run.id, state=RunState.SUCCEEDED, verdict=Verdict.OK, reason=None, summary="1 ok")
    with ledger.turn() as tx:
        return turns.end_quietly(tx, run, {"s000"}, ended(run, outcome, rig.clock(), by="worker:w1"), SAID)


def told(ledger: Ledger, object_id: str) -> list[tuple[str, str, object]]:
    with ledger.read() as connection:
        rows = audit_rows.recent(connection, object_id=object_id)
    return [(row.entry.verb, row.entry.actor, row.entry.facts) for row in reversed(rows)]


def finding(rig: Rig, run: Run, state: FindingState) -> FindingRow:
    return FindingRow(
        id=new_id(), job=run.job, entry="s000", key="k", subject="s000", kind=FindingKind.FINDING, reason="r", cause="r",
        severity="low", title="t", detail="", evidence={}, desired=None, actual=None, recheck=None, environment="default",
        owner="", labels={}, state=state, times_seen=1, run_id=run.id, observed_at=rig.clock(), opened_at=rig.clock(),
    )  # fmt: skip


@pytest.fixture
def run(rig: Rig) -> Run:
    return rig.order(entries=["s000"]).runs[0]


def test_a_run_is_taken_once_and_its_audit_row_says_so(ledger: Ledger, rig: Rig, run: Run) -> None:
    mine = taken(ledger, rig, run)
    assert take(ledger, rig, run) is None
    assert (mine.state, mine.fence, mine.worker) == (RunState.RUNNING, 1, "w1")
    facts = {"job": run.job, "fence": 1, "attempt": 1, "revision": mine.revision}
    assert told(ledger, run.id) == [("run.started", "worker:w1", facts)]


def test_the_last_quiet_end_ends_the_batch_and_tells_whoever_asked(ledger: Ledger, rig: Rig, run: Run) -> None:
    with ledger.transaction() as tx:
        asked = {"callback": "sealed", "schedule": "nightly"}
        tx.execute(update(BATCHES).where(BATCHES.c.id == run.batch_id).values(asked))
    mine = taken(ledger, rig, run)
    assert end(ledger, rig, mine)
    with ledger.read() as connection:
        batch, found = batches.get(connection, run.batch_id), runs.get(connection, run.id)
        due = [row for topic in (Topic.CALLBACK, Topic.PING) for row in outbox.due(connection, topic, rig.clock(), 9)]
    assert batch is not None
    assert found is not None
    assert (batch.remaining, batch.ended_at is None, found.state, found.ended_at is None) == (0, False, RunState.SUCCEEDED, False)
    assert (found.summary, found.counts, found.verdict, found.lease_until) == ("1 ok", {"ok": 1}, Verdict.OK, None)
    assert [(row.topic, row.subject, row.payload, row.attempts) for row in due] == [
        (Topic.CALLBACK, batch.id, {}, 0),
        (Topic.PING, batch.id, {}, 0),
    ]
    assert [verb for verb, *_ in told(ledger, run.id)] == ["run.started", "run.succeeded"]
    assert told(ledger, batch.id)[1:] == [("batch.ended", "worker:w1", {"runs": 1, "schedule": "nightly"})]


def test_a_batch_whose_runs_end_quietly_all_at_once_ends_once(ledger: Ledger, rig: Rig) -> None:
    made = rig.order(entries=[f"s{n:03}" for n in range(64)])
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda run: end(ledger, rig, taken(ledger, rig, run)), made.runs))
    with ledger.read() as connection:
        batch = batches.get(connection, made.batch.id)
    assert batch is not None
    assert (batch.remaining, batch.ended_at is None) == (0, False)
    assert [verb for verb, *_ in told(ledger, batch.id)] == ["batch.queued", "batch.ended"]


def test_a_batch_that_was_ended_before_a_run_of_it_was_put_back_is_not_told_of_again(ledger: Ledger, rig: Rig, run: Run) -> None:
    with ledger.transaction() as tx:
        tx.execute(update(BATCHES).where(BATCHES.c.id == run.batch_id).values(ended_at=rig.clock()))
    assert end(ledger, rig, taken(ledger, rig, run))
    assert [verb for verb, *_ in told(ledger, run.batch_id)] == ["batch.queued"]


def test_a_finding_that_stands_keeps_its_run_from_ending_quietly(ledger: Ledger, rig: Rig, run: Run) -> None:
    mine = taken(ledger, rig, run)
    row = finding(rig, run, FindingState.MUTED)
    with ledger.transaction() as tx:
        findings.insert_finding(tx, row)
    assert not end(ledger, rig, mine)
    assert [verb for verb, *_ in told(ledger, run.id)] == ["run.started"]
    with ledger.transaction() as tx:
        findings.replace(tx, replace(row, state=FindingState.RESOLVED))
    assert end(ledger, rig, mine)


def test_no_run_ends_quietly_while_somebody_subscribes_to_events(ledger: Ledger, rig: Rig, run: Run) -> None:
    mine = taken(ledger, rig, run)
    hook = Subscription(
        id=new_id(), family=new_id(), created_by="token:canvas", url="sealed", host="localhost", secret="sealed",
        events=[EventKind.RUN_FINISHED], state=SubscriptionState.ACTIVE, created_at=rig.clock(),
    )  # fmt: skip
    with ledger.transaction() as tx:
        subscriptions.insert_subscription(tx, hook)
    assert not end(ledger, rig, mine)
    assert [verb for verb, *_ in told(ledger, run.id)] == ["run.started"]
    with ledger.transaction() as tx:
        subscriptions.disable(tx, hook.id, at=rig.clock(), reason="its token was revoked")
    assert end(ledger, rig, mine)


def test_whoever_lost_the_fence_ends_nothing(ledger: Ledger, rig: Rig, run: Run) -> None:
    mine = taken(ledger, rig, run)
    assert not end(ledger, rig, replace(mine, fence=mine.fence - 1))
    assert not end(ledger, rig, replace(mine, lease_owner="other"))
    with ledger.read() as connection:
        batch = batches.get(connection, run.batch_id)
    assert batch is not None
    assert batch.remaining == 1
    assert [verb for verb, *_ in told(ledger, run.id)] == ["run.started"]
