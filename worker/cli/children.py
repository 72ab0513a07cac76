"""The Celery programs that `up` and `worker` start."""

import os
import socket
import sys
from collections.abc import Sequence

from worker.settings import Settings
from worker.supervisor import Process

QUEUES = ("checks", "effects")
_CELERY = (sys.executable, "-m", "celery", "-A", "worker.wiring")


def worker_argv(queues: Sequence[str] = QUEUES, concurrency: int | None = None) -> list[str]:
    """A worker on `queues`; without gossip and mingle, for workers here need not know each other."""
    name = "nightshift" if set(queues) == set(QUEUES) else "-".join(queues)
    several = [] if concurrency is None else ["--concurrency", str(concurrency)]
    return [*_CELERY, "worker", "-Q", ",".join(queues), "-n", f"{name}@%h", "--without-gossip", "--without-mingle", *several]


def environ(settings: Settings) -> dict[str, str]:
    """Of a child: ours, with the home that we found."""
    return {**os.environ, "NIGHTSHIFT_HOME": str(settings.home)}


def worker_child(settings: Settings) -> Process:
    """When we die its main process is killed, for a drain may wait for the broker that died with us. Its children end the
    runs that they have, fenced by the ledger, and then themselves.
    """
    return Process("worker", worker_argv(), environ=environ(settings))


def flower_child(settings: Settings) -> tuple[Process, str]:
    """Flower and where it listens. It has no login of its own, so it is for this machine alone."""
    port = _free_port()
    argv = [*_CELERY, "flower", "--address=127.0.0.1", f"--port={port}"]
    return Process("flower", argv, environ=environ(settings)), f"http://127.0.0.1:{port}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
