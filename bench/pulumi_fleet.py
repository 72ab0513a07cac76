"""Pulumi stacks in the laboratory of the tests, and an instance with one worker that looks at them."""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import psutil
from sqlalchemy import select

from bench.programs import Program, celery_worker, wait_until
from bench.systems import ME
from tests.lab.cloud import HOME_ACCOUNT
from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program as PulumiProgram
from tests.lab.program import Resource
from worker.configuration import apply, check
from worker.flow import Order, Request, enqueue
from worker.flow.results import fan_in
from worker.ledger import tallies
from worker.ledger.schema import migrate
from worker.ledger.tables import BATCHES
from worker.records import Batch, Trigger
from worker.settings import load_settings
from worker.wiring import House

DRIFTED = 0.05
MEMORY_MB = 4000
NIGHT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The stacks, and those of them that drifted."""

    lab: Lab
    stacks: Sequence[LabStack]
    drifted: Sequence[LabStack]
    accounts: Sequence[str] = ()
    """One run at a time looks at each; a stack is of the account that its name begins with."""

    def fingerprint(self) -> tuple[object, ...]:
        """What no look may change: the states, the locks, the writes to the cloud."""
        return [self.lab.state_hash(one) for one in self.stacks], self.lab.locks(), self.lab.cloud.counts().writes

    def estate(self) -> str:
        accounts = [f"[accounts.{name}]\nat_once = 1" for name in self.accounts]
        return "\n".join([*accounts, *(self._entry(one) for one in self.stacks)])

    def _entry(self, stack: LabStack) -> str:
        told = {
            "name": stack.name,
            "backend": self.lab.backend_url,
            "project": stack.program.name,
            "stack": stack.name,
            "path": str(stack.folder),
            "passphrase": f"file:{self.lab.passphrase_file}",
        }
        told |= next(({"account": name} for name in self.accounts if stack.name.startswith(name)), {})
        return "[[drift]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())


def stacks_of(lab: Lab, account: str, stacks: int, resources: int, lab_account: str = HOME_ACCOUNT) -> list[LabStack]:
    """One by a real `up`, the others as its copies."""
    program = PulumiProgram(resources={f"r{n}": Resource(properties={"size": n}) for n in range(resources)})
    first = lab.stack(program, f"{account}0", account=lab_account)
    return [first, *lab.copies(first, [f"{account}{n}" for n in range(1, stacks)])]


@dataclass(frozen=True, slots=True)
class Night:
    """Our side: an instance with a worker of two children."""

    house: House
    worker: Program

    def run(self, *entries: str) -> tuple[float, str]:
        """Seconds from the request to the end of its batch, and the report. Of all stacks, or of those named."""
        began = perf_counter()
        orders = [Order(job="drift", params={"entries": list(entries)})]
        batch = enqueue(self.house.shift, Request(orders=orders, trigger=Trigger.CLI, actor=ME)).batch
        wait_until(lambda: self._ended(batch), f"the night ends; the worker says: {self.worker.last_words}", NIGHT_SECONDS)
        seconds = perf_counter() - began
        with self.house.ledger.read() as connection:
            found = tallies.of_batches(connection, [batch.id])
        return seconds, fan_in(tallies.looked_at(found), batch.entries_expected, tallies.summed(found))

    def cpu(self) -> tuple[float, float]:
        """Processor seconds so far: of the worker's own processes, and of the programs that they started and saw the end of."""
        times = [one.cpu_times() for one in self.worker.tree() if "celery" in " ".join(one.cmdline())]
        return sum(one.user + one.system for one in times), sum(one.children_user + one.children_system for one in times)

    @contextmanager
    def weighed(self) -> Iterator[list[int]]:
        """The most memory that the worker and all its programs took meanwhile, in bytes: the last item."""
        over, most = threading.Event(), [0]

        def weigh() -> None:
            while not over.wait(1):
                most.append(max(most[-1], sum(map(_weight, self.worker.tree()))))

        scales = threading.Thread(target=weigh)
        scales.start()
        try:
            yield most
        finally:
            over.set()
            scales.join()

    def _ended(self, batch: Batch) -> bool:
        with self.house.ledger.read() as connection:
            return connection.execute(select(BATCHES.c.ended_at).where(BATCHES.c.id == batch.id)).scalar_one() is not None


def _weight(process: psutil.Process) -> int:
    """What it has of its own; shared pages are counted in proportion."""
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return 0


@contextmanager
def instance(folder: Path, fleet: Fleet, broker_url: str) -> Iterator[Night]:
    """Its user's home has the plugins of the laboratory."""
    home, user = folder / "home", folder / "user"
    home.mkdir()
    (user / ".pulumi").mkdir(parents=True)
    (user / ".pulumi" / "plugins").symlink_to(fleet.lab.plugins)
    (home / "estate.toml").write_text(fleet.estate())
    settings = {
        "HOME": str(home),
        "LEDGER_URL": f"sqlite:///{home}/ledger.db",
        "BROKER_URL": broker_url,
        "MEMORY_MB": str(MEMORY_MB),
    }
    path = os.pathsep.join([fleet.lab.programs.path, os.environ["PATH"]])
    environ = {"HOME": str(user), "PATH": path, **{f"NIGHTSHIFT_{name}": value for name, value in settings.items()}}
    house = House(load_settings({**os.environ, **environ}).settings)
    migrate(house.ledger)
    _ = house.keys.current_id
    apply(house.ledger, check(home, house.jobs, house.zone), actor=ME, note="", at=datetime.now(UTC))
    stop = threading.Event()
    loops = [loop.start(stop) for loop in house.relay_loops() if loop.name in {"lookout", "bells"}]
    try:
        with celery_worker("worker.wiring", environ, folder / "worker.log", "-Q", "checks") as worker:
            yield Night(house, worker)
    finally:
        stop.set()
        for loop in loops:
            loop.join()
        house.ledger.close()
