from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tasks.command import JOB as COMMAND
from tasks.context import Context
from tasks.job import Job, Params
from tasks.model import Answer
from worker.configuration import Configuration, ConfigurationError, check
from worker.ledger import Ledger

BERLIN = ZoneInfo("Europe/Berlin")


def _nothing(ctx: Context, params: Params) -> Iterator[Answer]:
    yield from ()


LONER: Job[Params] = Job(name="loner", summary="looks at one thing of its own", check=_nothing, params=Params)
JOBS: Mapping[str, Job[Any]] = {"command": COMMAND, "loner": LONER}

WHOLE_ESTATE = """\
[defaults]
owner = "ops"
labels = { tier = "1" }

[environments.production]
mode = "propose"

[[command]]
name = "backup"
argv = ["/bin/true"]
environment = "production"
labels = { what = "backup" }

[[command]]
name = "disk"
argv = ["df", "-h"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "schedules").mkdir(parents=True)
    return home


@pytest.fixture
def checked(folder: Path) -> Callable[..., Configuration]:
    """Write the given files (`estate="…"`, `schedules="…"`) and check the folder."""

    def write_and_check(**files: str) -> Configuration:
        for name, text in files.items():
            path = folder / "schedules" / "own.toml" if name == "schedules" else folder / f"{name}.toml"
            path.write_text(text, encoding="utf-8")
        return check(folder, JOBS, BERLIN)

    return write_and_check


@pytest.fixture
def refused(checked: Callable[..., Configuration]) -> Callable[..., list[str]]:
    """The same, for files that must be refused: every problem as it is shown."""

    def problems(**files: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            checked(**files)
        return [str(problem) for problem in caught.value.problems]

    return problems


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    found = Ledger(ledger_url)
    yield found
    found.close()
