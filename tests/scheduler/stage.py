"""A shift on a real ledger with three hosts to look at, a clock that stands still, and a bell that rings for nobody."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from notifications.config import RoutesConfig
from schedules.schedule import Schedule
from tasks.context import Context, Entry
from tasks.job import Job, Params, job
from tasks.model import Answer, Finding, Ok
from tasks.testing import FakeCommands, FakeSecrets, FakeStacks, FakeTls
from worker.flow.shift import Estate, Estates, Pace, Providers, Shift
from worker.ledger import Ledger, batches, runs, schedules
from worker.records import Actor, ActorKind, Batch, Run
from worker.scheduler import Scheduler
from worker.tokens import Keys

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 3, 10, 23, tzinfo=UTC)
"""00:00 of 11 March in Berlin: no clock changes near it."""
CONSOLE = "http://127.0.0.1:8080"
ROUTING = RoutesConfig.model_validate({"digest": {"at": "08:30", "timezone": "Europe/Berlin"}})
N8N = Actor(ActorKind.N8N, "workflows")
CLOCKWORK = Actor(ActorKind.SCHEDULER, "scheduler")


@job(name="touch", summary="Looks at nothing.")
def touch(ctx: Context) -> Iterable[Finding]:
    return ()


def _check_hosts(ctx: Context, params: Params) -> Iterable[Answer]:
    return [Ok(entry=entry.name, subject=entry.name) for entry in ctx.selected]


HOSTS: Job[Params] = Job(name="hosts", summary="Looks at hosts.", check=_check_hosts, params=Params, entry=Entry)
TABLE = {
    entry.name: entry
    for entry in (
        Entry(name="a", environment="production", owner="ops", labels={"tier": "1"}),
        Entry(name="b", environment="production", owner="web"),
        Entry(name="c", environment="staging", owner="ops"),
    )
}


class Stage:
    """One ledger, its clock, and the schedules in force; `told` has what was rung."""

    def __init__(self, url: str, folder: Path, *known: Schedule, since: datetime = MIDNIGHT) -> None:
        self.ledger = Ledger(url)
        self.now = since
        self.known = known
        self.table = TABLE
        self.jobs: dict[str, Job[Any]] = {"touch": touch, "hosts": HOSTS}
        self.rung: list[Run] = []
        self.routing = ROUTING
        self.shift = shift_on(self.ledger, folder, lambda: self.now, self._estate, self.rung.extend, self.jobs)
        self.scheduler = Scheduler(self.shift, lambda: self.routing, lambda: CONSOLE)
        self.put_in_force(*known)

    def put_in_force(self, *known: Schedule) -> None:
        self.known = known
        with self.ledger.transaction() as tx:
            schedules.sync(tx, [schedule.name for schedule in known], self.now)

    def at(self, clock: str, day: int = 11) -> None:
        """The clock on Berlin's wall shows this, on that day of March."""
        hour, minute = map(int, clock.split(":"))
        self.now = datetime(2026, 3, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)

    def step_at(self, clock: str, day: int = 11) -> None:
        self.at(clock, day)
        self.scheduler.step()

    def batches(self) -> list[Batch]:
        """Earliest due first."""
        with self.ledger.read() as connection:
            return sorted(batches.listing(connection, limit=5000), key=lambda batch: (batch.due_at or batch.created_at, batch.id))

    def runs(self) -> list[Run]:
        """Of the batches, in their order."""
        with self.ledger.read() as connection:
            return [run for batch in self.batches() for run in runs.of_batch(connection, batch.id)]

    def told(self) -> list[tuple[str, str, str | None]]:
        """(fire key, state, reason) of every run."""
        of = {batch.id: str(batch.fire_key) for batch in self.batches()}
        return [(of[run.batch_id], str(run.state), run.reason) for run in self.runs()]

    def _estate(self, _: int | None = None, /) -> Estate:
        return estate_of(self.known, self.table)


def estate_of(known: Sequence[Schedule], table: dict[str, Entry]) -> Estate:
    defaults = {"environment": "default", "owner": "", "labels": {}}
    by_name = {schedule.name: schedule for schedule in known}
    return Estate(revision=None, tables={"hosts": table}, defaults=defaults, modes={}, schedules=by_name)


def shift_on(
    ledger: Ledger,
    folder: Path,
    clock: Callable[[], datetime],
    estate: Estates,
    ring: Callable[[Sequence[Run]], None],
    jobs: dict[str, Job[Any]],
) -> Shift:
    return Shift(
        ledger=ledger,
        jobs=jobs,
        clock=clock,
        keys=Keys(folder / "keys"),
        ring=ring,
        estate=estate,
        providers=Providers(tls=FakeTls(), commands=FakeCommands(), stacks=FakeStacks(), secrets=FakeSecrets(), others={}),
        scratch=folder / "scratch",
        pace=Pace(heartbeat=timedelta(hours=1)),
    )


def nightly(name: str = "nightly", **changes: Any) -> Schedule:
    return Schedule(**{"name": name, "cron": "30 2 * * *", "job": "touch", "zone": BERLIN, **changes})
