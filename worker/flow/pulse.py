"""The heartbeat: one thread per process extends the leases of its runs, shows their progress, and reads whether to stop."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Literal

import structlog
from sqlalchemy.exc import DBAPIError

from tasks.model import Json
from worker.flow.masking import masked_text
from worker.flow.shift import Shift
from worker.ledger import keepings, leases, revisions
from worker.ledger.keepings import Line
from worker.records import Run, RunKind

Stop = Literal["cancelled", "killed", "lost", "drained", "time_limit"]
EFFECT_HEARTBEAT_SECONDS = 1.0
"""At most: within two seconds of a kill its effects are to know."""
MOST_LINES = 2_000
"""Log lines kept of one attempt; the last says how many more there were."""

log = structlog.get_logger("nightshift.pulse")


@dataclass(slots=True)
class Watch:
    """One running run, as its heartbeat sees it. The job's thread writes, the heartbeat reads and sets `stop`."""

    shift: Shift
    run: Run
    deadline: float
    """On the monotonic clock."""
    beat_at: float
    stop: Stop | None = None
    stopped_by: str | None = None
    noticed: bool = False
    """Whether the job was told to stop: a check that came to its end without it was not cut short."""
    progress: dict[str, Json] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    written: int = 0
    said: int = 0
    saying: threading.Lock = field(default_factory=threading.Lock)
    """A job may log from threads of its own."""
    beating: threading.Lock = field(default_factory=threading.Lock)

    @property
    def every_seconds(self) -> float:
        """How often its heart beats."""
        seconds = self.shift.pace.heartbeat.total_seconds()
        return min(seconds, EFFECT_HEARTBEAT_SECONDS) if self.run.kind is RunKind.EFFECT else seconds

    def show(self, done: int, total: int, note: str) -> None:
        """`ctx.progress`."""
        # Whole numbers: a NaN, which JSON does not know, would fail each heartbeat, and with them the run.
        self.progress = {"done": int(done), "total": int(total), "note": masked_text(note)[:200]}

    def say(self, at: datetime, level: str, event: str, facts: Mapping[str, Json]) -> None:
        """Keep one log line."""
        with self.saying:
            self.said += 1
            if self.said <= MOST_LINES:
                self.lines.append(Line(number=self.said, at=at, level=level, event=event, facts=facts))

    def unwritten(self) -> list[Line]:
        """Lines not in the ledger yet; the caller moves `written` once they are committed."""
        return self.lines[self.written :]

    def last_lines(self, at: datetime) -> list[Line]:
        """Those, and how many were not kept."""
        more = self.said - MOST_LINES
        if more <= 0:
            return self.unwritten()
        facts = {"more": more, "kept": MOST_LINES}
        return [*self.unwritten(), Line(number=MOST_LINES + 1, at=at, level="warning", event="lines_left_out", facts=facts)]

    def must_stop(self) -> bool:
        """`ctx.cancelled`."""
        if self.stop is None and self.shift.draining():
            self.stop = "drained"
        if self.stop is None and monotonic() > self.deadline:
            self.stop = "time_limit"
        self.noticed = self.noticed or self.stop is not None
        return self.noticed


class Pulse:
    """The thread, started with the first run of a process: it must not exist before a fork."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, shift: Shift, run: Run) -> Iterator[Watch]:
        """Keep the run's lease for as long as the block lasts."""
        now = monotonic()
        limit = shift.jobs[run.job].time_limit.total_seconds()
        watch = Watch(shift=shift, run=run, deadline=now + limit, beat_at=now)
        if run.cancel_requested_by is not None:
            # Asked of an attempt that was released or lost before it heard of it.
            watch.stop, watch.stopped_by = "cancelled", run.cancel_requested_by
        self._ensure_thread()
        with self._lock:
            self._watches[run.id] = watch
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.pop(run.id, None)
            with watch.beating:
                # No beat outlives its run.
                pass

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat_for_ever, name="nightshift-pulse", daemon=True)
                self._thread.start()

    def forget(self) -> None:
        """In a forked child: the thread is not here, and whoever held the lock never lets go of it."""
        self._watches, self._lock, self._thread = {}, threading.Lock(), None

    def _beat_for_ever(self) -> None:
        pause = threading.Event()
        interval = 0.5
        while not pause.wait(interval):
            with self._lock:
                watches = list(self._watches.values())
            for watch in watches:
                interval = min(0.5, watch.shift.pace.heartbeat.total_seconds() / 2)
                if monotonic() - watch.beat_at >= watch.every_seconds:
                    self._beat(watch)

    def _beat(self, watch: Watch) -> None:
        try:
            with watch.beating:
                if self._watches.get(watch.run.id) is watch:
                    beat(watch)
        except Exception as error:
            # Whatever it was: the other runs of this process need their heartbeat.
            log.exception("heartbeat_failed", run_id=watch.run.id, error=type(error).__name__)


def beat(watch: Watch) -> None:
    """Extend the lease once; a ledger that is away is asked again with the next beat."""
    watch.beat_at = monotonic()
    pending = watch.unwritten()
    try:
        with watch.shift.ledger.transaction() as tx:
            lease = watch.shift.pace.lease.total_seconds()
            held, cancelled_by = leases.extend(tx, watch.run, lease_seconds=lease, progress=watch.progress)
            killed = watch.run.kind is RunKind.EFFECT and revisions.state(tx).killed
            if held:
                keepings.add_lines(tx, watch.run.id, watch.run.fence, pending)
    except DBAPIError as error:
        log.warning("heartbeat_failed", run_id=watch.run.id, error=type(error.orig).__name__)
        return
    if not held:
        watch.stop = "lost"
        return
    watch.written += len(pending)
    if killed and watch.stop is None:
        watch.stop = "killed"
    elif cancelled_by is not None and watch.stop is None:
        watch.stop, watch.stopped_by = "cancelled", cancelled_by


PULSE = Pulse()
os.register_at_fork(after_in_child=PULSE.forget)
