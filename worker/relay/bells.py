"""Doorbells: rung again with back-off for queued runs that nobody claimed, and never more than the workers can use."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.flow.shift import Shift
from worker.ledger import outbox, slots
from worker.records import OutboxRow, Run

_AT_ONCE = 500
_HELD_BACK = 5
"""So much longer until a run is looked at again whose account may be full: whoever ends rings for the next."""
_FEW = 100
"""With fewer bells than this in the broker, an unclaimed run's bell is probably lost rather than waiting its turn."""


@dataclass(frozen=True, slots=True)
class BellRelay:
    """One step rings what is due. `depth(queue)` is the number of bells that wait in the broker, None if it does not say."""

    shift: Shift
    depth: Callable[[str], int | None]

    def step(self) -> bool:
        """True when there may be more due at once."""
        now = self.shift.clock()
        with self.shift.ledger.transaction() as tx:
            outbox.drop_answered_bells(tx)
        with self.shift.ledger.read() as connection:
            due = outbox.due_bells(connection, now, _AT_ONCE)
            room = self.shift.pace.ring_cap - outbox.rung(connection)
            full = slots.full_accounts(connection, {run.account for _, run in due if run and run.account})
        queues = {run.kind.queue for _, run in due if run}
        waiting = {queue: self.depth(queue) or 0 for queue in queues}
        to_ring: list[tuple[OutboxRow, Run]] = []
        for row, run in due:
            if run and run.account not in full and self._wanted(row, waiting[run.kind.queue], room, now):
                to_ring.append((row, run))
                room -= row.attempts == 0
        self._clear([row.id for row, run in due if run is None])
        for row, run in to_ring:
            self._ring(row, run, now)
        self._leave(due, to_ring, now)
        return len(due) == _AT_ONCE and bool(to_ring)

    def _wanted(self, row: OutboxRow, waiting: int, room: int, now: datetime) -> bool:
        """A first bell, while there is room; a later one, if the queue is short or the run has waited for long."""
        if row.attempts == 0:
            return room > 0 and waiting < self.shift.pace.ring_cap
        return waiting < _FEW or now - row.created_at >= self.shift.pace.slowest_ring

    def _ring(self, row: OutboxRow, run: Run, now: datetime) -> None:
        with self.shift.ledger.transaction() as tx:
            mine = outbox.take(tx, row, until=now + self._pause(row.attempts))
        if mine:
            self.shift.ring([run])

    def _leave(self, due: list[tuple[OutboxRow, Run | None]], rung: list[tuple[OutboxRow, Run]], now: datetime) -> None:
        """Due and not rung: looked at again a little later, without counting an attempt."""
        done = {row.id for row, _ in rung}
        with self.shift.ledger.transaction() as tx:
            for row, run in due:
                if run is not None and row.id not in done:
                    pause = self.shift.pace.first_ring_again * (_HELD_BACK if run.account else 1)
                    outbox.try_again(tx, row.id, at=now + pause)

    def _clear(self, ids: list[int]) -> None:
        if ids:
            with self.shift.ledger.transaction() as tx:
                outbox.done(tx, ids)

    def _pause(self, attempts: int) -> timedelta:
        first, slowest = self.shift.pace.first_ring_again, self.shift.pace.slowest_ring
        return min(first * (1 << min(attempts, 12)), slowest)
