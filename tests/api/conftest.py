"""A gateway over a real ledger, behind a real server."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from tasks.testing.fakes import FakeClock
from tests.api.kit import ADMIN, NIGHTLY, House, Served, make_shift, serving
from worker.api import create_app
from worker.flow.nights import join_night
from worker.ledger import Ledger, schedules
from worker.records import Run
from worker.settings import Settings
from worker.tokens import Sessions, grants_of_role


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving() as front:
        yield front


@pytest.fixture
def house(tmp_path: Path, served: Served, _sqlite_template: Path) -> Iterator[House]:
    clock = FakeClock()

    def ring(queued: Sequence[Run]) -> None:
        made.ring(queued)

    shutil.copy(_sqlite_template, tmp_path / "ledger.db")
    with closing(Ledger(f"sqlite:///{tmp_path}/ledger.db")) as ledger:
        shift = make_shift(ledger, tmp_path, clock, ring)
        settings = Settings(
            home=tmp_path, body_limit_kb=16, callback_hosts=("localhost", "n8n.example.com:5678", "*.corp.example")
        )

        persons = {"ana": ADMIN, "vic": grants_of_role("viewer")}
        app = create_app(
            shift,
            settings,
            Sessions(shift.keys, timedelta(hours=settings.people_session_hours), clock),
            grants_of=lambda person: made.people.get(person, ()),
            join_night=partial(join_night, shift),
            broker_trouble=lambda: made.broker_trouble,
        )
        with ledger.transaction() as tx:
            schedules.sync(tx, [NIGHTLY.name], clock())
        made = House(shift=shift, settings=settings, app=app, url=served.url, clock=clock, people=persons)
        served.app = app
        yield made
        for client in made.clients:
            client.close()


@pytest.fixture
def api(house: House) -> httpx.Client:
    """A client with a token that may do everything."""
    return house.client(house.token())
