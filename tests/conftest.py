"""Servers, fresh ledgers, and a closed door to everything that is not loopback."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from tests.lab.lab import Lab
from tests.servers import Missing, N8nServer, PostgresServer, RabbitServer, RedisServer
from tests.servers.hiding import path_without
from tests.servers.loopback import LoopbackOnly
from tests.servers.n8n_install import node
from tests.servers.process import Server
from tests.servers.pulumi_install import Programs, programs
from tests.support.browser import Browser

IN_CI = bool(os.environ.get("NIGHTSHIFT_CI"))
REDIS_HIDDEN = bool(os.environ.get("NIGHTSHIFT_TEST_NO_REDIS"))

_loopback_only = LoopbackOnly()
ServerT = TypeVar("ServerT", bound=Server)
OpenT = TypeVar("OpenT", bound=AbstractContextManager[object])


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(_loopback_only)
    if config.getoption("numprocesses", None):
        return  # xdist's workers run the tests, and inherit our environment
    # Said to the tests, not to Nightshift, which refuses settings that it does not know: so no process we start inherits them.
    # xdist's workers also get a terminal's size, which Python's readline put into the environment of their parent.
    for name in ("NIGHTSHIFT_CI", "NIGHTSHIFT_TEST_NO_REDIS", "COLUMNS", "LINES"):
        os.environ.pop(name, None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """An n8n that is not there yet is installed before the first test: no test's time-out is long enough for it."""
    if any("_n8n" in getattr(item, "fixturenames", ()) for item in session.items) and not session.config.option.collectonly:
        with suppress(Missing):
            node()


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[LoopbackOnly]:
    """Nobody needs to ask for it: a test that speaks to the outside fails, even if the code swallows the refusal."""
    _loopback_only.refused.clear()
    yield _loopback_only
    assert _loopback_only.refused == [], "the code under test spoke to something that is not loopback"


@pytest.fixture(scope="session")
def path_without_redis() -> Iterator[str]:
    """A PATH with everything but Redis and Valkey, for the environment of a process."""
    with path_without("redis-", "valkey-") as path:
        yield path


@pytest.fixture(scope="session", autouse=True)
def _redis_hidden_on_request(request: pytest.FixtureRequest) -> Iterator[None]:
    """With NIGHTSHIFT_TEST_NO_REDIS=1 nothing that we start finds a Redis either."""
    with pytest.MonkeyPatch.context() as patch:
        if REDIS_HIDDEN:
            patch.setenv("PATH", request.getfixturevalue("path_without_redis"))
        yield


def _serve(make: Callable[[], OpenT]) -> Iterator[OpenT]:
    try:
        server = make()
    except Missing as missing:
        if IN_CI:
            pytest.fail(f"{missing}; in CI every server must be there")
        pytest.skip(f"{missing}; `make test` installs it as root on Debian")
    with server:
        yield server


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    if REDIS_HIDDEN:
        pytest.skip("Redis is hidden by NIGHTSHIFT_TEST_NO_REDIS")
    yield from _serve(RedisServer)


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    yield from _serve(PostgresServer)


@pytest.fixture(scope="session")
def _rabbit() -> Iterator[RabbitServer]:
    yield from _serve(RabbitServer)


@pytest.fixture(scope="session")
def _n8n() -> Iterator[N8nServer]:
    yield from _serve(N8nServer)


@pytest.fixture(scope="session")
def pulumi() -> Programs:
    """Pulumi's CLI and its YAML language host."""
    try:
        return programs()
    except Missing as missing:
        if IN_CI:
            pytest.fail(f"{missing}; in CI it must be there")
        pytest.skip(f"{missing}; `make test` builds it where there is Go")


@pytest.fixture
def lab(tmp_path: Path, pulumi: Programs) -> Lab:
    """A drift laboratory of the test's own."""
    return Lab(tmp_path / "lab", pulumi)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The session's Chromium; each page of it has a context of its own."""
    yield from _serve(Browser)


def _running(server: ServerT) -> ServerT:
    """A test may kill a server and fail before it starts it again; the next one must not suffer."""
    if not server.running:
        server.start()
    return server


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """The session's Redis, running and empty."""
    _running(_redis).wipe()
    return _redis


@pytest.fixture
def postgres_server(_postgres: PostgresServer) -> PostgresServer:
    """The session's PostgreSQL, running."""
    return _running(_postgres)


@pytest.fixture
def rabbit_server(_rabbit: RabbitServer) -> RabbitServer:
    """The session's RabbitMQ, running; queues of earlier tests are still there, so name yours."""
    return _running(_rabbit)


@pytest.fixture
def n8n_server(_n8n: N8nServer) -> N8nServer:
    """The session's n8n, running, without a workflow, credential or tag; executions of earlier tests are still there."""
    _running(_n8n).wipe()
    return _n8n


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _postgres_template(_postgres: PostgresServer) -> str:
    name = _running(_postgres).create_database()
    _migrate(_postgres.database_url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy's URL of a fresh database without any table, once for SQLite and once for PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    yield from _database(request.getfixturevalue("postgres_server"), "template0")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The same with the newest schema in it: a copy of one migrated once (a database a test costs 50 ms on PostgreSQL)."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("_sqlite_template"), tmp_path / "ledger.db")
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    yield from _database(server, request.getfixturevalue("_postgres_template"))


def _database(server: PostgresServer, template: str) -> Iterator[str]:
    # A database and not a schema each: advisory locks, by which the chainer is elected, are per database.
    name = server.create_database(template)
    yield server.database_url(name)
    _running(server).drop_database(name)


def _migrate(url: str) -> None:
    from worker.ledger.engine import Ledger  # noqa: PLC0415 - most tests need no ledger
    from worker.ledger.schema import migrate  # noqa: PLC0415

    with closing(Ledger(url)) as ledger:
        migrate(ledger)
