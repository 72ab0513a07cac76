"""A ledger that goes away under a running job, and a child that dies at rest: neither costs a run."""

import os
import signal
from pathlib import Path

import pytest

from tests.chaos.conftest import PAIRS
from tests.servers import PostgresServer
from tests.support.chaos import Storm, wait_for
from worker.records import RunState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("pair", ["postgresql+filesystem"], indirect=True)
def test_a_job_that_asks_the_ledger_while_it_is_away_waits_for_it(weather: Storm, postgres_server: PostgresServer) -> None:
    run_id = weather.enqueue(sleep_ms=1000, deaf=True)
    wait_for("it starts", lambda: bool(weather.worker) and len(weather.starts()) == 1)
    postgres_server.crash()
    # Its next act is to read its history.
    wait_for("its work is done", lambda: '"worked"' in weather.last_words())
    postgres_server.start()
    assert weather.settle().troubles() == []
    assert weather.run(run_id)[0] == RunState.SUCCEEDED


STUCK = pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="without an event loop Celery's pool shares one lock among its children; one killed at rest keeps it for ever",
)


@pytest.mark.parametrize("pair", [pytest.param(PAIRS[0], marks=STUCK), *PAIRS[1:]], indirect=True)
def test_children_killed_at_rest_leave_a_worker_that_works(weather: Storm) -> None:
    weather.enqueue()
    wait_for("the worker works", lambda: bool(weather.worker) and weather.count(RunState.SUCCEEDED) == 1)
    worker = weather.worker
    wait_for("all children are at rest", lambda: len(worker.children()) == 4)
    for pid in worker.children():
        if _reads_a_pipe(pid):
            os.kill(pid, signal.SIGKILL)
    weather.enqueue(runs=4)
    wait_for("it works again", lambda: weather.count(RunState.SUCCEEDED) == 5)
    assert weather.worker is worker
    assert weather.settle().troubles() == []


def _reads_a_pipe(pid: int) -> bool:
    """Waiting for its next job, with whatever lock that takes."""
    return "pipe" in Path(f"/proc/{pid}/wchan").read_text() or "poll" in Path(f"/proc/{pid}/wchan").read_text()
