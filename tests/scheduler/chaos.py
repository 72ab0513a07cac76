"""Processes that are killed and stopped at random, and always started again."""

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from typing import Any, Self

_CONTEXT = multiprocessing.get_context("forkserver")


class Chaos:
    """Each of `parts` is one process; while the block lasts, one after the other suffers, as `seed` has it."""

    def __init__(self, seed: int, parts: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
        # The server imports once what each new process would; a restart is then as quick as the kill before it.
        _CONTEXT.set_forkserver_preload(["tests.scheduler.watch"])
        self.kills = self.stops = 0
        self.deaths = 0
        """How often one of them ended by itself."""
        self._random = random.Random(seed)  # noqa: S311 - chaos, not a secret
        self._parts = parts
        self._processes: list[ForkServerProcess] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._rage)

    def __enter__(self) -> Self:
        self._processes = [self._start(part) for part in range(len(self._parts))]
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        for process in self._processes:
            self._end(process)

    def _rage(self) -> None:
        while not self._over.wait(self._random.uniform(0.02, 0.3)):
            part = self._random.randrange(len(self._parts))
            if self._random.random() < 0.5:
                self._again(part)
                self.kills += 1
            else:
                self._stop(self._processes[part])
            self._raise_the_dead()

    def _raise_the_dead(self) -> None:
        """As a supervisor would: who could not begin, say for want of a connection, begins again."""
        for part in [part for part, process in enumerate(self._processes) if not process.is_alive()]:
            self.deaths += 1
            self._again(part)

    def _again(self, part: int) -> None:
        self._end(self._processes[part])
        self._processes[part] = self._start(part)

    def _stop(self, process: ForkServerProcess) -> None:
        pid = process.pid
        assert pid is not None
        with suppress(ProcessLookupError):  # it has just died by itself
            os.kill(pid, signal.SIGSTOP)
            self._over.wait(self._random.uniform(0.05, 0.6))
            os.kill(pid, signal.SIGCONT)
            self.stops += 1

    def _start(self, part: int) -> ForkServerProcess:
        target, args = self._parts[part]
        process = _CONTEXT.Process(target=target, args=args, daemon=True)
        process.start()
        return process

    def _end(self, process: ForkServerProcess) -> None:
        process.kill()
        process.join()
        process.close()
