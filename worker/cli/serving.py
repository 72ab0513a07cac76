"""The parts of a running instance: the ledger opened, the configuration applied, the loops, the server, and when all is ready."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from worker import configuration, logs
from worker.cli.instance import write_whole
from worker.cli.refusals import Unavailable
from worker.flow.api_tokens import create_token
from worker.flow.presence import leave
from worker.ledger import LedgerUnavailable, people
from worker.ledger.schema import migrate
from worker.loops import Loop
from worker.records import Actor, ActorKind
from worker.redaction import mask_urls
from worker.tokens import grants_of_role, hash_token
from worker.wiring import House

if TYPE_CHECKING:
    from worker.cli.up import Ending

UP = Actor(ActorKind.CLI, "up")
_LOG = logs.get_log("nightshift.up")
_LOOK_AT_FILES_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_OPEN_REQUESTS_SECONDS = 5


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: ours decide what ends when."""

    @classmethod
    def of(cls, house: House) -> Self:
        """The gateway of `house`."""
        return cls(
            uvicorn.Config(
                house.gateway(),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_OPEN_REQUESTS_SECONDS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See the class."""
        yield

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether to end. 0: it makes the `Date` header anew each time."""
        while not await self.on_tick(0):  # noqa: ASYNC110 - signal handlers set `should_exit`, which wakes nobody
            await asyncio.sleep(_LOOK_SECONDS)

    def answer(self, listener: socket.socket) -> None:
        """Until `should_exit`."""
        asyncio.run(self.serve(sockets=[listener]))


def open_instance(house: House) -> None:
    """Ledger and keys are there, the schema is ours, the files are in force. Raises what is wrong and what to do."""
    try:
        house.ledger.ping()
    except LedgerUnavailable as error:
        message = f"{error}\nstart the database, or name another one: NIGHTSHIFT_LEDGER_URL=…"
        raise Unavailable(message) from None
    before, after = migrate(house.ledger)
    if before != after:
        _LOG.info("ledger_migrated", before=before, after=after)
    _ = house.keys.current_id
    try:
        apply_files(house, "at start")
    except configuration.ConfigurationError as error:
        if configuration.current(house.ledger) is None:
            raise
        _LOG.error("configuration_refused", kept="the revision in force", problems=[str(problem) for problem in error.problems])


def apply_files(house: House, note: str) -> None:
    """Put the files of the home in force. Raises `ConfigurationError`."""
    found = configuration.check(house.settings.home, house.jobs, house.zone)
    applied = configuration.apply(house.ledger, found, actor=UP, note=note, at=house.shift.clock())
    if applied.changed:
        _LOG.info("configuration_applied", revision=applied.id, digest=applied.digest)


def configuration_loop(house: House) -> Loop:
    """Applies the files again when one of them has changed."""
    watcher = configuration.Watcher(house.settings.home)

    def step() -> bool:
        if watcher.changed():
            try:
                apply_files(house, "a file changed")
            except configuration.ConfigurationError as error:
                problems = [str(problem) for problem in error.problems]
                _LOG.error("configuration_refused", kept="the revision in force", problems=problems)
        return False

    return Loop("configuration", _LOOK_AT_FILES_SECONDS, step)


@contextmanager
def running_loops(house: House, asked: threading.Event) -> Iterator[None]:
    """Scheduler, relay, sweeper and the watch over the files, each in a thread, as long as the block lasts."""
    loops = [
        house.presence_loop("gateway"),
        house.scheduler_loop(),
        *house.relay_loops(),
        house.sweeper_loop(),
        configuration_loop(house),
    ]
    threads = [loop.start(asked) for loop in loops]
    try:
        yield
    finally:
        asked.set()
        for loop in loops:
            loop.wake.set()
        for thread in threads:
            thread.join(10.0)
        with suppress(SQLAlchemyError):
            leave(house.shift, "gateway")


def wait_until_ready(house: House, ending: "Ending", tell: Callable[[], None], *, worker: bool) -> None:
    """Call `tell` once the gateway answers and the worker has said that it is there."""
    while not ending.asked.is_set():
        if ending.server and ending.server.started and (not worker or worker_answers(house)):
            tell()
            return
        time.sleep(0.02)


def worker_answers(house: House) -> bool:
    """Whether a worker hears the doorbell."""
    try:
        return bool(house.celery.control.ping(timeout=0.25, limit=1))
    except Exception as error:  # noqa: BLE001 - each transport has errors of its own; asked again
        _LOG.debug("worker_not_yet", error=type(error).__name__)
        return False


def operator_token(house: House) -> Path:
    """The file with an API token of the operator's, 0600; made when there is none that still works."""
    path = house.settings.home / "token"
    if not _still_works(house, path):
        lifetime = timedelta(days=house.settings.token_days)
        made = create_token(house.shift, "operator", grants_of_role("admin"), UP, lifetime=lifetime)
        write_whole(path, made.text)
    path.chmod(0o600)
    return path


def _still_works(house: House, path: Path) -> bool:
    if not path.exists():
        return False
    with house.ledger.read() as connection:
        row = people.token_by_hash(connection, hash_token(path.read_text(encoding="utf-8").strip()))
    return row is not None and row.revoked_at is None and row.expires_at - house.shift.clock() > timedelta(days=1)


def broker_trouble(house: House) -> str | None:
    """Why the broker cannot be reached, and what to do; None: it can."""
    if house.broker is None:
        return "there is no broker; start `nightshift up`, which brings its own, or name one: NIGHTSHIFT_BROKER_URL=redis://…"
    try:
        with house.celery.connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except Exception as error:  # noqa: BLE001 - each transport has errors of its own
        where = mask_urls(house.broker.url)
        return f"the broker {where} does not answer: {error}; start it, or name another: NIGHTSHIFT_BROKER_URL=…"
    return None
