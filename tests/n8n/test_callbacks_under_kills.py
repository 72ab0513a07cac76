"""Whatever kills n8n: a result resumed its Wait exactly once, or is listed as undelivered with its reason."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.n8n.kills import Books, report, storm
from tests.n8n.waits import told
from tests.servers import N8nServer
from tests.support.chaos_worker import ROOT

CALLBACKS = int(os.environ.get("SOAK_CALLBACKS", "1000"))
KILLS = int(os.environ.get("SOAK_KILLS_OF_N8N", "30"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_callbacks_survive_three_kills_of_n8n(n8n_server: N8nServer, tmp_path: Path) -> None:
    with storm(n8n_server, tmp_path) as raging:
        books = raging.rage(callbacks=100, kills=3, seed=7)
        assert books.troubles() == []
        assert (books.kills, books.twice) == (3, 0)
        assert len(books.executions) >= 100
        assert sum(books.figures().values()) == len(books.results)
        assert books.figures()["resumed"] >= 25, "after the last kill nothing is lost"
        before = len(raging.counter.posts)
        failed = [row for row in raging.deliveries().values() if row["state"] == "failed" and "answered 409" in row["detail"]]
        for row in failed:
            assert raging.stage.api.post(f"/v1/deliveries/{row['id']}/resend").status_code == 202
        for row in failed:
            told(raging.stage, row["subject"], "failed", "disabled")
        assert len(raging.counter.posts) == before, "what was undelivered and is sent again is taken by no Wait twice"


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_thousand_callbacks_survive_dozens_of_kills_of_n8n(n8n_server: N8nServer, tmp_path: Path) -> None:
    with storm(n8n_server, tmp_path) as raging:
        books: Books = raging.rage(CALLBACKS, KILLS, seed=11)
    now = datetime.now(UTC)
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, n8n 2.15.1 on SQLite"
    path = ROOT / "docs" / "reports" / f"{now:%Y-%m-%d}-soak-of-callbacks.md"
    path.write_text(report(now, machine, books), encoding="utf-8")
    assert books.troubles() == []
