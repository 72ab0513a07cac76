"""Runs one command of a look under a keeper (`process_keeper.py`): a session of its own, output to files, a deadline, its real
exit code, and nothing left of it.

Files, not pipes: a Go program that writes to a broken pipe is ended by SIGPIPE in mid-step. Providers are leaders of process
groups of their own and outlive a kill of the CLI's group; the keeper, a child subreaper, ends them all the same, and does so
when we die, too. Only if the keeper itself is killed can a provider be left: every process carries the keeper's name in its
environment, by which `orphans.py` finds it.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tasks.errors import ProviderError
from tasks.providers.process import KEEPER
from tasks.providers.processes import describe
from tasks.providers.pulumi.orphans import MARK, end_orphans, mark_of

GRACE = timedelta(seconds=5)
"""From SIGINT to SIGKILL. Pulumi then waits for the reads in flight; a look has nothing to lose."""
ASK_AGAIN_SECONDS = 0.1
TEXT_LIMIT_BYTES = 1 << 20
MOST_OUTPUT_BYTES = 1 << 30
"""Of output and event log together: some 300,000 resources. A program that writes without end must not fill the disk."""

EndedBy = Literal["itself", "signal", "timeout", "cancelled", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended. `exit_code` is the program's own; None when a signal ended it."""

    exit_code: int | None
    ended_by: EndedBy
    stdout: Path
    stderr: Path
    elapsed: timedelta

    def output(self) -> str:
        """The end of what it wrote to stdout; bytes that are not UTF-8 are replaced."""
        return _tail(self.stdout)

    def errors(self) -> str:
        """The same of stderr."""
        return _tail(self.stderr)


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    folder: Path,
    deadline: timedelta,
    cancelled: Callable[[], bool] = lambda: False,
    grace: timedelta = GRACE,
    log: Path | None = None,
    most_output_bytes: int = MOST_OUTPUT_BYTES,
) -> Ran:
    """Run `argv` to its end, or until `deadline` or `cancelled`: SIGINT once, and after `grace` everything is killed. So it is
    when its output, with the `log` that it writes, becomes too much.

    `folder` takes its output. Raises `ProviderError(stage="start")` when it cannot be started, `stage="run"` when its keeper
    was killed.
    """
    end_orphans()
    started = time.monotonic()
    stdout, stderr = folder / "stdout", folder / "stderr"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        ours, keeper = _keeper(out.fileno(), err.fileno())
    with ours:
        mark = mark_of(describe(keeper.pid))
        spec = {
            "argv": list(argv),
            "cwd": str(cwd),
            "environment": {**environment, MARK: mark},
            "memory_limit_bytes": None,
            "outlives": None,
        }
        with contextlib.suppress(OSError):  # the keeper is dead already: its missing report says so
            ours.sendall(json.dumps(spec).encode() + b"\n")
        ends_at, written = started + deadline.total_seconds(), [stdout, stderr, *([log] if log else [])]

        def reason_to_end() -> EndedBy | None:
            if time.monotonic() >= ends_at:
                return "timeout"
            if cancelled():
                return "cancelled"
            return "output" if sum(map(_size, written)) > most_output_bytes else None

        report, ended_by = _attend(ours, reason_to_end, grace)
    keeper.wait()
    elapsed = timedelta(seconds=time.monotonic() - started)
    code = _exit_code(argv[0], report, mark)
    return Ran(
        exit_code=code if code >= 0 else None,
        ended_by="signal" if code < 0 and ended_by == "itself" else ended_by,
        stdout=stdout,
        stderr=stderr,
        elapsed=elapsed,
    )


def _keeper(stdout: int, stderr: int) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    ours, theirs = socket.socketpair()
    with theirs:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours, keeper


def _attend(line: socket.socket, reason_to_end: Callable[[], EndedBy | None], grace: timedelta) -> tuple[bytes, EndedBy]:
    """Wait until the keeper hangs up, which it does when no process is left; its report, and who ended the program."""
    report, kill_at = bytearray(), float("inf")
    ended_by: EndedBy = "itself"
    while True:
        if select.select([line], [], [], ASK_AGAIN_SECONDS)[0]:
            piece = _receive(line)
            if not piece:
                return bytes(report), ended_by
            report += piece
        now = time.monotonic()
        if ended_by == "itself" and (reason := reason_to_end()):
            ended_by, kill_at = reason, now + grace.total_seconds()
            _order(line, b"I")
        elif now >= kill_at:
            kill_at = float("inf")
            _order(line, b"K")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # nothing was written yet
        return 0


def _receive(line: socket.socket) -> bytes:
    try:
        return line.recv(1 << 16)
    except ConnectionResetError:  # it hung up before it read our last order
        return b""


def _order(line: socket.socket, word: bytes) -> None:
    with contextlib.suppress(OSError):
        line.send(word)


def _exit_code(program: str, report: bytes, mark: str) -> int:
    said = json.loads(report or b"{}")
    if "errno" in said:
        message = f"cannot start {program!r}: {os.strerror(said['errno'])}"
        raise ProviderError(message, stage="start")
    if "wait_status" not in said:
        left = end_orphans(mark)
        message = f"{program!r}: the process that kept it was killed; {left} processes that it left behind were ended"
        raise ProviderError(message, stage="run", retryable=True)
    return os.waitstatus_to_exitcode(said["wait_status"])


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TEXT_LIMIT_BYTES))
        return file.read().decode("utf-8", errors="replace")
