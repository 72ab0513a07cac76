"""A night over many: bounded by what an account and a worker's memory can take, and told in one line."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from notifications.config import RoutesConfig
from tests.support.fleet_job import JOB, Member
from tests.support.shift import WORKER, Rig, open_rig, request
from worker.flow import Order, enqueue
from worker.flow.claiming import claim
from worker.flow.lost import take_over
from worker.flow.nights import night_so_far
from worker.flow.results import fan_in
from worker.ledger import leases, outbox, runs
from worker.records import Run, RunKind, RunState, Topic
from worker.relay import BellRelay

CHECKS = (RunKind.CHECK,)


@contextmanager
def fleet(ledger_url: str, home: Path, *members: Member, budget: int = 0, **accounts: int) -> Iterator[Rig]:
    with open_rig(ledger_url, home, JOB, tables={"fleet": {one.name: one for one in members}}, memory_budget=budget) as rig:
        rig.estate.append(replace(rig.estate[-1], accounts=accounts))
        yield rig


def members(number: int, **said: object) -> list[Member]:
    return [Member.model_validate({"name": f"{said.get('account', 'm')}{n}", **said}) for n in range(number)]


def take(rig: Rig, run: Run, worker: str = WORKER) -> Run | None:
    return claim(rig.shift, run.id, run.job, worker, CHECKS)


def taken(rig: Rig, queued: Sequence[Run], worker: str = WORKER) -> list[Run]:
    return [run for one in queued if (run := take(rig, one, worker)) is not None]


def test_an_account_takes_as_many_runs_as_it_may_and_another_is_not_held(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(4, account="a"), *members(2, account="b"), a=2, b=1) as rig:
        queued = rig.order("fleet").runs
        going = taken(rig, queued)
        assert [(run.account, run.account_slot) for run in going] == [("a", 0), ("a", 1), ("b", 0)]
        end(rig, going[0])
        assert [(run.params["entries"], run.account_slot) for run in taken(rig, queued)] == [(["a2"], 0)]


def end(rig: Rig, run: Run) -> None:
    with rig.ledger.transaction() as tx:
        assert leases.finish(tx, run, state=RunState.SUCCEEDED, verdict="ok", reason=None, summary="", counts={}, progress={})


def test_of_claims_at_once_no_more_get_through_than_there_is_room(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(12, account="a", memory_mb=300), budget=1000, a=5) as rig:
        queued = rig.order("fleet").runs
        with ThreadPoolExecutor(8) as pool:
            for _ in range(5):
                # One that was refused room by a claim at the same moment is rung for again.
                list(pool.map(lambda run: take(rig, run), queued))
        going = [run for run in map(rig.run, (one.id for one in queued)) if run.state is RunState.RUNNING]
        assert sorted(run.worker_slot for run in going if run.worker_slot is not None) == [0, 1, 2]
        assert len(going) == 3


def test_a_workers_memory_holds_so_many_and_another_worker_has_its_own(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(5, memory_mb=400), *members(1, account="light"), budget=1000) as rig:
        queued = rig.order("fleet").runs
        assert [run.worker_slot for run in taken(rig, queued)] == [0, 1, None]
        assert [run.worker_slot for run in taken(rig, queued, "worker-2@test")] == [0, 1]
        assert taken(rig, queued) == []


def test_what_is_bigger_than_the_memory_of_a_worker_runs_there_alone(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(2, memory_mb=5000), budget=1000) as rig:
        first, second = rig.order("fleet").runs
        run = take(rig, first)
        assert run is not None
        assert take(rig, second) is None
        end(rig, run)
        assert take(rig, second) is not None


def test_without_a_budget_and_without_its_account_in_the_configuration_nothing_is_held(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(4, account="unnamed", memory_mb=900)) as rig:
        going = taken(rig, rig.order("fleet").runs)
        assert [(run.account, run.worker_slot) for run in going] == [(None, None)] * 4


def test_a_run_that_died_with_its_worker_leaves_its_slots(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(2, account="a", memory_mb=900), budget=1000, a=1) as rig:
        rig.shift = replace(rig.shift, pace=replace(rig.shift.pace, lease=timedelta(seconds=-1)))
        first, second = rig.order("fleet").runs
        dead = take(rig, first)
        assert dead is not None
        assert take(rig, second) is None
        assert take_over(rig.shift, dead) is RunState.QUEUED
        assert take(rig, second) is not None


def test_a_fleet_is_rung_for_as_far_as_there_is_room_and_who_ends_rings_for_the_next(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(4, account="a"), *members(2, account="b"), a=2, b=1) as rig:
        queued = rig.order("fleet").runs
        ids = [run.id for run in queued]
        assert rig.rung == [ids[0], ids[1], ids[4]]
        rig.rung.clear()
        rig.execute(queued[0])
        assert rig.rung == [ids[1]]
        rig.execute(queued[1])
        assert rig.rung == [ids[1], ids[2]]


def test_who_leaves_memory_rings_for_one_of_another_account_too(ledger_url: str, tmp_path: Path) -> None:
    heavy = [*members(2, account="a", memory_mb=600), *members(2, account="b", memory_mb=600)]
    with fleet(ledger_url, tmp_path, *heavy, budget=1000, a=1, b=1) as rig:
        queued = rig.order("fleet").runs
        rig.rung.clear()
        take(rig, queued[2], "elsewhere")
        rig.execute(queued[0])
        assert rig.rung == [queued[1].id]
        rig.rung.clear()
        end(rig, rig.run(queued[2].id))
        rig.execute(queued[1])
        assert rig.rung == [queued[3].id]


def test_the_relay_leaves_the_bells_of_a_full_account_and_rings_the_others(ledger_url: str, tmp_path: Path) -> None:
    with fleet(ledger_url, tmp_path, *members(3, account="a"), *members(2, account="b"), a=1, b=2) as rig:
        queued = rig.order("fleet").runs
        take(rig, queued[0])
        rig.rung.clear()
        rig.clock.advance(timedelta(seconds=3))
        BellRelay(rig.shift, lambda _: 0).step()
        assert sorted(rig.rung) == sorted(run.id for run in queued[3:])
        with rig.ledger.read() as connection:
            waiting = outbox.due(connection, Topic.BELL, rig.clock() + timedelta(seconds=10), 10)
        assert {row.subject for row in waiting} >= {run.id for run in queued[1:3]}


def test_a_night_over_a_fleet_is_counted_by_what_drifted(ledger_url: str, tmp_path: Path) -> None:
    said = ["ok", "ok", "drifted", "odd", "cannot_tell"]
    with fleet(
        ledger_url, tmp_path, *(Member.model_validate({"name": f"m{n}", "says": one}) for n, one in enumerate(said))
    ) as rig:
        rig.look("fleet")
        batch = rig.order("fleet").batch
        assert batch.entries_expected == 5
        found = [rig.run(run.id).counts for run in rig.order("fleet").runs]
        assert found == [{}] * 5
        with rig.ledger.read() as connection:
            ended = [run for run in runs.listing(connection, job="fleet") if run.counts]
        assert [run.counts.get("drifted") for run in sorted(ended, key=lambda run: run.position)] == [None, None, 1, None, None]


@pytest.mark.parametrize(
    ("looked_at", "expected", "counts", "told"),
    [
        (500, 500, {"ok": 491, "finding": 7, "drifted": 7, "cannot_tell": 2}, "looked at 500 of 500, 7 drifted, 2 cannot tell"),
        (480, 500, {"ok": 470, "finding": 10, "drifted": 4}, "looked at 480 of 500, 4 drifted, 6 with other findings"),
        (3, 3, {"ok": 2, "finding": 1}, "looked at 3 of 3, 1 with findings"),
        (500, 500, {"ok": 500}, "looked at 500 of 500, all ok"),
        (0, 500, {}, "looked at 0 of 500"),
        (0, 0, {}, "looked at 0 of 0"),
    ],
)
def test_a_fleet_is_told_in_one_line(looked_at: int, expected: int, counts: dict[str, int], told: str) -> None:
    assert fan_in(looked_at, expected, counts) == told


def test_the_digest_tells_of_the_newest_batch_of_a_schedule_over_several_entries(ledger_url: str, tmp_path: Path) -> None:
    said = [*members(2), Member(name="d", says="drifted"), Member(name="u", says="cannot_tell")]
    with fleet(ledger_url, tmp_path, *said) as rig:
        for key in ("night-1", "night-2"):
            asked = request(Order(job="fleet"), schedule="nightly-fleet", fire_key=key)
            for run in enqueue(rig.shift, asked).runs:
                rig.execute(run)
            rig.clock.advance(timedelta(hours=1))
        enqueue(rig.shift, request(Order(job="fleet", params={"entries": ["d"]}), schedule="one", fire_key="night-2"))
        found = night_so_far(rig.shift, RoutesConfig(), "https://night.example.org")
    assert found.fleets == [("nightly-fleet", "looked at 4 of 4, 1 drifted, 1 cannot tell")]
