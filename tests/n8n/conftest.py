"""The gateway as a canvas sees it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.kit import Served, serving
from tests.n8n.gatehouse import Gatehouse, open_gatehouse


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving() as front:
        yield front


@pytest.fixture
def gatehouse(ledger_url: str, tmp_path: Path, served: Served) -> Iterator[Gatehouse]:
    """Over both databases."""
    with open_gatehouse(ledger_url, tmp_path, served) as opened:
        yield opened


@pytest.fixture
def gatehouse_here(tmp_path: Path, served: Served, _sqlite_copy: str) -> Iterator[Gatehouse]:
    """On SQLite alone, where the database is not the point."""
    with open_gatehouse(_sqlite_copy, tmp_path, served) as opened:
        yield opened


@pytest.fixture
def _sqlite_copy(tmp_path: Path, _sqlite_template: Path) -> str:
    file = tmp_path / "ledger.db"
    file.write_bytes(_sqlite_template.read_bytes())
    return f"sqlite:///{file}"
