"""A background loop: one step again and again, through errors and until told to stop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger("nightshift.loop")

_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Loop:
    """`step` is called every `seconds`; True means that there is more to do at once. `wake` cuts a pause short."""

    name: str
    seconds: float
    step: Callable[[], bool]
    wake: threading.Event = field(default_factory=threading.Event)
    rested_seconds: float | None = None
    """The pause instead, when there was no more to do: somebody wakes it when there is."""

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. A step that raises is logged and tried again, ever more slowly."""
        pause = 0.0
        failures = 0
        while not stop.is_set():
            if pause:
                # Whoever wakes it knows what there is to do, not that it failed a moment ago.
                (stop if failures else self.wake).wait(pause)
                self.wake.clear()
            if stop.is_set():
                return
            try:
                pause = 0.0 if self.step() else self.rested_seconds or self.seconds
                failures = 0
            except Exception as error:  # noqa: BLE001 - a loop outlives whatever its step meets
                failures += 1
                pause = min(self.seconds * 2**failures, _LONGEST_PAUSE_SECONDS)
                log.warning("loop_step_failed", loop=self.name, error=f"{type(error).__name__}: {error}".splitlines()[0])

    def start(self, stop: threading.Event) -> threading.Thread:
        """Run in a thread of its own."""
        thread = threading.Thread(target=self.run, args=(stop,), name=f"nightshift-{self.name}", daemon=True)
        thread.start()
        return thread
