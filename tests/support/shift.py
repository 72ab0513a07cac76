"""A whole `Shift` over a real ledger: scripted jobs, a clock that is moved by hand, and a ring that lists whom it rang for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from schedules.schedule import Schedule
from tasks.context import Commands, Context, Entry, SecretReader
from tasks.job import Job, Params
from tasks.model import Answer
from tasks.testing import FakeClock, FakeCommands, FakeSecrets, FakeStacks, FakeTls
from worker.flow import Enqueued, Order, Outcome, Request, enqueue, execute_run
from worker.flow.shift import Estate, Pace, Providers, Shift
from worker.ledger import Ledger, findings, runs
from worker.records import Actor, ActorKind, FindingRow, FindingState, Run, Trigger
from worker.tokens import Keys

ANA = Actor(ActorKind.PERSON, "ana")
WORKER = "worker-1@test"
ALL_STATES = tuple(FindingState)
Looks = Callable[[Context, Entry], Iterable[Answer]]


class Site(Entry):
    """What scripted jobs watch."""

    host: str = "localhost"
    key_file: str = ""

    estate_only: ClassVar[frozenset[str]] = frozenset({"key_file"})


class LookParams(Params):
    """Their parameters."""

    depth: int = 1


def scripted(
    looks: Looks,
    *,
    name: str = "sites",
    entries_per_run: int = 100,
    ad_hoc: bool = False,
    time_limit: timedelta = timedelta(minutes=10),
) -> Job[LookParams]:
    """A job that says about each selected entry what `looks` yields."""

    def check(ctx: Context, params: LookParams) -> Iterator[Answer]:
        for entry in ctx.selected:
            yield from looks(ctx, entry)

    return Job(
        name=name,
        summary="looks as told",
        check=check,
        params=LookParams,
        entry=Site,
        entries_per_run=entries_per_run,
        ad_hoc=ad_hoc,
        time_limit=time_limit,
    )


def sites(*names: str, **members: Any) -> dict[str, Entry]:
    """A table of the estate."""
    return {name: Site(name=name, **members) for name in names}


@dataclass
class Rig:
    """A shift and what it is made of; change the clock, the estate or the providers between two steps."""

    shift: Shift
    clock: FakeClock
    rung: list[str]
    """Ids of runs whose bell was rung, in order."""
    estate: list[Estate]
    """The one in force is the last."""

    @property
    def ledger(self) -> Ledger:
        return self.shift.ledger

    def watch(self, job: str, table: Mapping[str, Entry]) -> None:
        """Another revision of the estate."""
        now = self.estate[-1]
        revision = (now.revision or 0) + 1
        self.estate.append(replace(now, revision=revision, tables={**now.tables, job: table}))

    def order(self, job: str = "sites", key: str | None = None, **params: Any) -> Enqueued:
        """Ask for one job, as ana."""
        return enqueue(self.shift, request(Order(job=job, params=params), key=key))

    def execute(self, run: Run, worker: str = WORKER) -> Outcome | None:
        return execute_run(self.shift, run.id, run.job, worker)

    def look(self, job: str = "sites", **params: Any) -> list[Outcome | None]:
        """Order, and execute every run of it."""
        return [self.execute(run) for run in self.order(job, **params).runs]

    def run(self, run_id: str) -> Run:
        with self.ledger.read() as connection:
            found = runs.get(connection, run_id)
        assert found is not None
        return found

    def findings(self, states: Sequence[FindingState] = ALL_STATES) -> list[FindingRow]:
        with self.ledger.read() as connection:
            return sorted(findings.listing(connection, states=states), key=lambda row: (row.entry, row.key))


def request(*orders: Order, key: str | None = None, **members: Any) -> Request:
    """Of a token's family, under an idempotency key if one is given."""
    asked = {"trigger": Trigger.API, "actor": ANA, "family": "family-1", "idempotency_key": key, **members}
    return Request(orders=orders, **asked)


@dataclass
class Ring:
    """Keeps the ids it was rung for."""

    rung: list[str] = field(default_factory=list)

    def __call__(self, queued: Sequence[Run]) -> None:
        self.rung += [run.id for run in queued]


@contextmanager
def open_rig(
    ledger_url: str,
    home: Path,
    *jobs: Job[Any],
    tables: Mapping[str, Mapping[str, Entry]] | None = None,
    schedules: Mapping[str, Schedule] | None = None,
    pace: Pace | None = None,
    commands: Commands | None = None,
    secrets: SecretReader | None = None,
    **members: Any,
) -> Iterator[Rig]:
    """A rig over a migrated ledger; `members` are other members of `Shift`."""
    clock, ring = FakeClock(), Ring()
    defaults = {"environment": "default", "owner": "", "labels": {}}
    estate = [Estate(revision=None, tables=tables or {}, defaults=defaults, modes={}, schedules=schedules or {})]
    with closing(Ledger(ledger_url, pool_size=16)) as ledger:
        shift = Shift(
            ledger=ledger,
            jobs={job.name: job for job in jobs},
            clock=clock,
            keys=Keys(home / "keys"),
            ring=ring,
            estate=lambda _=None: estate[-1],
            providers=Providers(
                tls=FakeTls(),
                commands=commands or FakeCommands(),
                stacks=FakeStacks(),
                secrets=secrets or FakeSecrets(),
                others={},
            ),
            scratch=home / "scratch",
            pace=pace or Pace(heartbeat=timedelta(milliseconds=50)),
            **members,
        )
        yield Rig(shift, clock, ring.rung, estate)
