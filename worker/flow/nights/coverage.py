"""What a night covered: each entry once, by the newest run that ended with a word about it. Reads only."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from schedules.fires import ON_TIME
from schedules.schedule import Schedule, next_due
from tasks.context import Entry
from worker.flow.errors import FlowError
from worker.flow.nights import calls, own
from worker.flow.nights.selecting import selected
from worker.flow.shift import Estate, Shift
from worker.ledger import findings, schedules, telling
from worker.ledger.telling import RunOfNight
from worker.records import RunState

EntryKey = tuple[str, str]
"""The job and the entry's name."""
Sees = Callable[[str, str], bool]
"""Whether the reader may see a job's entries in an environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The entries that runs named, or that were due. Who ran often is no better looked at than who ran once."""

    newest: Mapping[EntryKey, RunOfNight]
    uncovered: Mapping[EntryKey, str]
    """Due by this schedule, and no run was made."""
    troubled: AbstractSet[EntryKey]
    """Of all nights: these have an open finding, muted or not, or could not be told about."""

    @property
    def expected(self) -> int:
        return len(self.newest) + len(self.uncovered)

    @property
    def looked_at(self) -> int:
        return sum(_looked_at(run) for run in self.newest.values())

    @property
    def ok(self) -> int:
        return sum(_looked_at(run) and key not in self.troubled for key, run in self.newest.items())

    def why_incomplete(self) -> list[str]:
        """One line for each sort of run that did not look at all that it should have, and each schedule that did not run."""
        missed: dict[tuple[str, RunState, str | None], list[str]] = {}
        for run in reversed(list(self.newest.values())):
            if not _looked_at(run):
                missed.setdefault((run.job, run.state, run.reason), []).append(run.id)
        late: dict[tuple[str, str], int] = {}
        for (job, _), schedule in self.uncovered.items():
            late[job, schedule] = late.get((job, schedule), 0) + 1
        return [
            *(
                f"{_entries(len(ids))} of {job}: {_count(len(set(ids)), 'run', 'runs')} {_state(state, reason)}"
                for (job, state, reason), ids in missed.items()
            ),
            *(f"{_entries(number)} of {job}: {schedule} was due and did not run" for (job, schedule), number in late.items()),
        ]


def coverage(
    shift: Shift, connection: Connection, since: datetime, until: datetime, sees: Sees = lambda _job, _environment: True
) -> Coverage:
    """Of the batches made in `[since, until)`, and of the schedules whose time came before `until`."""
    newest: dict[EntryKey, RunOfNight] = {}
    for run in telling.runs_between(connection, since, until):
        if sees(run.job, run.environment):
            for name in run.entries:
                held = newest.get((run.job, name))
                if held is None or (_says_nothing(held) and not _says_nothing(run)):
                    newest[run.job, name] = run
    uncovered: dict[EntryKey, str] = {}
    for schedule in _late(shift, connection, until):
        for entry in _selected(shift, schedule, shift.estate()):
            if (schedule.job, entry.name) not in newest and sees(schedule.job, entry.environment):
                uncovered.setdefault((schedule.job, entry.name), schedule.name)
    return Coverage(newest=newest, uncovered=uncovered, troubled=telling.troubled_entries(connection))


def unscheduled(shift: Shift) -> list[str]:
    """The entries of the estate that no schedule selects, as `job/entry`."""
    estate = shift.estate()
    watched = {(one.job, entry.name) for one in estate.schedules.values() for entry in _selected(shift, one, estate)}
    return [f"{job}/{name}" for job, table in estate.tables.items() for name in table if (job, name) not in watched]


def _late(shift: Shift, connection: Connection, until: datetime) -> Iterator[Schedule]:
    """Schedules with a fire due before `until` that nobody dealt with, or whose call by n8n was missed."""
    known = shift.estate().schedules
    own_rows = findings.listing(connection, job=own.JOB)
    not_called = {row.entry for row in own_rows if row.reason == calls.REASON}
    for row in schedules.listing(connection):
        schedule = known.get(row.name)
        if schedule is None or row.paused_by is not None:
            continue
        by_n8n = schedule.trigger == "n8n"
        grace = (schedule.start_deadline or ON_TIME) if by_n8n else timedelta(0)
        if (by_n8n and row.name in not_called) or next_due(schedule, row.cursor_at).at + grace < until:
            yield schedule


def _selected(shift: Shift, schedule: Schedule, estate: Estate) -> list[Entry]:
    try:
        return selected(shift, schedule, estate)
    except FlowError:  # its job is gone
        return []


def _says_nothing(run: RunOfNight) -> bool:
    """On its way, or left out: of a schedule of every minute there is always one, and it hides no look that was taken."""
    return not run.state.terminal or run.state is RunState.SKIPPED


def _looked_at(run: RunOfNight) -> bool:
    return run.state is RunState.SUCCEEDED


def _entries(number: int) -> str:
    return _count(number, "entry", "entries")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _state(state: RunState, reason: str | None) -> str:
    shown = f"still {state}" if not state.terminal else state.replace("_", " ")
    return f"{shown} ({reason})" if reason else shown
