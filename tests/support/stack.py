"""A whole queue for a test: home, broker, Celery worker, Flower, relay and sweeper; everything real, on loopback."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from kombu import pools
from sqlalchemy import update

from tests.servers.process import free_port
from tests.support.gates import GATES
from tests.support.waiting import PATIENCE_SECONDS, until
from worker import configuration
from worker.flow import Order, Request, enqueue
from worker.flow.verbs import cancel
from worker.ledger import audit_rows, runs, schema
from worker.ledger.tables import RUNS
from worker.records import Actor, ActorKind, Run, RunState, Trigger
from worker.settings import load_settings
from worker.wiring import House

ROOT = Path(__file__).resolve().parents[2]
ASKER = Actor(ActorKind.CLI, "test")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PACE = {
    "LEASE_SECONDS": "5",
    "HEARTBEAT_SECONDS": "0.2",
    "GRACE_SECONDS": "0.5",
    "SWEEP_SECONDS": "0.2",
    "RELAY_SECONDS": "0.1",
    "DRAIN_SECONDS": "5",
    "JOBS": "tests.support.gates:GATE,tests.support.gates:HASTY",
    "LOG_LEVEL": "debug",
}


@dataclass
class Stack:
    """`start` it, ask for `run`s, and see what the `ledger` and Flower say of them."""

    home: Path
    broker_url: str
    concurrency: int = 2
    pool: str = "prefork"
    house: House = field(init=False)
    environ: dict[str, str] = field(init=False)
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.gates.mkdir(parents=True)
        ours = {"HOME": str(self.home), "BROKER_URL": self.broker_url, "CONCURRENCY": str(self.concurrency), **PACE}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTSHIFT_")}
        settings = {f"NIGHTSHIFT_{name}": value for name, value in ours.items()}
        self.environ = {**inherited, **settings, GATES: str(self.gates), "FLOWER_UNAUTHENTICATED_API": "true"}
        self.house = House(load_settings(self.environ).settings)
        schema.migrate(self.house.ledger)
        self.configure("")
        self._threads = [loop.start(self._over) for loop in (*self.house.relay_loops(), self.house.sweeper_loop())]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for process in self._processes:
            self.kill_group(process)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        pools.reset()
        self.house.ledger.close()

    @property
    def gates(self) -> Path:
        return self.home / "gates"

    def configure(self, estate: str) -> None:
        """Put an estate in force."""
        (self.home / "estate.toml").write_text(estate)
        found = configuration.check(self.home, self.house.jobs, self.house.zone)
        configuration.apply(self.house.ledger, found, actor=ASKER, note="", at=self.house.shift.clock())

    def celery(self, *argv: str, name: str) -> subprocess.Popen[bytes]:
        """`celery -A worker.wiring …`; what it says is in `<name>.log`."""
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "worker.wiring", *argv],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def said(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    def worker(self, name: str = "one", *more: str) -> subprocess.Popen[bytes]:
        """A worker that answers."""
        node = f"{name}@here"
        argv = ["worker", "-Q", "checks,effects", "-n", node, "-P", self.pool, "--without-gossip", "--without-mingle", *more]
        process = self.workers[name] = self.celery(*argv, name=name)
        until(f"{name} answers", lambda: self._pings(node) or self._dead(process, name))
        return process

    def _pings(self, node: str) -> bool:
        # Asked before the worker listens, it is never heard: ask again soon.
        return bool(self.inspect("ping", node, seconds=1.0))

    def _dead(self, process: subprocess.Popen[bytes], name: str) -> bool:
        assert process.poll() is None, self.said(name)[-3000:]
        return False

    def inspect(self, what: str, node: str = "one@here", *, seconds: float = 30.0) -> Any:
        """What `celery inspect` shows of one worker."""
        inspector = self.house.celery.control.inspect(destination=[node], timeout=seconds, limit=1)
        return (getattr(inspector, what)() or {}).get(node)

    def flower(self, name: str = "flower") -> "Flower":
        """A Flower that listens and has heard of the worker."""
        flower = Flower(free_port())
        process = self.celery("flower", "--address=127.0.0.1", f"--port={flower.port}", name=name)
        until(f"{name} listens", lambda: flower.get("/api/workers") is not None or self._dead(process, name))
        until(f"{name} hears the worker", flower.workers)
        return flower

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """SIGTERM, and the exit status."""
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_SECONDS)

    def kill_group(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def ask(self, job: str = "gate", *, ring: bool = True, **gate: object) -> str:
        """Ask for one run; its id. Without `ring` nobody is told of it at once."""
        params: dict[str, object] = {key: gate.pop(key) for key in ("api_token", "note") if key in gate}
        order = Order(job=job, params={**params, "targets": [{"name": "north", **gate}]})
        request = Request(orders=[order], trigger=Trigger.CLI, actor=ASKER)
        shift = self.house.shift if ring else replace(self.house.shift, ring=lambda _: None)
        return enqueue(shift, request).runs[0].id

    def at_the_gate(self, run_id: str) -> int:
        """The process in which the run works."""
        return int(until(f"{run_id} works", lambda: self._read(run_id), more=self._workers_seen))

    def _workers_seen(self) -> str:
        """What they hold, and what they said last: for whoever reads that a run did not start."""
        seen = {what: self.inspect(what) for what in ("active", "reserved", "stats")}
        return "\n".join([json.dumps(seen, default=str), *(f"{name}: {self.said(name)[-4000:]}" for name in self.workers)])

    def _read(self, run_id: str) -> str:
        path = self.gates / f"{run_id}.pid"
        return path.read_text() if path.exists() else ""

    def open(self, run_id: str) -> None:
        (self.gates / f"{run_id}.open").touch()

    def run(self, run_id: str) -> Run:
        """As the ledger has it."""
        with self.house.ledger.read() as connection:
            found = runs.get(connection, run_id)
        assert found is not None
        return found

    def becomes(self, run_id: str, state: RunState) -> Run:
        """Wait until the ledger says so."""
        until(f"{run_id} is {state}", lambda: self.run(run_id).state is state)
        return self.run(run_id)

    def steal(self, run_id: str) -> None:
        """End the lease under its living owner, as a clock that jumps would."""
        run = self.run(run_id)
        with self.house.ledger.transaction() as tx:
            tx.execute(
                update(RUNS).where(RUNS.c.id == run_id).values(fence=run.fence, lease_owner="nobody", lease_until=LONG_AGO)
            )

    def heard(self, run_id: str) -> int:
        """How often a worker has been rung for the run."""
        return sum(log.read_text(errors="replace").count(f"[{run_id}] received") for log in self.home.glob("*.log"))

    def cancel(self, run_id: str) -> None:
        cancel(self.house.shift, run_id, ASKER)

    def audit(self, run_id: str) -> list[tuple[str, str]]:
        """(verb, actor) of what was done to the run."""
        with self.house.ledger.read() as connection:
            rows = audit_rows.recent(connection, object_id=run_id)
        return sorted((row.entry.verb, row.entry.actor) for row in rows)


@dataclass(frozen=True)
class Flower:
    """Flower's API."""

    port: int

    def get(self, path: str) -> Any:
        return self._call(path, None)

    def post(self, path: str) -> Any:
        return self._call(path, b"")

    def _call(self, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - loopback
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except OSError:
            return None

    def workers(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.get("/api/workers?status=true") or {}
        return found

    def task(self, run_id: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.get(f"/api/task/info/{run_id}")
        return found

    def state(self, run_id: str) -> str | None:
        """None: it has not heard of the run."""
        task = self.task(run_id)
        return None if task is None else str(task["state"])

    def shows(self, run_id: str, state: str) -> Mapping[str, Any]:
        """Wait until it shows the run in that state."""
        return until(f"Flower shows {state}", lambda: self._in_state(run_id, state), more=lambda: f"it shows {self.task(run_id)}")

    def _in_state(self, run_id: str, state: str) -> Mapping[str, Any] | None:
        task = self.task(run_id)
        return task if task is not None and task["state"] == state else None
