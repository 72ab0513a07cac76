"""A ledger that goes away under a running job, children that die at rest, a torn table of bindings: none costs a run."""

import json
import os
import signal

import pytest

from tests.chaos.conftest import PAIRS
from tests.servers import PostgresServer
from tests.support.chaos import Storm
from worker.doorbell.broker import filesystem_folders
from worker.records import RunState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("pair", ["postgresql+filesystem"], indirect=True)
def test_a_job_that_asks_the_ledger_while_it_is_away_waits_for_it(weather: Storm, postgres_server: PostgresServer) -> None:
    run_id = weather.enqueue(sleep_ms=1000, deaf=True)
    weather.until("it starts", lambda: bool(weather.worker) and len(weather.starts()) == 1)
    postgres_server.crash()
    # Its next act is to read its history.
    weather.until("its work is done", lambda: '"worked"' in weather.last_words())
    postgres_server.start()
    assert weather.settle().troubles() == []
    assert weather.run(run_id)[0] == RunState.SUCCEEDED


@pytest.mark.parametrize("pair", [*PAIRS, "postgresql+rabbitmq"], indirect=True)
def test_children_killed_at_rest_leave_a_worker_that_works(weather: Storm) -> None:
    weather.enqueue()
    weather.until("the worker works", lambda: bool(weather.worker) and weather.count(RunState.SUCCEEDED) == 1)
    worker = weather.worker
    weather.until("all children are at rest", lambda: len(worker.children()) == 4)
    for pid in worker.children():
        os.kill(pid, signal.SIGKILL)
    weather.enqueue(runs=4)
    weather.until("it works again", lambda: weather.count(RunState.SUCCEEDED) == 5)
    assert weather.worker is worker
    assert weather.settle().troubles() == []


@pytest.mark.parametrize("pair", PAIRS[:1], indirect=True)
def test_a_worker_starts_over_a_table_of_bindings_that_is_torn(weather: Storm) -> None:
    control = filesystem_folders(weather.house.settings.home)["control"]
    tables = [control / f"{exchange}.exchange" for exchange in ("nightshift", "celery.pidbox")]
    for table in tables:
        table.write_text('[["checks", "", "che')
    weather.enqueue()
    weather.until("the worker works", lambda: bool(weather.worker) and weather.count(RunState.SUCCEEDED) == 1)
    assert len(weather.workers) == 1
    assert all(json.loads(table.read_text()) for table in tables)
