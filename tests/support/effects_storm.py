"""Repairs under a hail of kills: in lives that end at chance points, or in a real Celery worker whose processes are killed."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.support.chaos_worker import VICTIMS, Worker
from tests.support.effects_ward import Ward, open_ward
from tests.support.waiting import until
from worker.doorbell import FolderDoorbell, hold_home
from worker.records import Run, RunState

SLOTS = ("a", "b", "c")
CELERY = {"RELAY_SECONDS": "0.2", "SWEEP_SECONDS": "0.2", "DRAIN_SECONDS": "5", "CONCURRENCY": "4"}


@dataclass
class Tally:
    """What came of one storm."""

    kills: Counter[str] = field(default_factory=Counter)
    repairs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    troubles: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def close(self, ward: Ward, runs: list[Run]) -> None:
        """The books of these repairs, all of which have ended."""
        self.repairs += len(runs)
        self.troubles += ward.troubles(*runs, slots=SLOTS)
        for run in runs:
            now = ward.run(run.id)
            self.states[now.state if now.state is not RunState.NEEDS_ATTENTION else f"needs attention: {now.reason}"] += 1
            self.steps += sum(len(ward.lines(run, slot)) for slot in SLOTS)


def any_repair(rng: random.Random) -> dict[str, object]:
    """In process or by a command, short or of several seconds, that outlives its worker or not; most can be probed."""
    long = rng.random() < 0.1
    return {
        "slots": SLOTS[: rng.randint(1, 3)],
        "by_command": rng.random() < 0.7,
        "outlives": rng.random() < 0.8,
        "before_seconds": round(rng.uniform(1.0, 3.0) if long else rng.uniform(0, 0.3), 2),
        "after_seconds": round(rng.uniform(0, 0.3), 2),
        "probes": rng.random() < 0.9,
    }


def any_break(rng: random.Random) -> str:
    """Of commits, of steps, or of time."""
    match rng.randint(0, 3):
        case 0:
            return f"before:{rng.randint(1, 16)}"
        case 1:
            return f"after:{rng.randint(1, 16)}"
        case 2:
            return rng.choice(["job:claimed", "job:wrote"])
        case _:
            return f"ms:{rng.randint(1, 1500)}"


def rage(ward: Ward, kills: int, seed: int) -> Tally:
    """So many lives cut short, four at a time, on repairs that are approved as they are needed."""
    rng, tally, began = random.Random(seed), Tally(), time.monotonic()  # noqa: S311
    while tally.kills.total() < kills:
        runs = ward.approve(*[any_repair(rng) for _ in range(8)])
        for _ in range(4):
            left = [run for run in runs if ward.run(run.id).state is RunState.QUEUED]
            for first in range(0, len(left), 4):
                lives = [(run, any_break(rng)) for run in left[first : first + 4]]
                statuses = ward.go(*lives)
                tally.kills.update(at.partition(":")[0] for run, at in lives if statuses[run.id] != 0)
            ward.swept(*[run for run in runs if ward.run(run.id).state is RunState.RUNNING])
        ward.nurse(*runs)
        tally.close(ward, runs)
    tally.seconds = time.monotonic() - began
    return tally


@contextmanager
def hospital(home: Path, ledger_url: str, broker_url: str | None) -> Iterator[Ward]:
    """A ward whose bells are rung and whose leases are swept, on this doorbell; None: the home's own folder."""
    home.mkdir(parents=True, exist_ok=True)
    named = {**CELERY, **({"BROKER_URL": broker_url} if broker_url else {})}
    with hold_home(home):
        doorbell = FolderDoorbell(home) if broker_url is None else None
        if doorbell:
            doorbell.start()
        over = threading.Event()
        with open_ward(home, ledger_url, **named) as ward:
            loops = [*(loop for loop in ward.house.relay_loops() if loop.name == "bells"), ward.house.sweeper_loop()]
            threads = [loop.start(over) for loop in loops]
            try:
                yield ward
            finally:
                over.set()
                for thread in threads:
                    thread.join(30)
                if doorbell:
                    doorbell.stop(0, over)
                ward.house.celery.close()


def rage_of_celery(ward: Ward, kills: int, seed: int) -> Tally:
    """A Celery worker carries repairs out; its child, its main process or all of it is killed, again and again."""
    rng, tally, began = random.Random(seed), Tally(), time.monotonic()  # noqa: S311
    workers: list[Worker] = []
    log = ward.home / "worker.log"

    def worker() -> Worker:
        if not workers or not workers[-1].alive():
            workers.append(Worker(ward.environ, log))
        return workers[-1]

    try:
        while tally.kills.total() < kills:
            runs = ward.approve(*[any_repair(rng) for _ in range(8)])
            while tally.kills.total() < kills and not _ended(ward, runs):
                until("a step begins", partial(_busy, worker, ward, runs))
                time.sleep(rng.uniform(0, 0.3))
                victim = VICTIMS[tally.kills.total() % len(VICTIMS)]
                worker().kill(victim, _under_way(ward, runs))
                tally.kills[victim] += 1
            until("every repair ends", partial(_done, worker, ward, runs))
            tally.close(ward, runs)
    finally:
        for one in workers:
            one.stop()
    tally.seconds = time.monotonic() - began
    return tally


def _busy(worker: Callable[[], Worker], ward: Ward, runs: list[Run]) -> bool:
    return worker().alive() and (_under_way(ward, runs) is not None or _ended(ward, runs))


def _done(worker: Callable[[], Worker], ward: Ward, runs: list[Run]) -> bool:
    return worker().alive() and _ended(ward, runs)


def _ended(ward: Ward, runs: list[Run]) -> bool:
    return all(ward.run(run.id).state.terminal for run in runs)


def _under_way(ward: Ward, runs: list[Run]) -> int | None:
    """The worker's process that is in the middle of a step, if any is."""
    for run in runs:
        for effect in ward.effects(run):
            if effect.outcome is None and ward.run(run.id).state is RunState.RUNNING:
                worker = effect.process.get("worker", effect.process)
                pid = worker.get("pid") if isinstance(worker, Mapping) else None
                return pid if isinstance(pid, int) else None
    return None


def report(now: datetime, machine: str, storms: Mapping[str, Tally]) -> str:
    """A table with one row per storm, what the words mean, and every trouble in full."""
    lines = [
        f"# Soak of repairs, {now:%d %B %Y, %H:%M} UTC",
        "",
        f"{machine}.",
        "",
        "| ledger and worker | kills | how | repairs | steps that happened | ended | doubled | lost | minutes |",
        "| --- | ---: | --- | ---: | ---: | --- | ---: | ---: | ---: |",
        *(_row(name, tally) for name, tally in storms.items()),
        "",
        "Kills are SIGKILLs of whoever carries a repair out: *before* or *after* one of its commits, by the *job* in mid-step,",
        "after so many *ms*; or of a Celery worker's *child*, *main* process or whole *group* while a step was under way.",
        "*Doubled*: a step's effect is twice in the world. *Lost*: ledger and world differ about a step, and nobody was called.",
        "",
        "## Troubles",
        "",
        *([f"- {trouble}" for tally in storms.values() for trouble in tally.troubles] or ["None."]),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> str:
    how = ", ".join(f"{kind} {number}" for kind, number in sorted(tally.kills.items()))
    states = ", ".join(f"{state} {number}" for state, number in sorted(tally.states.items()))
    doubled = sum(trouble.startswith("doubled") for trouble in tally.troubles)
    lost = sum(trouble.startswith(("lost", "forgotten", "untrue")) for trouble in tally.troubles)
    figures = f"{tally.repairs} | {tally.steps} | {states} | {doubled} | {lost} | {tally.seconds / 60:.1f}"
    return f"| {name} | {tally.kills.total()} | {how} | {figures} |"
