"""A real Celery worker process, and the ways to kill it."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import psutil
from sqlalchemy.exc import OperationalError

from worker.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
Victim = Literal["child", "main", "group"]
VICTIMS: tuple[Victim, ...] = ("child", "main", "group")


def gone(pid: int) -> bool:
    """Ended; also if nobody has asked for its exit status yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def freeze(pid: int, ledger: Ledger) -> None:
    """Not while it writes: it would keep SQLite's one lock, and everybody would wait for it."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            with ledger.transaction():
                return
        except OperationalError:
            os.kill(pid, signal.SIGCONT)


class Worker:
    """`celery -A worker.wiring worker` in a process group of its own."""

    def __init__(self, environ: Mapping[str, str], log: Path, queues: str = "checks,effects") -> None:
        argv = [sys.executable, "-m", "celery", "-A", "worker.wiring", "worker", "-Q", queues, "-c", "4"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*argv, "--without-gossip", "--without-mingle"],
                cwd=ROOT,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._known: set[int] = set()

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def children(self) -> list[int]:
        """Processes that run jobs, living ones; remembered, so that orphans are found too."""
        try:
            found = [child.pid for child in psutil.Process(self.pid).children()]
        except psutil.NoSuchProcess:
            found = []
        self._known.update(found)
        return [pid for pid in found if not gone(pid)]

    def orphans(self) -> list[int]:
        return [pid for pid in self._known if not gone(pid)]

    def kill(self, victim: Victim, busy: int | None) -> None:
        """SIGKILL, and nothing else is told."""
        children = self.children()
        match victim:
            case "child":
                os.kill(busy if busy in children else random.choice(children or [self.pid]), signal.SIGKILL)  # noqa: S311
            case "main":
                os.kill(self.pid, signal.SIGKILL)
            case "group":
                os.killpg(self.pid, signal.SIGKILL)
        if victim != "child":
            self._process.wait()

    def drain(self) -> None:
        """SIGTERM, and wait for its end: what it has heard is dealt with."""
        self._process.terminate()
        self._process.wait()

    def stop(self) -> None:
        """End all of it, whatever state it is in."""
        self.children()
        for pid in self.orphans():
            os.kill(pid, signal.SIGCONT)
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
