"""A ledger that is full or goes away in mid-run: nothing half-written, and the outcome is there in the end."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tasks.context import Context, Entry
from tasks.model import Answer, Ok
from tests.flow.conftest import Script, found
from tests.servers import PostgresServer
from tests.support.shift import Rig, request
from tests.support.waiting import PATIENCE_SECONDS
from worker.flow import Order, enqueue
from worker.ledger import batches, runs
from worker.records import RunState

sqlite_only = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)


def fill(rig: Rig) -> None:
    """Let no connection make the database any larger, as a full disk would."""
    from sqlalchemy import event  # noqa: PLC0415

    rig.ledger.engine.dispose()

    def limit(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(rig.ledger.engine, "connect", limit)


def empty(rig: Rig) -> None:
    """Make room again."""
    rig.ledger.close()


@sqlite_only
def test_a_request_that_finds_the_disk_full_is_refused_whole_and_taken_once_there_is_room(rig: Rig) -> None:
    order = Order(job="sites", params={"entries": ["a"]})
    fill(rig)
    with pytest.raises(OperationalError, match="database or disk is full"):
        enqueue(rig.shift, request(*[order] * 500, key="k"))
    with rig.ledger.read() as connection:
        assert (batches.listing(connection), runs.listing(connection)) == ([], [])
    empty(rig)
    assert not enqueue(rig.shift, request(*[order] * 500, key="k")).joined


@sqlite_only
def test_an_outcome_that_finds_the_disk_full_waits_until_there_is_room(rig: Rig, script: Script) -> None:
    looked = threading.Event()

    def large(ctx: Context, entry: Entry) -> Iterator[Answer]:
        ctx.artifacts.put("dump", b"x" * 2_000_000)
        fill(rig)
        looked.set()
        yield from found(ctx, entry)

    script["a"] = large
    run = rig.order(entries=["a"]).runs[0]
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(rig.execute, run)
        assert looked.wait(PATIENCE_SECONDS)
        assert not threading.Event().wait(0.5)
        assert rig.findings() == []
        assert rig.run(run.id).state is RunState.RUNNING
        empty(rig)
        outcome = future.result(PATIENCE_SECONDS)
    assert outcome is not None
    assert (outcome.state, len(rig.findings())) == (RunState.SUCCEEDED, 1)


@postgresql_only
@pytest.mark.parametrize("end", ["crash", "stop"])
def test_an_outcome_is_committed_once_the_ledger_is_back(
    rig: Rig, script: Script, postgres_server: PostgresServer, end: str
) -> None:
    running, gone = threading.Event(), threading.Event()

    def outage(_: Context, entry: Entry) -> Iterator[Answer]:
        running.set()
        assert gone.wait(PATIENCE_SECONDS)
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = outage
    made = rig.order(entries=["a"])
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(rig.execute, made.runs[0])
        assert running.wait(PATIENCE_SECONDS)
        getattr(postgres_server, end)()
        gone.set()
        assert not threading.Event().wait(0.3)
        # By this thread: a server dies with the thread that started it.
        postgres_server.start()
        outcome = future.result(PATIENCE_SECONDS)
    assert outcome is not None
    run = rig.run(made.runs[0].id)
    assert (outcome.state, run.state, run.fence) == (RunState.SUCCEEDED, RunState.SUCCEEDED, 1)
    with rig.ledger.read() as connection:
        batch = batches.get(connection, made.batch.id)
    assert batch is not None
    assert batch.remaining == 0


@postgresql_only
def test_a_commit_that_was_applied_and_not_confirmed_counts_once(rig: Rig, script: Script) -> None:
    """Whether the COMMIT was applied is told by the holder's token on the row."""
    script["a"] = found
    run = rig.order(entries=["a"]).runs[0]
    assert rig.execute(run) is not None
    from worker.flow.outcome import commit_once  # noqa: PLC0415

    held = rig.run(run.id)
    wrote: list[int] = []

    def write(tx: object) -> None:
        wrote.append(1)
        raise OperationalError("COMMIT", {}, ConnectionError("closed"))

    commit_once(rig.shift, held, write)
    assert wrote == [1]


def test_a_ledger_closed_by_the_test_can_be_opened_again(ledger_url: str, tmp_path: Path) -> None:
    from worker.ledger import Ledger  # noqa: PLC0415

    with closing(Ledger(ledger_url)) as ledger:
        ledger.close()
        with ledger.read() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
