"""SIGTERM: runs come to their next boundary, for as long as the drain may take, and no longer."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer
from tests.support.chaos_worker import gone
from tests.support.stack import Stack
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.records import RunState


@pytest.fixture(scope="module", params=["prefork", "threads", "solo"])
def pool(request: pytest.FixtureRequest, _redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    _redis.wipe()
    home: Path = tmp_path_factory.mktemp(request.param) / "home"
    with Stack(home, _redis.url, pool=request.param) as stack:
        yield stack


def test_a_run_that_looks_is_released_and_the_next_worker_finishes_it(pool: Stack) -> None:
    worker = pool.worker()
    run_id = pool.ask(waits=True)
    pool.at_the_gate(run_id)
    assert pool.stop(worker) == 0
    released = pool.run(run_id)
    assert (released.state, released.attempts, released.fence) == (RunState.QUEUED, 0, 1)
    assert "drain_over" not in pool.said("one")
    pool.open(run_id)
    pool.worker("two")
    run = pool.becomes(run_id, RunState.SUCCEEDED)
    assert (run.attempts, run.fence) == (1, 2)
    assert pool.stop(pool.workers["two"]) == 0


@pytest.fixture(scope="module")
def prefork(_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    _redis.wipe()
    with Stack(tmp_path_factory.mktemp("stopping") / "home", _redis.url) as stack:
        yield stack


def test_a_run_that_ends_within_the_drain_ends_well(prefork: Stack) -> None:
    worker = prefork.worker()
    run_id = prefork.ask(waits=True, deaf=True)
    prefork.at_the_gate(run_id)
    worker.send_signal(signal.SIGTERM)
    until("it drains", lambda: "Stopping Pool" in prefork.said("one"))
    prefork.open(run_id)
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert prefork.run(run_id).state is RunState.SUCCEEDED


def test_a_run_that_does_not_look_is_left_to_the_sweeper(prefork: Stack) -> None:
    worker = prefork.worker("deaf")
    run_id = prefork.ask(waits=True, deaf=True)
    child = prefork.at_the_gate(run_id)
    prefork.stop(worker)
    assert prefork.run(run_id).state is RunState.RUNNING
    until("nobody works on it", lambda: gone(child))
    prefork.open(run_id)
    worker = prefork.worker("next")
    assert prefork.becomes(run_id, RunState.SUCCEEDED).attempts == 2
    assert prefork.stop(worker) == 0


def test_a_sigterm_to_the_whole_group_is_a_drain_too(prefork: Stack) -> None:
    """As systemd sends it."""
    worker = prefork.worker("two")
    run_id = prefork.ask(waits=True)
    child = prefork.at_the_gate(run_id)
    os.kill(child, signal.SIGTERM)
    prefork.becomes(prefork.ask(), RunState.SUCCEEDED)
    assert not gone(child), "it may hear of it before its parent does"
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert (prefork.run(run_id).state, prefork.run(run_id).attempts) == (RunState.QUEUED, 0)
    prefork.cancel(run_id)


def test_flowers_shutdown_is_a_drain_too(prefork: Stack) -> None:
    worker = prefork.worker("three")
    run_id = prefork.ask(waits=True)
    prefork.at_the_gate(run_id)
    prefork.house.celery.control.shutdown(destination=["three@here"])
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert prefork.run(run_id).state is RunState.QUEUED
    prefork.cancel(run_id)


def test_an_idle_worker_ends_without_waiting_for_the_drain(prefork: Stack) -> None:
    assert prefork.stop(prefork.worker("four")) == 0
    assert "drain_over" not in prefork.said("four")


def test_a_child_that_has_done_its_share_is_replaced_also_after_the_main_process_used_the_ledger(prefork: Stack) -> None:
    worker = prefork.worker("five", "--max-tasks-per-child", "1", "-c", "1")
    pids = set()
    for _ in range(3):
        prefork.house.celery.control.revoke("no-such-run", reply=True, limit=1, timeout=PATIENCE_SECONDS)
        run_id = prefork.ask()
        prefork.becomes(run_id, RunState.SUCCEEDED)
        pids.add(prefork.at_the_gate(run_id))
    assert len(pids) == 3
    assert prefork.stop(worker) == 0
