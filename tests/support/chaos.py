"""A storm: a real Celery worker on a real ledger and broker, killed again and again while work comes in."""

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from tests.support.chaos_accounts import Accounts
from tests.support.chaos_job import STARTS
from tests.support.chaos_worker import ROOT, VICTIMS, Victim, Worker
from tests.support.waiting import PATIENCE_SECONDS, until
from worker import configuration
from worker.doorbell import FolderDoorbell, hold_home
from worker.flow import Order, Request, enqueue
from worker.ledger import schema
from worker.ledger.tables import AUDIT, OUTBOX, RUNS
from worker.records import Actor, ActorKind, RunState, Topic, Trigger
from worker.settings import load_settings
from worker.wiring import House

ASKER = Actor(ActorKind.CLI, "storm")
PACE = {
    "LEASE_SECONDS": "4",
    "HEARTBEAT_SECONDS": "0.4",
    "GRACE_SECONDS": "1",
    "SWEEP_SECONDS": "0.3",
    "RELAY_SECONDS": "0.2",
    "DRAIN_SECONDS": "5",
    "MAX_ATTEMPTS": "1000",
    "CONCURRENCY": "4",
}


def request(name: str, *, runs: int = 1, callback: str | None = None, **patient: object) -> Request:
    """A batch whose runs look at an entry of their own each."""
    targets = [{"name": f"{name}.{number}", **patient} for number in range(runs)]
    orders = [Order(job="chaos", params={"targets": targets})]
    return Request(orders=orders, trigger=Trigger.CLI, actor=ASKER, callback=callback)


@dataclass
class Storm:
    """One home with its loops, its worker, and what was accepted."""

    house: House
    environ: Mapping[str, str]
    starts_file: Path
    log_file: Path
    accepted: dict[str, int] = field(default_factory=dict)
    """Batches that `enqueue` returned, and how many runs each has."""
    workers: list[Worker] = field(default_factory=list)
    refused: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    _names: Iterator[int] = field(default_factory=itertools.count)
    _feed_over: threading.Event = field(default_factory=threading.Event)

    @property
    def worker(self) -> Worker:
        """The living one; started if there is none."""
        if not self.workers or not self.workers[-1].alive():
            self.workers.append(Worker(self.environ, self.log_file))
        return self.workers[-1]

    def enqueue(self, *, runs: int = 1, callback: bool = False, **patient: object) -> str:
        url = self.house.keys.encrypt(b"http://127.0.0.1:9/resume") if callback else None
        made = enqueue(self.house.shift, request(f"storm-{next(self._names)}", runs=runs, callback=url, **patient))
        self.accepted[made.batch.id] = len(made.runs)
        return made.runs[0].id

    def feed(self) -> None:
        """Keep work coming until `_feed_over`, a little more than the worker can do."""
        rng = random.Random(7)  # noqa: S311
        while not self._feed_over.wait(0.02):
            try:
                if self.count(RunState.QUEUED) < 20:
                    self.enqueue(runs=rng.randint(1, 4), callback=rng.random() < 0.5, sleep_ms=rng.randint(50, 200))
            except DBAPIError:
                # Not accepted, as far as the caller knows.
                self.refused += 1

    def starts(self) -> list[tuple[str, int]]:
        """(run, pid) of every start, in order."""
        lines = (line.split() for line in self.starts_file.read_text().splitlines())
        return [(run_id, int(pid)) for run_id, pid in lines]

    def count(self, *states: RunState) -> int:
        with self.house.ledger.read() as connection:
            found = connection.execute(select(func.count()).select_from(RUNS).where(RUNS.c.state.in_(states)))
            return int(found.scalar_one())

    def run(self, run_id: str) -> tuple[str, int]:
        """(state, fence)."""
        with self.house.ledger.read() as connection:
            row = connection.execute(select(RUNS.c.state, RUNS.c.fence).where(RUNS.c.id == run_id)).one()
            return (row.state, row.fence)

    def kill_at_work(self, victim: Victim) -> None:
        """Wait until the worker is at work again, then kill."""
        before = len(self.starts())
        self.until("the worker works", lambda: self.worker.alive() and len(self.starts()) > before + 2)
        time.sleep(random.uniform(0, 0.15))  # noqa: S311 - another moment each time
        self.worker.kill(victim, self.starts()[-1][1])
        self.kills[victim] += 1

    def rage(self, kills: int, disturb: Callable[[int], None] = lambda _: None) -> None:
        """So many kills, rotating over child, main and group, while work comes in."""
        feeder = threading.Thread(target=self.feed, name="storm-feed", daemon=True)
        feeder.start()
        try:
            for number in range(kills):
                disturb(number)
                self.kill_at_work(VICTIMS[number % len(VICTIMS)])
        finally:
            self._feed_over.set()
            feeder.join(PATIENCE_SECONDS)
            self._feed_over.clear()

    def until(self, what: str, look: Callable[[], object]) -> None:
        """A ledger that is away says nothing yet; who gives up shows what the workers said last."""
        until(what, look, not_yet=DBAPIError, more=self.last_words)

    def settle(self) -> Accounts:
        """Wait until all is done, bells cleared and the audit chained; the books."""
        self.until("every run ends", lambda: bool(self.worker) and self.count(RunState.QUEUED, RunState.RUNNING) == 0)
        self.until("every bell is cleared", lambda: self._rows(OUTBOX.c.topic == Topic.BELL) == 0)
        self.until("the audit is chained", lambda: self._rows(AUDIT.c.number.is_(None)) == 0)
        return self.accounts()

    def accounts(self) -> Accounts:
        return Accounts.read(self.house.ledger, self.house.keys, Counter(run_id for run_id, _ in self.starts()))

    def missing(self) -> list[str]:
        """Accepted batches that the ledger does not have whole."""
        found = Counter(run.batch_id for run in self.accounts().runs)
        return [batch_id for batch_id, total in self.accepted.items() if found[batch_id] != total]

    def expire_leases(self) -> int:
        """Put the end of every lease into the past under its living owner; returns how many."""
        with self.house.ledger.transaction() as tx:
            past = self.house.shift.clock() - timedelta(days=1)
            # One fixed instant, so that two looks of the sweeper see the same lease.
            past = past.replace(hour=0, minute=0, second=0, microsecond=0)
            return tx.execute(update(RUNS).where(RUNS.c.state == RunState.RUNNING).values(lease_until=past)).rowcount

    def last_words(self) -> str:
        """The end of the workers' log."""
        return self.log_file.read_text(errors="replace")[-5000:] if self.log_file.exists() else "no worker was started"

    def orphans(self) -> list[int]:
        """Children of killed workers that still live."""
        return [pid for worker in self.workers if not worker.alive() for pid in worker.orphans()]

    def _rows(self, condition: object) -> int:
        with self.house.ledger.read() as connection:
            return int(connection.execute(select(func.count()).where(condition)).scalar_one())  # type: ignore[arg-type]


@contextmanager
def storm(home: Path, ledger_url: str, broker_url: str | None, **settings: str) -> Iterator[Storm]:
    """A storm on this ledger and broker; None is the filesystem doorbell of the home. `settings` override PACE."""
    with hold_home(home):
        doorbell = FolderDoorbell(home) if broker_url is None else None
        if doorbell:
            doorbell.start()
        starts, log = home / "starts", home / "worker.log"
        starts.touch()
        environ = {
            **os.environ,
            **_settings(home, ledger_url, broker_url, settings),
            STARTS: str(starts),
            "PYTHONPATH": str(ROOT),
        }
        house = House(load_settings(environ).settings)
        house.shift = replace(
            house.shift,
            pace=replace(house.shift.pace, first_ring_again=timedelta(seconds=0.5), slowest_ring=timedelta(seconds=2)),
        )
        _configure(house)
        found = Storm(house=house, environ=environ, starts_file=starts, log_file=log)
        stop = threading.Event()
        # Callbacks and messages stay in the outbox to be counted.
        loops = [*(loop for loop in house.relay_loops() if loop.name in {"lookout", "bells", "chainer"}), house.sweeper_loop()]
        threads = [loop.start(stop) for loop in loops]
        try:
            yield found
        finally:
            for worker in found.workers:
                worker.stop()
            stop.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)
            if doorbell:
                doorbell.stop(0, stop)
            house.celery.close()
            house.ledger.close()


def _settings(home: Path, ledger_url: str, broker_url: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    named = {**PACE, "HOME": str(home), "LEDGER_URL": ledger_url, "JOBS": "tests.support.chaos_job:JOB", **settings}
    if broker_url is not None:
        named["BROKER_URL"] = broker_url
    return {f"NIGHTSHIFT_{name}": value for name, value in named.items()}


def _configure(house: House) -> None:
    schema.migrate(house.ledger)
    checked = configuration.check(house.settings.home, house.jobs, house.zone)
    configuration.apply(house.ledger, checked, actor=ASKER, note="", at=house.shift.clock())
