"""`kill -9` of child, main and group: every accepted run finishes exactly once, none is lost, none is stuck."""

import pytest

from tests.chaos.conftest import PAIRS
from tests.servers import PostgresServer, RedisServer
from tests.support.chaos import Storm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KILLS = 10


def all_is_well(weather: Storm) -> None:
    """Every run finished once in every book, and nobody works on for a dead worker."""
    accounts = weather.settle()
    assert accounts.troubles() == []
    assert weather.missing() == []
    weather.until("orphans end by themselves", lambda: weather.orphans() == [])


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_every_accepted_run_finishes_exactly_once_through_kills(weather: Storm) -> None:
    weather.rage(KILLS)
    all_is_well(weather)


@pytest.mark.parametrize("pair", ["postgresql+rabbitmq"], indirect=True)
def test_every_accepted_run_finishes_exactly_once_through_kills_on_rabbitmq(weather: Storm) -> None:
    weather.rage(KILLS)
    all_is_well(weather)


@pytest.mark.parametrize("pair", ["sqlite+redis", "postgresql+redis"], indirect=True)
def test_a_doorbell_that_loses_everything_loses_no_run(weather: Storm, redis_server: RedisServer) -> None:
    def disturb(number: int) -> None:
        if number % 4 == 1:
            redis_server.wipe()
        elif number % 4 == 3:
            redis_server.kill9()
            redis_server.forget()
            redis_server.start()

    weather.rage(KILLS, disturb)
    all_is_well(weather)


@pytest.mark.parametrize("pair", ["postgresql+redis"], indirect=True)
def test_a_ledger_that_crashes_between_kills_loses_no_run(weather: Storm, postgres_server: PostgresServer) -> None:
    def disturb(number: int) -> None:
        if number % 3 == 1:
            postgres_server.crash()
            postgres_server.start()

    weather.rage(KILLS, disturb)
    all_is_well(weather)
