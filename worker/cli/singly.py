"""The processes that a team runs one by one."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from worker import logs
from worker.cli.children import QUEUES, environ, worker_argv
from worker.cli.opening import checked, loaded
from worker.cli.refusals import Unavailable
from worker.cli.serving import Server, broker_trouble
from worker.cli.up import bind
from worker.loops import Loop
from worker.wiring import House

_LOG = logs.get_log("nightshift.process")


def house(*, needs_broker: bool) -> House:
    """Everything this process may need, its ledger answering. Raises what is not there and how to start it."""
    settings = loaded().settings
    logs.configure(settings.log_format, settings.log_level)
    opened = House(settings)
    checked(opened.ledger)
    if needs_broker and (trouble := broker_trouble(opened)):
        raise Unavailable(trouble)
    return opened


def gateway(port: int | None) -> int:
    """Answer until SIGTERM."""
    opened = house(needs_broker=False)
    settings, listener = bind(opened.settings, port)
    opened = House(settings)
    server = Server.of(opened)
    _on_end(lambda: setattr(server, "should_exit", True))
    _LOG.info("gateway_ready", url=opened.console_url)
    with listener:
        server.answer(listener)
    return 0


def worker(queues: str, concurrency: int | None) -> None:
    """Become a Celery worker."""
    named = [name.strip() for name in queues.split(",") if name.strip()]
    if unknown := sorted(set(named) - set(QUEUES)):
        raise Unavailable(f"no queue is called {unknown[0]!r}: queues are {', '.join(QUEUES)}")
    opened = house(needs_broker=True)
    argv = worker_argv(named, concurrency)
    opened.ledger.close()
    os.execve(argv[0], argv, environ(opened.settings))  # noqa: S606 - no shell; Celery becomes this process


def loops(role: str) -> int:
    """Run the scheduler, or the relay with the sweeper, until SIGTERM."""
    opened = house(needs_broker=role == "relay")
    chosen = [opened.scheduler_loop()] if role == "scheduler" else [*opened.relay_loops(), opened.sweeper_loop()]
    run_until_signal([opened.presence_loop(role), *chosen])
    return 0


def run_until_signal(chosen: list[Loop]) -> None:
    """Each loop in a thread; ends when all are between two steps."""
    stop = threading.Event()
    threads = [loop.start(stop) for loop in chosen]

    def end() -> None:
        stop.set()
        for loop in chosen:
            loop.wake.set()

    _on_end(end)
    _LOG.info("loops_running", loops=[loop.name for loop in chosen])
    stop.wait()
    for thread in threads:
        thread.join(30.0)


def _on_end(end: Callable[[], object]) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a signal handler
        end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
