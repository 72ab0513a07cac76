"""The pairs of ledger and doorbell that an instance may run on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PostgresServer, RabbitServer, RedisServer
from tests.support.chaos import Storm, storm

PAIRS = ("sqlite+filesystem", "sqlite+redis", "postgresql+redis")


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite+filesystem"))


@pytest.fixture
def broker_url(request: pytest.FixtureRequest, pair: str) -> str | None:
    match pair.partition("+")[2]:
        case "redis":
            redis: RedisServer = request.getfixturevalue("redis_server")
            return redis.url
        case "rabbitmq":
            rabbit: RabbitServer = request.getfixturevalue("rabbit_server")
            # Bells of earlier tests would ring for runs that this ledger does not know.
            rabbit.wipe()
            return rabbit.url
        case _:
            return None


@pytest.fixture
def url_of_ledger(request: pytest.FixtureRequest, pair: str, tmp_path: Path) -> Iterator[str]:
    if pair.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create_database()
    yield server.database_url(name)
    if not server.running:
        server.start()
    server.drop_database(name)


@pytest.fixture
def weather(url_of_ledger: str, broker_url: str | None, tmp_path: Path) -> Iterator[Storm]:
    with storm(tmp_path / "home", url_of_ledger, broker_url) as found:
        yield found
        # Shown with a failure: the worker's side of it.
        sys.stdout.write(found.last_words())
