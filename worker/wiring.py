"""The one place where settings become objects. `celery -A worker.wiring …` finds the app here."""

import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from notifications.config import RoutesConfig
from tasks import JOBS
from tasks.job import Job
from tasks.load import PROVIDERS_GROUP, load_jobs, load_named, refuse_shadowing
from tasks.providers.process import LocalCommands
from tasks.providers.pulumi import PulumiStacks
from tasks.providers.tls import OpenSslTls
from worker import configuration
from worker.doorbell import Broker, broker_of, transport_options
from worker.flow.shift import Estate, Pace, Providers, Shift
from worker.ledger import Ledger
from worker.loops import Loop
from worker.records import Run, Topic
from worker.secrets import Secrets
from worker.settings import Settings, load_settings
from worker.tokens import Grant, Keys, Sessions, grants_of_role

if TYPE_CHECKING:
    from celery import Celery
    from fastapi import FastAPI

    from worker.queue import Bell

OPERATOR = "operator"
SHIPPED_PROVIDERS: dict[str, str] = {}
"""Providers that ship and have no Protocol of their own in `Context`, as `module:attribute`."""


@dataclass
class House:
    """Everything one process may need, each thing made when it is first asked for."""

    settings: Settings
    _estate: Estate | None = field(default=None, repr=False)

    @cached_property
    def jobs(self) -> dict[str, Job[Any]]:
        refuse_shadowing()
        return load_jobs(JOBS, self.settings.jobs)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.ledger_url)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.settings.home / "keys", self.settings.key_file)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(environ=os.environ, home=self.settings.home)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.timezone)

    @property
    def seat(self) -> str:
        """This process, for locks: host and pid."""
        return f"{socket.gethostname()}:{os.getpid()}"

    @cached_property
    def broker(self) -> Broker | None:
        """None: no broker is configured, and no instance with one of its own runs on this home."""
        return broker_of(self.settings)

    @cached_property
    def celery(self) -> "Celery":
        from worker.queue import make_app

        broker = self.broker
        return make_app(
            broker_url=broker.url if broker else "memory://",
            transport_options=self._transport_options(broker.url) if broker else {},
            jobs=self.jobs,
            shift=lambda: self.shift,
            drain_seconds=self.settings.drain_seconds,
            concurrency=self.settings.concurrency,
        )

    def _transport_options(self, url: str) -> dict[str, object]:
        options = dict(transport_options(url, self.settings.home))
        if url.startswith(("redis", "rediss")):
            # A gateway must not hang on a broker that is away; the relay rings again.
            options |= {"socket_connect_timeout": 3, "socket_timeout": 10, "socket_keepalive": True}
            # Bells taken and not answered are kept in the worker's memory alone, as with the other transports. In Redis they
            # would come back after an hour, the relay rings again after seconds; two transactions a bell for nothing.
            options |= {"ack_emulation": False}
        return options

    @cached_property
    def bell(self) -> "Bell":
        from worker.queue import Bell

        return Bell(lambda: self.celery, self.settings.ring_cap)

    @cached_property
    def shift(self) -> Shift:
        from billiard.exceptions import SoftTimeLimitExceeded

        return Shift(
            ledger=self.ledger,
            jobs=self.jobs,
            clock=lambda: datetime.now(UTC),
            keys=self.keys,
            ring=self._ring,
            estate=self.estate,
            providers=self._providers(),
            scratch=self.settings.home / "scratch",
            pace=self._pace(),
            interruptions=(SoftTimeLimitExceeded,),
            artifact_limit_bytes=self.settings.artifact_limit_mb * 2**20,
            memory_budget=self.settings.memory_mb,
        )

    def _ring(self, queued: Sequence[Run]) -> None:
        # Without a broker the relay of the instance that has one rings.
        if self.broker is not None:
            self.bell.ring(queued)

    def _providers(self) -> Providers:
        others = load_named(PROVIDERS_GROUP, SHIPPED_PROVIDERS, self.settings.providers)
        return Providers(tls=OpenSslTls(), commands=LocalCommands(), stacks=self.stacks, secrets=self.secrets, others=others)

    @cached_property
    def stacks(self) -> PulumiStacks:
        """Looks at Pulumi stacks; secrets that it sees leave it only as a keyed hash."""
        return PulumiStacks(
            secrets=self.secrets,
            mac=lambda content: ":".join(self.keys.mac("stacks", content)),
            cache=self.settings.home / "pulumi",
            program=self.settings.pulumi,
            plugins=self.settings.pulumi_plugins,
        )

    def _pace(self) -> Pace:
        return Pace(
            lease=timedelta(seconds=self.settings.lease_seconds),
            heartbeat=timedelta(seconds=self.settings.heartbeat_seconds),
            grace=timedelta(seconds=self.settings.grace_seconds),
            max_attempts=self.settings.max_attempts,
            ring_cap=self.settings.ring_cap,
        )

    def estate(self, revision: int | None = None, /) -> Estate:
        """Of the configuration in force; made anew when another revision is. See `Estates`."""
        if revision is not None and self._estate is not None and self._estate.revision == revision:
            return self._estate
        found = configuration.current(self.ledger)
        in_force = found[0].id if found else None
        if self._estate is None or self._estate.revision != in_force:
            shown = found[1] if found else configuration.Configuration()
            self._estate = estate_of(shown, in_force, self.jobs)
        return self._estate

    def routing(self) -> RoutesConfig:
        found = configuration.current(self.ledger)
        return found[1].routing if found else RoutesConfig()

    @property
    def console_url(self) -> str:
        """How people reach the gateway."""
        return self.settings.base_url or f"http://{self.settings.host}:{self.settings.port}"

    def relay_loops(self) -> list[Loop]:
        """Bells, callbacks, events, messages, pings, the chain, and the one that wakes them."""
        from worker.ledger.waiting import CHAIN
        from worker.relay import RESTED_SECONDS, BellRelay, CallbackRelay, Chainer, EventRelay, Lookout, MessageRelay, PingRelay

        shift, pause = self.shift, self.settings.relay_seconds
        messages = MessageRelay(shift, self.routing, lambda: self.console_url)
        chainer = Chainer(shift, self.seat, self.settings.audit_anchor_file)
        steps: dict[str, tuple[str, Callable[[], bool]]] = {
            Topic.BELL: ("bells", BellRelay(shift, self.bell.depth).step),
            Topic.CALLBACK: ("callbacks", CallbackRelay(shift, self.callback_secret).step),
            Topic.EVENT: ("events", EventRelay(shift).step),
            Topic.MESSAGE: ("messages", messages.step),
            Topic.PING: ("pings", PingRelay(shift).step),
            CHAIN: ("chainer", chainer.step),
        }
        loops = {what: Loop(name, pause, step, rested_seconds=max(pause, RESTED_SECONDS)) for what, (name, step) in steps.items()}
        lookout = Lookout(shift, {what: loop.wake for what, loop in loops.items()})
        return [Loop("lookout", pause, lookout.step), *loops.values()]

    def callback_secret(self) -> str | None:
        """What callbacks are signed with. Raises `ProviderError`."""
        reference = self.settings.callback_secret
        return self.secrets(reference) if reference else None

    def presence_loop(self, role: str) -> Loop:
        """Shows that this process is alive; see `flow.presence`."""
        from worker.flow.presence import SHOWN_EVERY_SECONDS, show

        def step() -> bool:
            show(self.shift, role)
            return False

        return Loop("presence", SHOWN_EVERY_SECONDS, step)

    def scheduler_loop(self) -> Loop:
        from worker.scheduler import Scheduler

        scheduler = Scheduler(self.shift, self.routing, lambda: self.console_url, self.seat)
        return Loop("scheduler", self.settings.schedule_seconds, scheduler.step)

    def gateway(self) -> "FastAPI":
        from worker.api import create_app
        from worker.flow.nights import join_night

        lifetime = timedelta(hours=self.settings.people_session_hours)
        return create_app(
            self.shift,
            self.settings,
            Sessions(self.keys, lifetime, self.shift.clock),
            grants_of=self.grants_of,
            join_night=partial(join_night, self.shift),
            broker_trouble=self.broker_trouble,
        )

    def grants_of(self, person: str) -> Sequence[Grant]:
        """What the configuration in force lets a person do. `operator`, which no person may be called, is whoever can run our
        command line here.
        """
        if person == OPERATOR:
            return grants_of_role("admin")
        found = configuration.current(self.ledger)
        known = next((one for one in found[1].people if one.name == person), None) if found else None
        return known.grants if known else ()

    def broker_trouble(self) -> str | None:
        """Why the doorbell cannot be rung; None: it can."""
        if self.broker is None:
            return "no broker: set NIGHTSHIFT_BROKER_URL, or run `nightshift up`, which has one of its own"
        try:
            with self.celery.connection_for_write(connect_timeout=3) as connection:
                connection.connect()
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            return f"the broker does not answer: {type(error).__name__}"
        return None

    def sweeper_loop(self) -> Loop:
        from worker.sweeper import Sweeper

        return Loop("sweeper", self.settings.sweep_seconds, Sweeper(self.shift).step)


def estate_of(found: configuration.Configuration, revision: int | None, jobs: dict[str, Job[Any]]) -> Estate:
    """A configuration as the flow works with it."""
    tables = {name: {entry.name: entry for entry in found.entries(job)} for name, job in jobs.items() if job.entry}
    return Estate(
        revision=revision,
        tables=tables,
        defaults=found.defaults.model_dump(),
        modes=dict(found.modes),
        schedules={schedule.name: schedule for schedule in found.schedules},
        policy=found.policy,
        people=found.people,
        accounts={name: account.at_once for name, account in found.accounts.items()},
    )


def open_house(file: Path | None = None) -> House:
    """From the environment and the settings file."""
    return House(load_settings(os.environ, file).settings)


_APP_LOCK = threading.Lock()


def __getattr__(name: str) -> Any:
    """`worker.wiring.app`: the Celery app of the environment's settings, made when Celery asks for it."""
    if name not in {"app", "celery"}:
        raise AttributeError(name)
    with _APP_LOCK:
        if "_house" not in globals():
            from worker import logs

            house = open_house()
            logs.configure(house.settings.log_format, house.settings.log_level)
            globals()["_house"] = house
            # Flower asks for results without naming an app.
            house.celery.set_default()
        return globals()["_house"].celery
