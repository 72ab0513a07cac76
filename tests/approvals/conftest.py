"""A shift with one job that mends, three people with PINs, and a policy that lets one of them agree; over both databases."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.kit import Served, serving
from tests.approvals.kit import Hall, open_hall
from tests.approvals.ward import Ward, open_ward


@pytest.fixture
def ward(ledger_url: str, tmp_path: Path) -> Iterator[Ward]:
    with open_ward(ledger_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def ward_here(tmp_path: Path, _sqlite_template: Path) -> Iterator[Ward]:
    """The same on SQLite alone, where the database is not the point."""
    shutil.copy(_sqlite_template, tmp_path / "ledger.db")
    with open_ward(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving() as front:
        yield front


@pytest.fixture
def hall(ward: Ward, served: Served) -> Iterator[Hall]:
    """The ward behind a gateway, over both databases."""
    with open_hall(ward, served) as opened:
        yield opened


@pytest.fixture
def hall_here(ward_here: Ward, served: Served) -> Iterator[Hall]:
    """The same on SQLite alone."""
    with open_hall(ward_here, served) as opened:
        yield opened
