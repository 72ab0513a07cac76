"""Repairs in a real Celery worker: they come by the queue `effects` alone, and survive the death of those who do them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PostgresServer, RedisServer
from tests.support.chaos_worker import Worker
from tests.support.effects_storm import hospital, rage_of_celery
from tests.support.effects_ward import Ward, open_ward
from tests.support.waiting import until
from worker.queue.telling import PREFIX
from worker.records import Run, RunState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    name = postgres_server.create_database()
    yield postgres_server.database_url(name)
    postgres_server.drop_database(name)


def test_kills_of_a_worker_in_mid_step_double_nothing_and_lose_nothing(
    url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    with hospital(tmp_path / "home", url, redis_server.url) as ward:
        tally = rage_of_celery(ward, kills=4, seed=5)
    assert tally.troubles == []
    assert tally.kills.total() == 4


def ring(ward: Ward, run: Run, queue: str) -> None:
    ward.house.celery.send_task(PREFIX + run.job, (run.id,), task_id=run.id, queue=queue)


def times_heard(ward: Ward, run: Run) -> int:
    log = ward.home / "worker.log"
    return log.read_text(errors="replace").count(f"[{run.id}] received") if log.exists() else 0


@pytest.mark.parametrize("queues", ["checks", "checks,effects"])
def test_a_bell_for_a_repair_that_came_by_the_queue_of_the_checks_does_nothing(
    url: str, redis_server: RedisServer, tmp_path: Path, queues: str
) -> None:
    with open_ward(tmp_path / "home", url, BROKER_URL=redis_server.url, LOG_LEVEL="debug") as ward:
        [run, other] = ward.approve({}, {})
        worker = Worker(ward.environ, ward.home / "worker.log", queues)
        try:
            ring(ward, run, "checks")
            until("the worker hears it", lambda: times_heard(ward, run) == 1)
            if queues == "checks":
                # Whatever follows it by the same way was dealt with after it.
                ring(ward, other, "checks")
                until("the worker hears it", lambda: times_heard(ward, other) == 1)
            else:
                ring(ward, other, "effects")
                until("the other is carried out", lambda: ward.run(other.id).state is RunState.SUCCEEDED)
            worker.drain()
            assert ward.run(run.id).state is RunState.QUEUED
            assert "run.started" not in ward.verbs(run)
        finally:
            worker.stop()
            ward.house.celery.close()
