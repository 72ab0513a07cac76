"""Hundreds of kills over all pairs and disturbances, and a dated report of what became of every run: `make soak`."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import pytest

from tests.servers import PostgresServer, RabbitServer, RedisServer
from tests.support.chaos import Storm, storm
from tests.support.chaos_report import Chapter, report
from tests.support.chaos_worker import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]
KILLS = int(os.environ.get("SOAK_KILLS", "500"))
"""In all; `SOAK_KILLS=60 make soak` for a shorter one."""
PER_STORM = 25
"""A new home and ledger after so many kills, so that the books stay readable when something is wrong."""


class Weather:
    """The servers, and the storms that can be had with them: (name, ledger, broker, disturbance)."""

    def __init__(self, redis: RedisServer, postgres: PostgresServer, rabbit: RabbitServer) -> None:
        self.redis, self.postgres, self.rabbit = redis, postgres, rabbit

    def kinds(self) -> list[tuple[str, str, str | None, Callable[[int], None]]]:
        return [
            ("SQLite + filesystem", "sqlite", None, calm),
            ("SQLite + Redis", "sqlite", self.redis.url, calm),
            ("PostgreSQL + Redis", "postgresql", self.redis.url, calm),
            ("PostgreSQL + Redis, wiped", "postgresql", self.redis.url, self.wipe),
            ("PostgreSQL + Redis, PostgreSQL crashed", "postgresql", self.redis.url, self.crash),
            ("PostgreSQL + RabbitMQ", "postgresql", self.rabbit.url, calm),
        ]

    def wipe(self, number: int) -> None:
        if number % 4 == 1:
            self.redis.wipe()
        elif number % 4 == 3:
            self.redis.kill9()
            self.redis.forget()
            self.redis.start()

    def crash(self, number: int) -> None:
        if number % 5 == 1:
            self.postgres.crash()
            self.postgres.start()

    @contextmanager
    def ledger(self, kind: str, home: Path) -> Iterator[str]:
        if kind == "sqlite":
            yield f"sqlite:///{home / 'ledger.db'}"
            return
        name = self.postgres.create_database()
        yield self.postgres.database_url(name)
        self.postgres.drop_database(name)


def calm(_: int) -> None:
    """Nothing but kills."""


def weather_out(found: Storm, kills: int, disturb: Callable[[int], None]) -> Chapter:
    """One storm to its end; its figures and troubles."""
    began, stuck = monotonic(), []
    try:
        found.rage(kills, disturb)
        found.settle()
        found.until("orphans end by themselves", lambda: found.orphans() == [])
    except (AssertionError, TimeoutError) as error:
        # The report tells it, and what the other storms came to.
        stuck = [str(error).splitlines()[0]]
    accounts = found.accounts()
    broken = [f"accepted batch {batch_id} is not whole" for batch_id in found.missing()]
    troubles = [*stuck, *accounts.troubles(), *broken]
    return Chapter(kills=found.kills, figures=accounts.figures(), seconds=monotonic() - began, troubles=troubles)


def test_hundreds_of_kills_lose_and_double_nothing(
    redis_server: RedisServer, postgres_server: PostgresServer, rabbit_server: RabbitServer, tmp_path: Path
) -> None:
    weather = Weather(redis_server, postgres_server, rabbit_server)
    kinds = weather.kinds()
    share = -(-KILLS // len(kinds))
    chapters: dict[str, list[Chapter]] = {}
    for name, ledger, broker_url, disturb in kinds:
        for number, first in enumerate(range(0, share, PER_STORM)):
            home = tmp_path / f"{len(chapters)}-{number}"
            with weather.ledger(ledger, home) as url, storm(home, url, broker_url) as found:
                chapters.setdefault(name, []).append(weather_out(found, min(PER_STORM, share - first), disturb))
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, Celery {version('celery')}"
    now = datetime.now(UTC)
    text = report(now, f"{machine}, kombu {version('kombu')}, SQLAlchemy {version('sqlalchemy')}", chapters)
    (ROOT / "docs" / "reports" / f"{now:%Y-%m-%d}-soak.md").write_text(text, encoding="utf-8")
    assert [trouble for parts in chapters.values() for part in parts for trouble in part.troubles] == []
