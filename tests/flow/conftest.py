"""A rig whose one job does what the test says, over both databases; or over SQLite alone where the database is not the point."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tasks.context import Context, Entry
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tests.support.shift import Rig, open_rig, scripted, sites

Script = dict[str, Callable[[Context, Entry], Iterable[Answer]]]


def ok(_: Context, entry: Entry) -> Iterator[Answer]:
    yield Ok(entry=entry.name, subject=entry.name)


def found(_: Context, entry: Entry) -> Iterator[Answer]:
    yield Finding(
        entry=entry.name,
        subject=entry.name,
        key="expired",
        reason="expired",
        severity=Severity.HIGH,
        title=f"{entry.name} expired",
    )


def untold(_: Context, entry: Entry) -> Iterator[Answer]:
    yield CannotTell(entry=entry.name, subject=entry.name, reason="connect_timeout", stage="connect", detail="after 5.0 s")


@pytest.fixture
def script() -> Script:
    """What the job does, by entry; `ok` unless the test says otherwise."""
    return {}


@pytest.fixture
def rig(ledger_url: str, tmp_path: Path, script: Script) -> Iterator[Rig]:
    job = scripted(lambda ctx, entry: script.get(entry.name, ok)(ctx, entry), ad_hoc=True)
    single = scripted(ok, name="singles", entries_per_run=2)
    tables = {"sites": sites("a", "b", "c"), "singles": sites("x", "y", "z", owner="team-x", labels={"tier": "1"})}
    with open_rig(ledger_url, tmp_path, job, single, tables=tables) as opened:
        yield opened
