"""The child processes of `nightshift up`: started by one thread, restarted when they die, and gone when we are.

On Linux a child gets its death signal from the kernel when we die (PR_SET_PDEATHSIG, prctl(2)), `kill -9` included. Elsewhere
there is no such thing: after a `kill -9` of `up` its children stay and must be ended by hand.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.logs import get_log

_LOG = get_log("nightshift.supervisor")
_LOOK_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A child that lived this long is restarted without delay again."""

# Runs between fork and the program in a process of its own: code run by `preexec_fn` in a process with threads may deadlock.
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]))
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
try:
    os.execvp(sys.argv[3], sys.argv[3:])
except OSError as error:
    sys.exit(f"{sys.argv[3]}: {error.strerror}")
"""


class Child(Protocol):
    """Something that `Supervisor` keeps alive. All calls come from its one thread."""

    name: str

    def start(self) -> None:
        """Start, or start again; returns when it is of use. Raises what says why not."""
        ...

    def alive(self) -> bool:
        """False once it has died."""
        ...

    def stop(self, within_seconds: float, hurry: threading.Event) -> None:
        """End it; at once when the time is over or `hurry` is set."""
        ...


class Process:
    """One program as a `Child`, in a session of its own so that a Ctrl-C in the terminal reaches us alone.

    `quiet`: what it says on standard output is dropped. `log`: what it says is appended there.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        quiet: bool = False,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self._argv = list(argv)
        self._environ = dict(os.environ if environ is None else environ)
        self._death_signal = death_signal
        self._quiet = quiet
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the program; None before the first start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """See `Child`."""
        with ExitStack() as stack:
            log = stack.enter_context(self._log.open("ab")) if self._log else None
            self._process = subprocess.Popen(
                [*self._launcher(), *self._argv],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if self._quiet else log,
                stderr=log,
                start_new_session=True,
            )

    def alive(self) -> bool:
        """See `Child`."""
        return self._process is not None and self._process.poll() is None

    def stop(self, within_seconds: float, hurry: threading.Event) -> None:
        """SIGTERM, then SIGKILL to all of its session that is still in its process group."""
        if self._process is None:
            return
        self._process.terminate()
        deadline = time.monotonic() + within_seconds
        while self._process.poll() is None and time.monotonic() < deadline and not hurry.is_set():
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _launcher(self) -> list[str]:
        if sys.platform != "linux":
            return []
        return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), str(int(self._death_signal))]


@dataclass(slots=True)
class _Kept:
    child: Child
    started_at: float
    failures: int = 0
    again_at: float | None = None
    """When to start it again; None while it lives."""


class Supervisor:
    """Starts children in the order given and ends them in reverse. Its thread outlives them: the kernel sends the death
    signal when the thread that forked ends, not when the process does.
    """

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._orders: list[tuple[Callable[[], None], Future[None]]] = []
        self._lock = threading.Condition()
        self._hurry = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)
        self._thread.start()

    def start(self, child: Child) -> None:
        """Start `child` and keep it alive from then on. Raises what its first start raises."""
        self._do(lambda: self._start(child))

    def stop(self, within_seconds: Mapping[str, float]) -> None:
        """End all children, the last started first, each with its seconds by name (else 5), and the thread. May be repeated."""
        if self._thread.is_alive():
            self._do(lambda: self._stop(within_seconds))
            self._thread.join()

    def hurry(self) -> None:
        """Make a `stop`, now or later, kill at once."""
        self._hurry.set()

    def _do(self, order: Callable[[], None]) -> None:
        done: Future[None] = Future()
        with self._lock:
            self._orders.append((order, done))
            self._lock.notify()
        done.result()

    def _work(self) -> None:
        while not self._over:
            with self._lock:
                if not self._orders:
                    self._lock.wait(_LOOK_SECONDS)
                orders, self._orders = self._orders, []
            for order, done in orders:
                try:
                    order()
                except BaseException as error:  # noqa: BLE001 - whoever ordered it gets it
                    done.set_exception(error)
                else:
                    done.set_result(None)
            for kept in self._kept:
                self._look_after(kept)

    def _start(self, child: Child) -> None:
        child.start()
        self._kept.append(_Kept(child, time.monotonic()))

    def _stop(self, within_seconds: Mapping[str, float]) -> None:
        while self._kept:
            child = self._kept.pop().child
            child.stop(within_seconds.get(child.name, 5.0), self._hurry)
        self._over = True

    def _look_after(self, kept: _Kept) -> None:
        now = time.monotonic()
        if kept.again_at is None:
            if kept.child.alive():
                return
            kept.failures = 1 if now - kept.started_at > _STEADY_SECONDS else kept.failures + 1
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (kept.failures - 1), _LONGEST_PAUSE_SECONDS)
            kept.again_at = now + pause
            _LOG.error("child_died", child=kept.child.name, again_in_seconds=pause)
        elif now >= kept.again_at:
            kept.started_at, kept.again_at = now, None
            try:
                kept.child.start()
            except Exception as error:  # noqa: BLE001 - tried again, later each time
                _LOG.error("child_not_started", child=kept.child.name, error=str(error))
            else:
                _LOG.info("child_restarted", child=kept.child.name)
