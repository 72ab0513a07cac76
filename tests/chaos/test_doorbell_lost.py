"""A doorbell that forgets everything under a worker at rest: bells are heard again."""

import pytest

from tests.servers import RedisServer
from tests.support.chaos import Storm
from worker.records import RunState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("pair", ["sqlite+redis"], indirect=True)
def test_a_living_worker_hears_bells_again_after_its_redis_forgot_everything(weather: Storm, redis_server: RedisServer) -> None:
    weather.enqueue()
    weather.until("the worker works", lambda: bool(weather.worker) and weather.count(RunState.SUCCEEDED) == 1)
    worker = weather.worker
    redis_server.wipe()
    weather.enqueue(runs=3)
    weather.until("it works again", lambda: weather.count(RunState.SUCCEEDED) == 4)
    assert weather.worker is worker
    assert weather.settle().troubles() == []


@pytest.mark.parametrize("pair", ["sqlite+redis"], indirect=True)
def test_work_goes_on_after_redis_died_and_came_back_empty(weather: Storm, redis_server: RedisServer) -> None:
    weather.enqueue(runs=4, sleep_ms=500)
    weather.until("the worker works", lambda: bool(weather.worker) and weather.count(RunState.RUNNING) > 0)
    redis_server.kill9()
    redis_server.forget()
    redis_server.start()
    weather.enqueue(runs=3)
    # Celery's worker may end when its connection does; whoever supervises it starts it again, as `settle` does.
    assert weather.settle().troubles() == []
