"""The gateway as a canvas sees it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.kit import Served, serving
from tests.n8n.bench import GATEWAY, MATERIAL, WEBHOOK, Bench, Line
from tests.n8n.gatehouse import Gatehouse, open_gatehouse
from tests.n8n.stage import Stage, open_stage
from tests.servers import N8nServer


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


@pytest.fixture
def bench(n8n_server: N8nServer, tmp_path: Path) -> Bench:
    """Three workflows in a folder, and an n8n that has their credentials and nothing else."""
    n8n_server.add_credential(GATEWAY, "Authorization", "Bearer of-the-gateway")
    n8n_server.add_credential(WEBHOOK, "X-Nightshift-Webhook", "of-the-webhook")
    home, folder = tmp_path / "home", tmp_path / "workflows"
    home.mkdir(mode=0o700)
    shutil.copytree(MATERIAL, folder)
    cli = Line(
        {
            "NIGHTSHIFT_HOME": str(home),
            "NIGHTSHIFT_N8N_URL": n8n_server.url,
            "NIGHTSHIFT_N8N_API_KEY": "env:OPERATORS_KEY",
            "OPERATORS_KEY": n8n_server.api_key,
        }
    )
    return Bench(cli, n8n_server, folder, tmp_path / "elsewhere")


@pytest.fixture(scope="module")
def stage(_n8n: N8nServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Every shipped workflow published on a real n8n, and a real instance that it calls."""
    if not _n8n.running:
        _n8n.start()
    _n8n.wipe()
    with open_stage(_n8n, tmp_path_factory.mktemp("stage")) as opened:
        yield opened
