"""What every verb of the flow works with. `worker.wiring` puts it together, once per process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from schedules.schedule import Schedule
from tasks.context import Commands, Entry, Mode, SecretReader, Tls
from tasks.job import Job
from tasks.stacks import Stacks
from worker.configuration import Person
from worker.ledger import Ledger
from worker.policy import Policy
from worker.records import Run
from worker.tokens import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things may take."""

    lease: timedelta = timedelta(seconds=30)
    """A run whose owner was silent for this long is thought lost."""
    heartbeat: timedelta = timedelta(seconds=2)
    """How often a long run shows itself; also how soon a cancel reaches it."""
    grace: timedelta = timedelta(seconds=5)
    """Between the sweeper's two looks at an expired lease."""
    first_ring_again: timedelta = timedelta(seconds=2)
    """How soon a queued run is rung again that nobody claimed; doubles up to `slowest_ring`."""
    slowest_ring: timedelta = timedelta(minutes=5)
    patience: timedelta = timedelta(seconds=120)
    """How long a finished run waits for a ledger that went away before its outcome is given up and the run lost."""
    max_attempts: int = 3
    """So often a run may be lost before it fails for good."""
    ring_cap: int = 10_000
    """So many queued runs have a bell each; beyond, as many as the workers can use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """The outside world, reading side."""

    tls: Tls
    commands: Commands
    stacks: Stacks
    secrets: SecretReader
    others: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """What the configuration in force asks us to watch, and when."""

    revision: int | None
    tables: Mapping[str, Mapping[str, Entry]]
    """By job, then by the entry's name, in the file's order."""
    defaults: Mapping[str, Any]
    """`environment`, `owner`, `labels` of entries that do not say."""
    modes: Mapping[str, Mode]
    schedules: Mapping[str, Schedule]
    policy: Policy = field(default_factory=Policy)
    people: Sequence[Person] = ()
    accounts: Mapping[str, int] = field(default_factory=dict)
    """How many runs may look at one account at once, by its name."""

    def table(self, job: Job[Any]) -> Mapping[str, Entry]:
        """The job's entries; a job without a table has the one entry of its own name."""
        if job.entry is None:
            return {job.name: Entry(name=job.name, **self.defaults)}
        return self.tables.get(job.name, {})

    def mode(self, environment: str) -> Mode:
        """What we may do there; `observe` unless the configuration says more."""
        return self.modes.get(environment, "observe")

    def person(self, name: str) -> Person | None:
        return next((person for person in self.people if person.name == name), None)


class Estates(Protocol):
    """Gives the estate of the configuration in force; cheap, cached by revision."""

    def __call__(self, revision: int | None = None, /) -> Estate:
        """`revision`: what was in force a moment ago, by a claim say; an estate made of it before needs no look at the ledger."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Ledger, jobs, clock, keys, the bell and the outside world."""

    ledger: Ledger
    jobs: Mapping[str, Job[Any]]
    clock: Callable[[], datetime]
    """Aware, UTC. Leases do not use it: they are on the database's clock."""
    keys: Keys
    ring: Callable[[Sequence[Run]], None]
    """Rings the bell of queued runs, after commit. Never raises: the relay rings again."""
    estate: Estates
    providers: Providers
    scratch: Path
    """Where runs get a folder of their own."""
    pace: Pace
    draining: Callable[[], bool] = lambda: False
    """True once this process was told to stop."""
    interruptions: tuple[type[BaseException], ...] = ()
    """What the executor raises inside a check that ran over its time limit."""
    artifact_limit_bytes: int = 16 * 2**20
    memory_budget: int = 0
    """MiB that the runs of one worker may take together, as far as their entries say; 0: any."""
