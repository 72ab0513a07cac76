"""How a worker ends: SIGTERM lets runs come to their next boundary, for as long as the drain may take, and no longer.

Celery's own soft shutdown sleeps inside the signal handler, with the event loop standing still and nobody told before it is
over. So SIGTERM is its warm shutdown here, announced to the runs, with an end.
"""

import contextlib
import mmap
import os
import signal
import threading
import time
from types import FrameType

import structlog
from billiard import current_process

_LAST_SECONDS = 5.0
"""For what is left after the drain; then the process just ends, and the sweeper takes its runs over."""
_BEGUN, _OVER = 0, 1

log = structlog.get_logger("nightshift.queue")


class Drain:
    """One of a worker, shared with the children that it forks.

    Two bytes of shared memory and no lock: a child that is killed while it holds a lock would hang all the others.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._shared = mmap.mmap(-1, 2)
        self._busy = 0
        self._guarded = False

    def begun(self) -> bool:
        """True once the worker was told to stop."""
        return bool(self._shared[_BEGUN])

    def begin(self, how: str = "Warm", **_: object) -> None:
        """From the worker's signal handler."""
        first = not self.begun()
        self._shared[_BEGUN] = 1
        if how == "Cold":
            self._shared[_OVER] = 1
        elif first:
            threading.Thread(target=self._end, name="nightshift-drain", daemon=True).start()

    def _end(self) -> None:
        from celery.worker import state  # noqa: PLC0415 - only the worker process has requests

        time.sleep(self._seconds)
        log.warning("drain_over", seconds=self._seconds)
        self._shared[_OVER] = 1
        for pid in {request.worker_pid for request in tuple(state.active_requests)} - {None, os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LAST_SECONDS)
        os._exit(1)

    def __enter__(self) -> None:
        if not self._guarded and current_process().name != "MainProcess":
            self._guard()
        self._busy += 1

    def __exit__(self, *_: object) -> None:
        self._busy -= 1

    def _guard(self) -> None:
        """In a child, with its first run: billiard sets its own handlers after everything that Celery would call for us.

        A SIGTERM to the whole process group, as systemd sends it, must not end a child in mid-run before the drain is over.
        """
        self._guarded = True
        before = signal.getsignal(signal.SIGTERM)

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if self._busy and not self._shared[_OVER]:
                return
            signal.signal(signal.SIGTERM, before)
            if callable(before):
                before(number, frame)
            else:
                os.kill(os.getpid(), number)

        signal.signal(signal.SIGTERM, on_sigterm)
