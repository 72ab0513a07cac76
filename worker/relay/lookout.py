"""One look for all of the relay: whoever has something to do is woken, the others rest."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from worker.flow.shift import Shift
from worker.ledger import waiting

RESTED_SECONDS = 5.0
"""So long a loop rests that nobody wakes; then it looks for itself."""


@dataclass(frozen=True, slots=True)
class Lookout:
    """One step asks the ledger once. `wake`: by what waits (see `worker.ledger.waiting`), who is to be woken for it."""

    shift: Shift
    wake: Mapping[str, threading.Event]

    def step(self) -> bool:
        with self.shift.ledger.read() as connection:
            found = waiting.what_waits(connection, self.shift.clock())
        for what in found:
            self.wake[what].set()
        return False
