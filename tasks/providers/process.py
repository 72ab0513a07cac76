"""Runs programs of the estate: no shell, exactly the environment given, bounded in time and output, nothing left behind.

Each program has a keeper, a small process of its own (`process_keeper.py`, 20 ms, 10 MB). A `preexec_fn` would be less, but
it forks a process with threads (deadlocks, see the subprocess manual), and PR_SET_PDEATHSIG dies with the first fork: after a
kill -9 of the worker the script would be gone and its children would live on. The keeper sees its socket end, and ends them all.
"""

import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Literal

from tasks.context import Command, CommandResult, Process
from tasks.errors import ProviderError
from tasks.providers.processes import describe

KEEPER = Path(__file__).with_name("process_keeper.py")
GRACE = timedelta(seconds=2)
"""From SIGTERM to SIGKILL."""
ASK_AGAIN_SECONDS = 0.1
"""How often `cancelled` is asked."""
PIECE_BYTES = 65536

EndedBy = Literal["itself", "signal", "timeout", "output_limit", "cancelled"]


@dataclass(frozen=True, slots=True)
class LocalCommands:
    """`Commands` on this machine, as the user that the worker runs as."""

    grace: timedelta = GRACE

    def run(
        self,
        command: Command,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        before_start: Callable[[Process], None] | None = None,
    ) -> CommandResult:
        """See `Commands.run`."""
        running = _start(command, _find(command), before_start, self.grace)
        try:
            _attend(running, self.grace, cancelled)
            return running.result()
        finally:
            running.close()


def _find(command: Command) -> str:
    """The program's absolute path: as given, or found on the PATH of the command's own environment."""
    program = command.argv[0]
    path = command.environment.get("PATH")
    if os.path.isabs(program):  # noqa: PTH117 - a string is what exec takes
        return program
    found = shutil.which(program, path=path) if path and os.sep not in program else None
    if found is None:
        message = f"cannot start {program!r}: not an absolute path, and not found on the command's own PATH {path!r}"
        raise ProviderError(message, stage="start")
    return os.path.abspath(found)  # noqa: PTH100 - links stay as they are: many programs look at their own name


@dataclass(slots=True)
class _Running:
    """One command under its keeper. All streams are non-blocking."""

    command: Command
    keeper: "subprocess.Popen[bytes]"
    line: socket.socket
    selector: selectors.BaseSelector
    started: float
    stdin: memoryview
    output: dict[IO[bytes], bytearray]
    report: bytearray = field(default_factory=bytearray)
    ended_by: EndedBy = "itself"
    kill_at: float | None = None
    hung_up: bool = False
    begun: bool = False
    """The keeper was told what to run."""

    def order(self, word: bytes) -> None:
        """`T` or `K` to the keeper; one that is gone has done it already."""
        with contextlib.suppress(OSError):
            self.line.send(word)

    def end(self, why: EndedBy, grace: timedelta) -> None:
        """Begin to end the program; the first reason counts."""
        if self.ended_by != "itself":
            return
        self.ended_by = why
        self.kill_at = time.monotonic() + grace.total_seconds()
        if grace:
            self.order(b"T")

    def take(self, stream: IO[bytes]) -> bool:
        """Read one piece; False at the end of the stream. Past the limit the rest is dropped and the program ended."""
        try:
            piece = os.read(stream.fileno(), PIECE_BYTES)
        except BlockingIOError:
            return False
        room = self.command.output_limit_bytes - sum(map(len, self.output.values()))
        self.output[stream] += piece[:room]
        if len(piece) > room:
            self.end("output_limit", timedelta(0))
        return bool(piece)

    def feed(self, stream: IO[bytes]) -> bool:
        """Write one piece of stdin; False when all is written or nobody reads it."""
        try:
            self.stdin = self.stdin[os.write(stream.fileno(), self.stdin[:PIECE_BYTES]) :]
        except BrokenPipeError:
            return False
        return bool(self.stdin)

    def listen(self) -> bool:
        """Take the keeper's report; False when it hung up."""
        try:
            piece = self.line.recv(PIECE_BYTES)
        except ConnectionResetError:  # it hung up before it read our last order
            piece = b""
        self.report += piece
        self.hung_up = not piece
        return not self.hung_up

    def result(self) -> CommandResult:
        """How it ended, by the keeper's report. Raises `ProviderError` if it never started, or the keeper was killed."""
        report = json.loads(self.report or b"{}")
        if "errno" in report:
            on = self.command.cwd if report["what"] == "cwd" else self.command.argv[0]
            message = f"cannot start {self.command.argv[0]!r}: {on}: {os.strerror(report['errno'])}"
            raise ProviderError(message, stage="start")
        if "wait_status" not in report:
            message = f"{self.command.argv[0]!r}: the process that kept it was killed after {self._elapsed()}"
            raise ProviderError(message, stage="run", retryable=True)
        code = os.waitstatus_to_exitcode(report["wait_status"])
        by_us = self.ended_by != "itself"
        stdout, stderr = self.output.values()
        return CommandResult(
            exit_code=None if by_us or code < 0 else code,
            ended_by="signal" if code < 0 and not by_us else self.ended_by,
            signal=-code if code < 0 else None,
            stdout=bytes(stdout),
            stderr=bytes(stderr),
            elapsed=self._elapsed(),
        )

    def _elapsed(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self.started)

    def close(self) -> None:
        """Close every stream. A keeper that still runs takes the end of its line as the order to kill, or to go on alone."""
        self.selector.close()
        self.line.close()
        for stream in (self.keeper.stdin, *self.output):
            if stream is not None:
                stream.close()
        # One that hung up is about to end, even if it has not yet.
        alone = self.begun and self.command.outlives and not self.hung_up and self.ended_by == "itself"
        if alone and self.keeper.poll() is None:
            threading.Thread(target=self.keeper.wait, name="nightshift-keeper", daemon=True).start()
        else:
            self.keeper.wait()


def _start(command: Command, program: str, before_start: Callable[[Process], None] | None, grace: timedelta) -> _Running:
    ours, theirs = socket.socketpair()
    started = time.monotonic()
    reads, writes = zip(os.pipe(), os.pipe(), strict=True)
    # A keeper that may be left alone reads what the program says: else the program ends as it says it.
    drains = reads if command.outlives else ()
    with theirs, _stdin(command) as stdin:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), str(theirs.fileno())],
            stdin=stdin,
            stdout=writes[0],
            stderr=writes[1],
            bufsize=0,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"},
            pass_fds=[theirs.fileno(), *drains],
            start_new_session=True,
        )
    for number in writes:
        os.close(number)
    output: dict[IO[bytes], bytearray] = {os.fdopen(number, "rb", buffering=0): bytearray() for number in reads}
    running = _Running(command, keeper, ours, selectors.DefaultSelector(), started, memoryview(command.stdin), output)
    alone = {"drains": drains, "timeout_seconds": command.timeout.total_seconds(), "grace_seconds": grace.total_seconds()}
    spec = {
        "argv": [program, *command.argv[1:]],
        "environment": dict(command.environment),
        "cwd": None if command.cwd is None else str(command.cwd),
        "memory_limit_bytes": command.memory_limit_bytes,
        "outlives": alone if command.outlives else None,
    }
    if before_start is not None:
        try:
            before_start(describe(keeper.pid))
        except BaseException:
            running.close()
            raise
    with contextlib.suppress(OSError):  # the keeper is dead already: its missing report says so
        # Through the line, not argv, which everybody can read. The keeper reads it all before anything else.
        ours.sendall(json.dumps(spec).encode() + b"\n")
    running.begun = True
    ours.settimeout(0)
    _watch(running)
    return running


@contextlib.contextmanager
def _stdin(command: Command) -> Iterator[int | IO[bytes]]:
    """A pipe that we feed; for a program that may outlive us, all of it at once."""
    if not command.stdin:
        yield subprocess.DEVNULL
    elif not command.outlives:
        yield subprocess.PIPE
    else:
        with _unnamed_file() as whole:
            whole.write(command.stdin)
            whole.seek(0)
            yield whole


def _unnamed_file() -> IO[bytes]:
    """In memory where there is such a thing: what is fed to a program may be a secret."""
    return os.fdopen(os.memfd_create("stdin"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


def _watch(running: _Running) -> None:
    running.selector.register(running.line, selectors.EVENT_READ)
    for stream in running.output:
        os.set_blocking(stream.fileno(), False)
        running.selector.register(stream, selectors.EVENT_READ)
    if running.keeper.stdin:
        os.set_blocking(running.keeper.stdin.fileno(), False)
        running.selector.register(running.keeper.stdin, selectors.EVENT_WRITE)


def _attend(running: _Running, grace: timedelta, cancelled: Callable[[], bool]) -> None:
    """Move bytes until the keeper hangs up, which it does when no process is left; then take what the pipes still hold."""
    deadline = running.started + running.command.timeout.total_seconds()
    asked = 0.0
    while _pump(running):
        now = time.monotonic()
        if running.kill_at is not None and now >= running.kill_at:
            running.order(b"K")
            running.kill_at = None
        if now >= deadline:
            running.end("timeout", grace)
        if now - asked >= ASK_AGAIN_SECONDS:
            asked = now
            if cancelled():
                running.end("cancelled", grace)
    for stream in running.output:
        while running.take(stream):
            pass


def _pump(running: _Running) -> bool:
    """One round over the streams that are ready; False when the keeper hung up."""
    for key, _ in running.selector.select(ASK_AGAIN_SECONDS / 2):
        stream = key.fileobj
        if stream is running.line:
            if not running.listen():
                return False
        elif stream is running.keeper.stdin:
            if not running.feed(running.keeper.stdin):
                running.selector.unregister(stream)
                running.keeper.stdin.close()
        elif not running.take(stream):  # type: ignore[arg-type]
            running.selector.unregister(stream)
    return True
