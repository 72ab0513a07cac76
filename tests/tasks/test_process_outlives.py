"""A program that outlives its worker goes on to its end, or to its time-out, and to nothing else."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.context import Command, Process
from tasks.providers.process import LocalCommands
from tasks.providers.processes import lives
from tests.support.chaos_worker import gone
from tests.support.waiting import until

COMMANDS = LocalCommands(grace=timedelta(seconds=0.3))
ROOT = Path(__file__).resolve().parents[2]
ASKER = """
import sys
from datetime import timedelta
from tasks.context import Command
from tasks.providers.process import LocalCommands

def told(process):
    print(process.pid, flush=True)

outlives, timeout, script, path = sys.argv[1:]
LocalCommands(grace=timedelta(seconds=2)).run(
    Command(argv=("/bin/sh", "-c", script, "sh", path), cwd=None, environment={"PATH": "/usr/bin:/bin"}, stdin=b"word\\n",
            timeout=timedelta(seconds=float(timeout)), output_limit_bytes=100_000, memory_limit_bytes=None,
            outlives=outlives == "outlives"),
    before_start=told)
"""


def kill_asker(script: str, path: Path, *, outlives: str = "outlives", timeout: float = 30) -> int:
    """Run `script` from a process that is killed once the file `path` is there; the keeper's pid."""
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER, outlives, str(timeout), script, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert asker.stdout is not None
    keeper = int(asker.stdout.readline())
    until("the program starts", path.exists)
    asker.kill()
    asker.wait()
    asker.stdout.close()
    return keeper


def test_it_goes_on_to_its_end_though_its_worker_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "said"
    keeper = kill_asker('touch "$1"; read word; sleep 0.5; echo "$word" > "$1"', file)
    until("it ends", lambda: file.read_text() == "word\n")
    until("its keeper ends with it", lambda: gone(keeper))


def test_what_it_says_afterwards_neither_ends_nor_blocks_it(tmp_path: Path) -> None:
    file = tmp_path / "said"
    kill_asker('touch "$1"; sleep 0.3; head -c 300000 /dev/zero && head -c 300000 /dev/zero >&2 && echo done > "$1"', file)
    until("it ends", lambda: file.read_text() == "done\n")


def test_without_a_worker_its_keeper_minds_its_time_out(tmp_path: Path) -> None:
    file = tmp_path / "said"
    keeper = kill_asker('trap \'echo told >> "$1"\' TERM; touch "$1"; while :; do sleep 0.1; done', file, timeout=3)
    until("its keeper ends it", lambda: gone(keeper))
    assert file.read_text() == "told\n"


def test_who_stops_the_group_of_its_keeper_does_not_stop_it(tmp_path: Path) -> None:
    file = tmp_path / "said"
    keeper = kill_asker('touch "$1"; until [ -e "$1.on" ]; do sleep 0.1; done; echo done > "$1"', file)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.killpg(keeper, number)
    (tmp_path / "said.on").touch()
    until("it ends", lambda: file.read_text() == "done\n")


def test_one_that_does_not_outlive_is_ended_with_its_worker(tmp_path: Path) -> None:
    file = tmp_path / "said"
    keeper = kill_asker('touch "$1"; sleep 20; echo done > "$1"', file, outlives="dies")
    until("its keeper ends it", lambda: gone(keeper))
    assert file.read_text() == ""


def command(script: str, path: Path) -> Command:
    return Command(
        argv=("/bin/sh", "-c", script, "sh", str(path)), cwd=None, environment={"PATH": "/usr/bin:/bin"}, stdin=b"word\n",
        timeout=timedelta(seconds=20), output_limit_bytes=100_000, memory_limit_bytes=None, outlives=True,
    )  # fmt: skip


def test_with_its_worker_alive_it_is_as_any_other(tmp_path: Path) -> None:
    result = COMMANDS.run(command('read word; echo "$word"; exit 3', tmp_path))
    assert (result.exit_code, result.stdout) == (3, b"word\n")
    slow = replace(command("sleep 20", tmp_path), timeout=timedelta(seconds=0.3))
    assert COMMANDS.run(slow).ended_by == "timeout"
    assert COMMANDS.run(command("yes", tmp_path)).ended_by == "output_limit"


def test_a_worker_that_is_interrupted_leaves_it_to_its_end(tmp_path: Path) -> None:
    file, seen = tmp_path / "said", list[Process]()

    def raises() -> bool:
        if file.exists():
            raise TimeoutError
        return False

    with pytest.raises(TimeoutError):
        COMMANDS.run(command('touch "$1"; sleep 0.4; echo done > "$1"', file), cancelled=raises, before_start=seen.append)
    assert lives(seen[0]) is True
    until("it ends", lambda: file.read_text() == "done\n")
    until("its keeper ends", lambda: lives(seen[0]) is False)
    until("nobody waits for it any more", lambda: "nightshift-keeper" not in [thread.name for thread in threading.enumerate()])


def test_a_program_whose_process_nobody_could_note_is_never_started(tmp_path: Path) -> None:
    file = tmp_path / "said"

    def refuse(_: Process) -> None:
        raise OSError("the ledger is away")

    with pytest.raises(OSError, match="the ledger is away"):
        COMMANDS.run(command('touch "$1"', file), before_start=refuse)
    assert not file.exists()
