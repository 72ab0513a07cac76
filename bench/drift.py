"""A night over Pulumi stacks against a serial loop of the bare CLI, in one run, on the same stacks in the same state.

`python -m bench.drift` is the small form; `--stacks 500` the whole. The stacks lie in the laboratory of the tests: the real CLI,
a fake cloud, a file backend. One night before is not counted: it learns what the programs are, as every first night does.
"""

import argparse
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from sqlalchemy import select

from bench.programs import Program, celery_worker, wait_until
from bench.systems import ME
from bench.table import Row, middle, show
from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program as PulumiProgram
from tests.lab.program import Resource
from tests.servers import RedisServer
from tests.servers.pulumi_install import programs
from worker.configuration import apply, check
from worker.flow import Order, Request, enqueue
from worker.flow.results import fan_in
from worker.ledger import tallies
from worker.ledger.schema import migrate
from worker.ledger.tables import BATCHES
from worker.records import Batch, Trigger
from worker.settings import load_settings
from worker.wiring import House

STACKS, RESOURCES = 24, 50
DRIFTED = 0.05
MEMORY_MB = 4000
NIGHT_SECONDS = 3600.0
LOOK, PROGRAM, BOTH = ("refresh", "--preview-only"), ("preview",), ("preview", "--refresh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The stacks, and those of them that drifted."""

    lab: Lab
    stacks: Sequence[LabStack]
    drifted: Sequence[LabStack]

    def fingerprint(self) -> tuple[object, ...]:
        """What no look may change: the states, the locks, the writes to the cloud."""
        return [self.lab.state_hash(one) for one in self.stacks], self.lab.locks(), self.lab.cloud.counts().writes

    def estate(self) -> str:
        return "\n".join(_entry(self.lab, one) for one in self.stacks)


def made(folder: Path, stacks: int, resources: int) -> Fleet:
    """One stack by a real `up`, the others as its copies."""
    lab = Lab(folder, programs())
    program = PulumiProgram(resources={f"r{n}": Resource(properties={"size": n}) for n in range(resources)})
    first = lab.stack(program, "s0")
    every = [first, *lab.copies(first, [f"s{n}" for n in range(1, stacks)])]
    return Fleet(lab=lab, stacks=every, drifted=every[:: round(1 / DRIFTED)])


def _entry(lab: Lab, stack: LabStack) -> str:
    told = {
        "name": stack.name,
        "backend": lab.backend_url,
        "project": stack.program.name,
        "stack": stack.name,
        "path": str(stack.folder),
        "passphrase": f"file:{lab.passphrase_file}",
    }
    return "[[drift]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())


@dataclass(frozen=True, slots=True)
class Night:
    """Our side: an instance with a worker of two children."""

    house: House
    worker: Program

    def run(self) -> tuple[float, str]:
        """Seconds from the request to the end of its batch, and the report."""
        began = perf_counter()
        batch = enqueue(self.house.shift, Request(orders=[Order(job="drift")], trigger=Trigger.CLI, actor=ME)).batch
        wait_until(lambda: self._ended(batch), f"the night ends; the worker says: {self.worker.last_words}", NIGHT_SECONDS)
        seconds = perf_counter() - began
        with self.house.ledger.read() as connection:
            found = tallies.of_batches(connection, [batch.id])
        return seconds, fan_in(tallies.looked_at(found), batch.entries_expected, tallies.summed(found))

    def cpu(self) -> tuple[float, float]:
        """Processor seconds so far: of the worker's own processes, and of the programs that they started and saw the end of."""
        times = [one.cpu_times() for one in self.worker.tree() if "celery" in " ".join(one.cmdline())]
        return sum(one.user + one.system for one in times), sum(one.children_user + one.children_system for one in times)

    def _ended(self, batch: Batch) -> bool:
        with self.house.ledger.read() as connection:
            return connection.execute(select(BATCHES.c.ended_at).where(BATCHES.c.id == batch.id)).scalar_one() is not None


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


def bare(fleet: Fleet) -> float:
    """`pulumi refresh --preview-only`, one stack after the other."""
    began = perf_counter()
    for stack in fleet.stacks:
        fleet.lab.run(stack, *LOOK)
    return perf_counter() - began


def same(fleet: Fleet) -> float:
    """What the night does, one command after the other: D of all; of those that drifted D again, U and R."""
    began = perf_counter()
    for stack in fleet.stacks:
        fleet.lab.run(stack, *LOOK)
        if stack in fleet.drifted:
            for words in (LOOK, PROGRAM, BOTH):
                fleet.lab.run(stack, *words)
    return perf_counter() - began


def compare(folder: Path, stacks: int, resources: int, rounds: int) -> list[Row]:
    """Alternating rounds; whoever measures nothing meanwhile has nothing to do."""
    with ExitStack() as stack:
        fleet = made(folder / "lab", stacks, resources)
        night = stack.enter_context(instance(folder, fleet, stack.enter_context(RedisServer()).url))
        print(f"the night before: {night.run()[1]}")
        for one in fleet.drifted:
            fleet.lab.cloud.change(one.id("r1"), size=99)
        before, cpu = fleet.fingerprint(), night.cpu()
        ours, theirs, whole = [], [], []
        for _ in range(rounds):
            seconds, report = night.run()
            print(f"{seconds:.1f} s: {report}")
            ours.append(seconds)
            theirs.append(bare(fleet))
            whole.append(same(fleet))
        own, others = (after - then for after, then in zip(night.cpu(), cpu, strict=True))
        assert fleet.fingerprint() == before, "a look wrote"
    told = f"{middle(ours):.1f} s for {stacks} x {resources}"
    share = own / (own + others)
    return [
        _ratio("Pulumi night, bare loop of D", told, middle(theirs), middle(ours), 1.25),
        _ratio("Pulumi night, loop of the same looks", told, middle(whole), middle(ours), 1.5),
        Row(what="Pulumi night, our share of the CPU", ours=f"{own:.1f} s", beside=f"{others:.1f} s", value=share, goal="<= 0.1"),
    ]


def _ratio(what: str, told: str, theirs: float, ours: float, goal: float) -> Row:
    return Row(what=what, ours=told, beside=f"{theirs:.1f} s", value=theirs / ours, goal=f">= {goal:g}")


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.drift", description=__doc__)
    arguments.add_argument("--stacks", type=int, default=STACKS)
    arguments.add_argument("--resources", type=int, default=RESOURCES)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(compare(Path(folder), chosen.stacks, chosen.resources, chosen.rounds), as_json=chosen.json)


if __name__ == "__main__":
    main()
