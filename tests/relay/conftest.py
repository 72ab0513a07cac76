"""A rig, and findings to tell of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.conftest import Script, ok
from tests.relay.web import Waiting, waiting
from tests.support.shift import Rig, open_rig, scripted, sites


@pytest.fixture
def script() -> Script:
    """What the job does, by entry; `ok` unless the test says otherwise."""
    return {}


@pytest.fixture
def rig(ledger_url: str, tmp_path: Path, script: Script) -> Iterator[Rig]:
    job = scripted(lambda ctx, entry: script.get(entry.name, ok)(ctx, entry), entries_per_run=1)
    with open_rig(ledger_url, tmp_path, job, tables={"sites": sites(*(f"s{n:02}" for n in range(40)))}) as opened:
        yield opened


@pytest.fixture
def node() -> Iterator[Waiting]:
    with waiting() as running:
        yield running
