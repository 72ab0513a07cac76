"""Worker programs that are started once, stand still while others are measured, and end with the bench."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 120.0


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll gently: the machine belongs to what is measured."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)


class Program:
    """One program and its children."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._argv, self._log = argv, log
        self._environ = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, env=self._environ, cwd=self._log.parent, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        tree = self.tree()
        self.signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in tree:
            if child.is_running():
                child.kill()

    def signal(self, number: signal.Signals) -> None:
        """To the program itself: its children have nothing to do without it."""
        assert self._process is not None
        self._process.send_signal(number)

    def pause(self) -> None:
        """It takes nothing up from now on."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self.signal(signal.SIGCONT)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """It works while the block lasts."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def tree(self) -> list[psutil.Process]:
        """Itself and everything below."""
        assert self._process is not None
        root = psutil.Process(self._process.pid)
        return [root, *root.children(recursive=True)]

    @property
    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def celery_worker(app: str, environ: Mapping[str, str], log: Path, *options: str) -> Program:
    """A prefork worker of two children."""
    argv = [sys.executable, "-m", "celery", "-A", app, "worker", "-c", "2", "--without-gossip", "--without-mingle", *options]
    return Program(argv, environ, log)
