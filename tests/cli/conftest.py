"""The real command line as a subprocess, and a running instance of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import PATIENCE_SECONDS, until

ESTATE = """
[[command]]
name = "fine"
argv = ["true"]

[[command]]
name = "broken"
argv = ["sh", "-c", "echo the backup is too old; exit 2"]
"""


@dataclass(frozen=True, slots=True)
class Cli:
    """`nightshift` on a home of its own."""

    home: Path
    environ: Mapping[str, str]

    def __call__(self, *args: str, code: int = 0, typed: str | None = None, seconds: float = PATIENCE_SECONDS) -> str:
        """Standard output; fails unless it exits with `code`. When it must refuse, what it said on standard error."""
        done = subprocess.run(
            self.argv(*args), env=self.environ, input=typed, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == code, f"exit {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr if code and not done.stdout else done.stdout

    def json(self, *args: str, code: int = 0, typed: str | None = None) -> Any:
        return json.loads(self(*args, "--json", code=code, typed=typed))

    def argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "worker.cli", *args]

    def with_environ(self, **more: str) -> "Cli":
        return Cli(self.home, {**self.environ, **more})


@dataclass(slots=True)
class Instance:
    """`nightshift up`, ready."""

    cli: Cli
    process: subprocess.Popen[bytes]
    facts: dict[str, Any]
    log: Path

    def children(self) -> list[int]:
        return descendants(self.process.pid)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


def descendants(pid: int) -> list[int]:
    """Children and their children, now."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(line.split()[0]): int(line.split()[1]) for line in found.splitlines()}
    direct = [child for child, parent in parents.items() if parent == pid]
    return [*direct, *(below for child in direct for below in descendants(child))]


def gone(pid: int) -> bool:
    """Ended; a zombie has ended, even if nobody asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def clean_environ(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTSHIFT_") or "_TEST_" in name}
    return {**kept, "NIGHTSHIFT_HOME": str(home), "TZ": "UTC", "NIGHTSHIFT_RELAY_SECONDS": "0.2", "NIGHTSHIFT_DRAIN_SECONDS": "5"}


def start(cli: Cli, *options: str) -> Instance:
    """Fails with its log when it does not become ready."""
    ready, log = cli.home / "ready.json", cli.home / "up.log"
    ready.unlink(missing_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            cli.argv("up", "--port", "0", "--ready-file", str(ready), *options), env=cli.environ, stdout=file, stderr=file
        )
    try:
        until("it is ready", lambda: ready.exists() or process.poll() is not None, more=log.read_text)
        assert ready.exists(), log.read_text()
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Instance(cli, process, json.loads(ready.read_text()), log)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A home with an estate and no ledger yet."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "estate.toml").write_text(ESTATE)
    return Cli(home, clean_environ(home))


@pytest.fixture
def ledger_cli(cli: Cli) -> Cli:
    """The same with its ledger made and its configuration in force; nothing runs."""
    cli("migrate")
    cli("config", "apply")
    return cli


@pytest.fixture
def launch() -> Iterator[Callable[..., Instance]]:
    """`launch(cli, *options)`: a running instance that is gone after the test."""
    started: list[Instance] = []

    def go(cli: Cli, *options: str) -> Instance:
        started.append(start(cli, *options))
        return started[-1]

    yield go
    for instance in started:
        if instance.process.poll() is None:
            instance.end()
