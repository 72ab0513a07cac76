"""Dead-man's switches: a schedule's ping URL is called after each of its nights that was complete, and never otherwise."""

from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import structlog

from worker.flow.shift import Shift
from worker.ledger import batches, outbox, runs
from worker.records import Batch, OutboxRow, Topic

_GIVE_UP = timedelta(hours=1)

log = structlog.get_logger("nightshift.pings")


@dataclass(frozen=True, slots=True)
class PingRelay:
    """One step pings what is due."""

    shift: Shift
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10.0))

    def step(self) -> bool:
        now = self.shift.clock()
        with self.shift.ledger.read() as connection:
            due = outbox.due(connection, Topic.PING, now, 50)
        for row in due:
            self._ping(row)
        return False

    def _ping(self, row: OutboxRow) -> None:
        now = self.shift.clock()
        with self.shift.ledger.transaction() as tx:
            if not outbox.take(tx, row, until=now + timedelta(seconds=30)):
                return
        with self.shift.ledger.read() as connection:
            batch = batches.get(connection, row.subject)
        error = self._call(batch) if batch and self._complete(batch) else None
        with self.shift.ledger.transaction() as tx:
            if error and now - row.created_at < _GIVE_UP:
                outbox.try_again(tx, row.id, at=now + timedelta(seconds=10 * 2 ** min(row.attempts, 5)), error=error)
            else:
                outbox.done(tx, [row.id])

    def _complete(self, batch: Batch) -> bool:
        """Whether every entry was looked at."""
        with self.shift.ledger.read() as connection:
            made = runs.of_batch(connection, batch.id)
        return sum(run.counts.get("ok", 0) + run.counts.get("finding", 0) for run in made) >= batch.entries_expected > 0

    def _call(self, batch: Batch) -> str | None:
        schedule = self.shift.estate().schedules.get(batch.schedule or "")
        if schedule is None or schedule.ping_url is None:
            return None
        try:
            url = schedule.ping_url
            if not url.startswith(("http://", "https://")):
                url = self.shift.providers.secrets(url)
            self.client.post(url, content=b"").raise_for_status()
        except Exception as error:  # noqa: BLE001 - a ping must not stop the others, and its URL must not be told
            log.warning("ping_failed", schedule=batch.schedule, error=type(error).__name__)
            return type(error).__name__
        return None
