"""The sweeper: runs whose owner fell silent, mutes that are over, keys that are old. Any number of instances may run."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

import structlog

from worker.flow import unwatched
from worker.flow.expiring import expire_due, expire_unused, remind_due
from worker.flow.lost import take_over
from worker.flow.shift import Shift
from worker.flow.verbs import reopen_mutes
from worker.ledger import batches, leases, waiting
from worker.records import Run

IDEMPOTENCY_KEPT = timedelta(days=30)
_HOUSEKEEPING = timedelta(hours=1)

log = structlog.get_logger("nightshift.sweeper")

Sighting = tuple[str, int, datetime | None]


@dataclass(slots=True)
class Sweeper:
    """Acts on an expired lease only after seeing it expired twice, a grace apart, on its own monotonic clock.

    A probe or requeue right after expiry doubled effects in trials with forced clock jumps: the owner may be alive and
    between two statements. The second look also survives a jump of the database's clock.
    """

    shift: Shift
    _seen: dict[Sighting, float] = field(default_factory=dict)
    _kept_house_at: datetime | None = None

    def step(self) -> bool:
        """One round."""
        with self.shift.ledger.read() as connection:
            over = waiting.anything_over(connection, self.shift.clock())
            expired = leases.expired(connection) if over else []
        now = monotonic()
        self._seen = {_sighting(run): self._seen.get(_sighting(run), now) for run in expired}
        grace = self.shift.pace.grace.total_seconds()
        for run in expired:
            seen_for = now - self._seen[_sighting(run)]
            if seen_for >= grace:
                self._take(run, timedelta(seconds=seen_for))
        if over:
            reopen_mutes(self.shift)
            expire_due(self.shift)
            expire_unused(self.shift)
            remind_due(self.shift)
        self._keep_house()
        return False

    def _take(self, run: Run, seen_for: timedelta) -> None:
        state = take_over(self.shift, run, seen_for)
        if state is not None:
            log.warning("run_taken_over", run_id=run.id, job=run.job, worker=run.worker, attempt=run.attempts, now=state)

    def _keep_house(self) -> None:
        now = self.shift.clock()
        if self._kept_house_at is not None and now - self._kept_house_at < _HOUSEKEEPING:
            return
        self._kept_house_at = now
        unwatched.retire(self.shift)
        with self.shift.ledger.transaction() as tx:
            batches.forget_idempotency_keys(tx, now - IDEMPOTENCY_KEPT)


def _sighting(run: Run) -> Sighting:
    return (run.id, run.fence, run.lease_until)
