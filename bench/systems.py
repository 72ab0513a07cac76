"""The systems side by side: each can take in a number of no-ops while it stands still, and says how fast it worked them off."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from celery import Celery
from sqlalchemy import func, insert, select

from bench.notes import VARIABLE, count, read
from bench.programs import Program, celery_worker, wait_until
from tests.servers import PostgresServer
from worker import wiring
from worker.configuration import apply, check
from worker.flow import Order, Request, enqueue
from worker.ledger import Ledger
from worker.ledger.rows import new_id
from worker.ledger.schema import migrate
from worker.ledger.tables import BATCHES, RUNS
from worker.records import Actor, ActorKind, Trigger
from worker.settings import load_settings

BATCH = 100
ME = Actor(ActorKind.CLI, "bench")


class System(Protocol):
    """What `round_of` needs."""

    name: str

    def start(self, stack: ExitStack) -> None:
        """Start its worker, standing still."""
        ...

    def rate(self, number: int) -> float:
        """Take in `number` no-ops, then work them off: no-ops a second from the first start to the last end."""
        ...

    def latencies(self, number: int, every_seconds: float) -> list[float]:
        """Seconds from the call that enqueues one to the first line of the no-op, worker warm."""
        ...


@dataclass
class Warm:
    """What the Celery systems share: a worker that stands still between its turns, and the notes of its no-ops."""

    name: str
    folder: Path
    broker: str
    program: Program = field(init=False)

    @property
    def notes(self) -> Path:
        return self.folder / f"{self.name}.notes"

    def _start(self, stack: ExitStack, app: str, environ: dict[str, str], *options: str) -> None:
        environ = {VARIABLE: str(self.notes), **environ}
        self.program = stack.enter_context(celery_worker(app, environ, self.folder / f"{self.name}.log", *options))
        self.take_in(20)
        wait_until(lambda: count(self.notes) >= 20, f"{self.name}'s worker runs its first no-ops")
        time.sleep(0.5)
        self.program.pause()

    def take_in(self, number: int) -> None:
        """Enqueue that many."""
        raise NotImplementedError

    def one(self) -> str:
        """Enqueue one; its key."""
        raise NotImplementedError

    def ended(self, started_at: float) -> float:  # noqa: ARG002 - others ask their ledger
        """When the last no-op ended."""
        return max(read(self.notes).values())

    def rate(self, number: int) -> float:
        """See `System`."""
        before = count(self.notes)
        self.take_in(number)
        with self.program.awake():
            wait_until(lambda: count(self.notes) >= before + number, f"{self.name}: {number} no-ops")
            time.sleep(0.3)
        started = min(read(self.notes, before).values())
        return number / (self.ended(started) - started)

    def latencies(self, number: int, every_seconds: float) -> list[float]:
        """See `System`."""
        before, asked = count(self.notes), {}
        with self.program.awake():
            for _ in range(number):
                began = time.time()
                asked[self.one()] = began
                time.sleep(max(0.0, every_seconds - (time.time() - began)))
            wait_until(lambda: count(self.notes) >= before + number, f"{self.name}: {number} no-ops")
        began_at = read(self.notes, before)
        return [began_at[key] - at for key, at in asked.items()]


@dataclass
class Bare(Warm):
    """Celery that keeps nothing."""

    def start(self, stack: ExitStack) -> None:
        os.environ["BENCH_BROKER"] = self.broker
        from bench.peers.bare import noop  # noqa: PLC0415 - reads its broker from the environment

        self._noop: Any = noop
        self._start(stack, "bench.peers.bare", {"BENCH_BROKER": self.broker})

    def take_in(self, number: int) -> None:
        for _ in range(number):
            self.one()

    def one(self) -> str:
        key = new_id()
        self._noop.apply_async((key,), task_id=key)
        return key


@dataclass
class Recording(Warm):
    """Celery that writes the same record with SQLAlchemy."""

    ledger_url: str = ""

    def start(self, stack: ExitStack) -> None:
        self._ledger = Ledger(self.ledger_url)
        migrate(self._ledger)
        self._app = Celery("sender", broker=self.broker)
        self._batch = self._a_batch()
        environ = {"BENCH_BROKER": self.broker, "BENCH_LEDGER": self.ledger_url, "BENCH_QUEUE": self.name}
        self._start(stack, "bench.peers.recording", environ)

    def _a_batch(self) -> str:
        batch = {"id": new_id(), "trigger": "cli", "requested_by": "bench", "total": 0, "remaining": 0, "entries_expected": 0}
        with self._ledger.transaction() as tx:
            tx.execute(insert(BATCHES).values(**batch, epoch=1, note="", created_at=datetime.now(UTC)))
        return str(batch["id"])

    def take_in(self, number: int) -> None:
        for start in range(0, number, BATCH):
            self._insert([new_id() for _ in range(min(BATCH, number - start))])

    def one(self) -> str:
        key = new_id()
        self._insert([key])
        return key

    def _insert(self, keys: Sequence[str]) -> None:
        row = {
            "batch_id": self._batch, "position": 0, "item": 0, "job": "noop", "kind": "check", "trigger": "cli",
            "environment": "default", "owner": "", "labels": {}, "params": {"entries": ["noop"]}, "state": "queued",
            "summary": "", "counts": {}, "entries_expected": 1, "attempts": 0, "fence": 0, "progress": {}, "epoch": 1,
            "created_at": datetime.now(UTC),
        }  # fmt: skip
        with self._ledger.transaction() as tx:
            tx.execute(insert(RUNS), [{**row, "id": key} for key in keys])
        for key in keys:
            self._app.send_task("recording.noop", (key,), task_id=key, queue=self.name, ignore_result=True)

    def ended(self, started_at: float) -> float:
        return last_end(self._ledger, started_at)


def instance(home: Path, ledger_url: str, **settings: str) -> dict[str, str]:
    """The environment of an instance with its ledger migrated and its configuration in force."""
    environ = {
        "NIGHTSHIFT_HOME": str(home),
        "NIGHTSHIFT_LEDGER_URL": ledger_url,
        "NIGHTSHIFT_JOBS": "bench.notes:NOOP",
        **settings,
    }
    house = wiring.House(load_settings(environ).settings)
    migrate(house.ledger)
    _ = house.keys.current_id
    found = check(house.settings.home, house.jobs, house.zone)
    apply(house.ledger, found, actor=ME, note="", at=datetime.now(UTC))
    house.ledger.close()
    return environ


@dataclass
class Ours(Warm):
    """Nightshift's own worker, flow and ledger."""

    ledger_url: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def start(self, stack: ExitStack) -> None:
        environ = instance(self.folder / self.name, self.ledger_url, NIGHTSHIFT_BROKER_URL=self.broker, **self.extra)
        self.house = wiring.House(load_settings(environ).settings)
        self._start(stack, "worker.wiring", environ, "-Q", "checks,effects")

    def take_in(self, number: int) -> None:
        for start in range(0, number, BATCH):
            self._enqueue(min(BATCH, number - start))

    def one(self) -> str:
        return self._enqueue(1)

    def _enqueue(self, number: int) -> str:
        request = Request(orders=[Order(job="noop")] * number, trigger=Trigger.CLI, actor=ME)
        return enqueue(self.house.shift, request).runs[0].id

    def ended(self, started_at: float) -> float:
        return last_end(self.house.ledger, started_at)


def last_end(ledger: Ledger, started_at: float) -> float:
    """By the ledger, once nothing goes on any more."""
    since = datetime.fromtimestamp(started_at - 1, UTC)
    goes_on = select(func.count()).where(RUNS.c.ended_at.is_(None))
    with ledger.read() as connection:
        wait_until(lambda: connection.execute(goes_on).scalar_one() == 0, "the last run ends")
        ended: datetime = connection.execute(select(func.max(RUNS.c.ended_at)).where(RUNS.c.ended_at > since)).scalar_one()
    return ended.timestamp()


@dataclass
class Procrastinate:
    """procrastinate with so many processes, and so many jobs at once in each."""

    name: str
    folder: Path
    server: PostgresServer
    database: str
    processes: int
    concurrency: int

    def start(self, stack: ExitStack) -> None:
        """Its workers are started for each turn: they take up what is there."""

    def rate(self, number: int) -> float:
        """See `System`."""
        notes = self.folder / f"{self.name}.notes"
        before = count(notes)
        conninfo = self.server.conninfo(self.database)
        environ = {VARIABLE: str(notes), "BENCH_CONNINFO": conninfo}
        _defer(conninfo, number)
        argv = [sys.executable, "-m", "procrastinate", "--app", "bench.peers.peer_procrastinate.app", "worker"]
        options = ["--concurrency", str(self.concurrency), "--queues", "noop"]
        with ExitStack() as stack:
            for _ in range(self.processes):
                stack.enter_context(Program([*argv, *options], environ, self.folder / f"{self.name}.log"))
            wait_until(lambda: count(notes) >= before + number, f"{self.name}: {number} no-ops")
        times = read(notes, before).values()
        return number / (max(times) - min(times))

    def latencies(self, number: int, every_seconds: float) -> list[float]:
        raise NotImplementedError


def _defer(conninfo: str, number: int) -> None:
    import procrastinate  # noqa: PLC0415 - of the bench group, and only some rows need it

    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=conninfo))
    with app.open():
        app.configure_task("noop", queue="noop").batch_defer(*({"key": new_id()} for _ in range(number)))


def procrastinate_database(server: PostgresServer) -> str:
    """A database with its schema."""
    import procrastinate  # noqa: PLC0415 - see above

    name = server.create_database()
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=server.conninfo(name)))
    with app.open():
        app.schema_manager.apply_schema()
    return name
