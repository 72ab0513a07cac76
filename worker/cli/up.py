"""`nightshift up`: everything in the foreground. The worker is started first, for it takes the longest."""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from worker import logs
from worker.cli.children import flower_child, worker_child
from worker.cli.instance import leave_note, take_note_away, url_of, write_whole
from worker.cli.opening import loaded
from worker.cli.refusals import Unavailable
from worker.doorbell import broker_of, choose, hold_home
from worker.settings import Settings
from worker.supervisor import Supervisor

if TYPE_CHECKING:
    from worker.cli.serving import Server
    from worker.wiring import House

_LOG = logs.get_log("nightshift.up")
_BEYOND_DRAIN_SECONDS = 5.0
"""How long a worker may take to end after its runs have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of `up`."""

    port: int | None = None
    ready_file: Path | None = None
    flower: bool = False
    worker: bool = True


@dataclass(slots=True)
class Ending:
    """SIGTERM and SIGINT: the first drains, the second ends at once."""

    supervisor: Supervisor
    asked: threading.Event = field(default_factory=threading.Event)
    server: "Server | None" = None

    def on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a signal handler
        if self.asked.is_set():
            self.supervisor.hurry()
            if self.server:
                self.server.force_exit = True
        self.ask()

    def ask(self) -> None:
        """As the first signal does."""
        self.asked.set()
        if self.server:
            self.server.should_exit = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What is told once everything answers."""

    url: str
    pid: int
    ledger: str
    broker: str
    token_file: str
    flower: str | None = None


def run_up(wishes: Wishes) -> int:
    """Until a signal comes; returns the exit code."""
    settings = loaded().settings
    logs.configure(settings.log_format, settings.log_level)
    with ExitStack() as stack:
        supervisor = Supervisor()
        ending = Ending(supervisor)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ending.on_signal)
        stack.enter_context(hold_home(settings.home))
        settings, listener = bind(settings, wishes.port)
        stack.enter_context(listener)
        stack.callback(take_note_away, settings.home)
        stack.callback(supervisor.stop, {"worker": settings.drain_seconds + _BEYOND_DRAIN_SECONDS})
        flower = start_children(settings, wishes, supervisor)
        serve(settings, wishes, listener, ending, flower)
    return 0


def bind(settings: Settings, port: int | None) -> tuple[Settings, socket.socket]:
    """Listen at once, so that port 0 is known and nobody else takes it. Raises `Unavailable`."""
    wanted = settings.port if port is None else port
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, wanted), family=family, backlog=2048)
    except OSError as error:
        message = f"cannot listen on {settings.host} port {wanted}: {error.strerror}; --port 0 takes a free one"
        raise Unavailable(message) from None
    # asyncio sets it on sockets that it made itself. Without, the second answer on a connection waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return settings.model_copy(update={"port": int(listener.getsockname()[1])}), listener


def start_children(settings: Settings, wishes: Wishes, supervisor: Supervisor) -> str | None:
    """Doorbell, worker, Flower; returns the last one's address."""
    if settings.broker_url is None:
        supervisor.start(choose(settings.home))
    if wishes.worker:
        supervisor.start(worker_child(settings))
    if not wishes.flower:
        return None
    child, url = flower_child(settings)
    supervisor.start(child)
    return url


def serve(settings: Settings, wishes: Wishes, listener: socket.socket, ending: Ending, flower: str | None) -> None:
    """Open the ledger, apply the configuration, and answer until we are asked to end."""
    from worker.cli.serving import Server, open_instance, operator_token, running_loops, wait_until_ready
    from worker.wiring import House

    house = House(settings)
    open_instance(house)
    token_file = operator_token(house)
    ready = Ready(
        url=settings.base_url or url_of(settings.host, settings.port),
        pid=os.getpid(),
        ledger=house.ledger.url.render_as_string(),
        broker=_masked(house),
        token_file=str(token_file),
        flower=flower,
    )
    ending.server = Server.of(house)
    with running_loops(house, ending.asked):
        threading.Thread(
            target=lambda: wait_until_ready(house, ending, lambda: tell(house, ready, wishes), worker=wishes.worker), daemon=True
        ).start()
        if not ending.asked.is_set():
            ending.server.answer(listener)


def tell(house: "House", ready: Ready, wishes: Wishes) -> None:
    """Say that everything is ready, and how to come in."""
    from worker.cli.admission import login_link

    facts = {name: value for name in Ready.__slots__ if (value := getattr(ready, name)) is not None}
    leave_note(house.settings.home, facts)
    if wishes.ready_file:
        write_whole(wishes.ready_file.absolute(), json.dumps(facts))
    _LOG.info("ready", **{name: value for name, value in facts.items() if name != "token_file"})
    # A link signs in whoever reads it: it is for eyes, never for a log.
    way_in = f" (once, within 30 minutes): {login_link(house.shift, ready.url)}" if sys.stdout.isatty() else ": nightshift login"
    lines = [f"Nightshift is up: {ready.url}", f"Sign in{way_in}"]
    if ready.flower:
        lines.append(f"Flower: {ready.flower}")
    with contextlib.suppress(OSError):
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def _masked(house: "House") -> str:
    from worker.redaction import mask_urls

    broker = broker_of(house.settings)
    return mask_urls(broker.url) if broker else ""
