"""Owners that live on after their lease: stopped, orphaned, or simply thought dead. Only one outcome counts."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import PAIRS
from tests.support.chaos import Storm, storm
from tests.support.chaos_worker import freeze, gone
from worker.records import RunState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def hasty(url_of_ledger: str, broker_url: str | None, tmp_path: Path) -> Iterator[Storm]:
    """Its sweeper waits so short a time that live owners lose their runs."""
    with storm(tmp_path / "home", url_of_ledger, broker_url, GRACE_SECONDS="0.3", SWEEP_SECONDS="0.1") as found:
        yield found
        sys.stdout.write(found.last_words())


def expire_until(weather: Storm, taken_over: int) -> None:
    """Force every lease into the past, faster than heartbeats mend it, until so many runs were taken over."""
    weather.until("the worker works", lambda: bool(weather.worker) and weather.count(RunState.RUNNING) > 0)

    def enough() -> bool:
        for _ in range(20):
            weather.expire_leases()
            time.sleep(0.01)
        return len(weather.starts()) - len(dict(weather.starts())) >= taken_over

    weather.until("runs are taken over", enough)


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_a_lease_forced_to_end_under_its_living_owner_gives_one_outcome(hasty: Storm) -> None:
    # Fewer runs than children: the next owner works while the last one does.
    hasty.enqueue(runs=2, callback=True, sleep_ms=4000, deaf=True)
    expire_until(hasty, taken_over=2)
    accounts = hasty.settle()
    assert accounts.troubles() == []
    assert len(hasty.workers) == 1, "every owner was alive"
    assert accounts.figures()["requeued"] >= 2


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_a_child_frozen_beyond_its_lease_writes_no_second_outcome(weather: Storm) -> None:
    run_id = weather.enqueue(sleep_ms=3000, callback=True, deaf=True)
    weather.until("it starts", lambda: bool(weather.worker) and len(weather.starts()) == 1)
    _, frozen = weather.starts()[0]
    freeze(frozen, weather.house.ledger)
    weather.until("another has finished it", lambda: weather.run(run_id) == (RunState.SUCCEEDED, 2))
    before = weather.accounts().audit
    os.kill(frozen, signal.SIGCONT)

    # The thawed child goes on to its end, and is free for other work again.
    def works_again() -> bool:
        if weather.count(RunState.QUEUED) == 0:
            weather.enqueue(runs=8, sleep_ms=300)
        return frozen in [pid for _, pid in weather.starts()[2:]] or gone(frozen)

    weather.until("the thawed child works again", works_again)
    accounts = weather.settle()
    assert accounts.troubles() == []
    told = [row.verb for row in accounts.audit if row.object_id == run_id]
    assert told == [row.verb for row in before if row.object_id == run_id]


@pytest.mark.parametrize("pair", PAIRS[:1], indirect=True)
def test_a_child_that_hangs_ends_with_its_main_process_and_lets_go_of_its_run(weather: Storm) -> None:
    run_id = weather.enqueue(hangs_first=True, deaf=True)
    weather.until("it starts", lambda: bool(weather.worker) and len(weather.starts()) == 1)
    _, hanging = weather.starts()[0]
    weather.worker.kill("main", None)
    # Nobody enforces its time limit any more: on Linux the kernel ends it, by the death signal that Celery asks for.
    assert weather.settle().troubles() == []
    assert weather.run(run_id) == (RunState.SUCCEEDED, 2)
    weather.until("the child ends", lambda: gone(hanging))
