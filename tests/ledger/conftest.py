"""A migrated ledger, and a rig over it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tasks.model import Ok
from tests.support.shift import Rig, open_rig, scripted, sites
from worker.ledger import Ledger


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with closing(Ledger(ledger_url, pool_size=16)) as opened:
        yield opened


@pytest.fixture
def rig(ledger_url: str, tmp_path: Path) -> Iterator[Rig]:
    """One job, two hundred entries, one a run."""
    job = scripted(lambda _, entry: [Ok(entry=entry.name, subject=entry.name)], entries_per_run=1)
    with open_rig(ledger_url, tmp_path, job, tables={"sites": sites(*(f"s{n:03}" for n in range(200)))}) as opened:
        yield opened


@pytest.fixture
def expire(ledger: Ledger) -> Callable[[str], None]:
    """Let a run's lease end now, on the database's clock."""
    from sqlalchemy import Float, bindparam, update  # noqa: PLC0415

    from worker.ledger.tables import RUNS  # noqa: PLC0415
    from worker.ledger.types import database_now  # noqa: PLC0415

    def let(run_id: str) -> None:
        with ledger.transaction() as tx:
            ago = database_now(bindparam("ago", -1.0, type_=Float))
            tx.execute(update(RUNS).where(RUNS.c.id == run_id).values(lease_until=ago))

    return let
