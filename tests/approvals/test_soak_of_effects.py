"""Hundreds of kills of workers that carry repairs out, and a dated report of what became of every step: `make soak`."""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.servers import PostgresServer, RedisServer
from tests.support.chaos_worker import ROOT
from tests.support.effects_storm import Tally, hospital, rage, rage_of_celery, report
from tests.support.effects_ward import open_ward

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]
KILLS = int(os.environ.get("SOAK_KILLS", "500"))
"""In all; two fifths in lives on each ledger, a tenth in Celery workers on each."""


@contextmanager
def database(server: PostgresServer) -> Iterator[str]:
    name = server.create_database()
    yield server.database_url(name)
    server.drop_database(name)


def test_hundreds_of_kills_double_no_effect_and_lose_no_outcome(
    postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    def on_sqlite() -> Tally:
        with open_ward(tmp_path / "one", f"sqlite:///{tmp_path / 'one.db'}") as ward:
            return rage(ward, KILLS * 2 // 5, seed=1)

    def on_postgresql() -> Tally:
        with database(postgres_server) as url, open_ward(tmp_path / "two", url) as ward:
            return rage(ward, KILLS * 2 // 5, seed=2)

    def celery_on_sqlite() -> Tally:
        with hospital(tmp_path / "three", f"sqlite:///{tmp_path / 'three.db'}", None) as ward:
            return rage_of_celery(ward, KILLS // 10, seed=3)

    def celery_on_postgresql() -> Tally:
        with database(postgres_server) as url, hospital(tmp_path / "four", url, redis_server.url) as ward:
            return rage_of_celery(ward, KILLS // 10, seed=4)

    storms: dict[str, Callable[[], Tally]] = {
        "SQLite": on_sqlite,
        "PostgreSQL": on_postgresql,
        "SQLite, Celery on the filesystem": celery_on_sqlite,
        "PostgreSQL, Celery on Redis": celery_on_postgresql,
    }
    tallies = {name: storm() for name, storm in storms.items()}
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    now = datetime.now(UTC)
    path = ROOT / "docs" / "reports" / f"{now:%Y-%m-%d}-soak-of-repairs.md"
    path.write_text(report(now, machine, tallies), encoding="utf-8")
    assert [trouble for tally in tallies.values() for trouble in tally.troubles] == []
