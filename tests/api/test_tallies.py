"""How batches stand, counted in the database: on SQLite and on PostgreSQL."""

from contextlib import closing
from pathlib import Path

from tasks.testing.fakes import FakeClock
from tests.api.kit import CLI, make_shift
from worker.flow import Order, Request, enqueue, execute_run
from worker.ledger import Ledger, tallies
from worker.records import Run, RunState, Trigger


def test_runs_and_entries_are_counted_by_job_environment_and_state(ledger_url: str, tmp_path: Path) -> None:
    queued: list[Run] = []
    with closing(Ledger(ledger_url)) as ledger:
        shift = make_shift(ledger, tmp_path, FakeClock(), queued.extend)
        orders = [Order(job="doors"), Order(job="doors", params={"entries": ["front"]}), Order(job="whistle")]
        batch = enqueue(shift, Request(orders=orders, trigger=Trigger.API, actor=CLI)).batch
        for run in queued[:3]:
            execute_run(shift, run.id, run.job, "w")
        with ledger.read() as connection:
            found = tallies.of_batches(connection, [batch.id])
    assert tallies.by_state(found) == {"queued": 1, "succeeded": 3}
    assert tallies.summed(found) == {"ok": 1, "finding": 2, "cannot_tell": 1}
    assert {(tally.job, tally.environment) for tally in found if tally.state is RunState.QUEUED} == {("whistle", "test")}
