from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schedules.schedule import Schedule
from tests.scheduler.stage import Stage


@pytest.fixture
def stage_with(ledger_url: str, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """`stage_with(schedule, …)`: a stage on a fresh ledger, at midnight."""
    opened: list[Stage] = []

    def make(*known: Schedule) -> Stage:
        opened.append(Stage(ledger_url, tmp_path, *known))
        return opened[-1]

    yield make
    for stage in opened:
        stage.ledger.close()
