"""How long a callback is tried, and what its last attempt means after those before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self, assert_never

from tasks.model import Json
from worker.records import DeliveryState, OutboxRow
from worker.relay.judging import Answer, Verdict

_FIRST_PAUSE = timedelta(milliseconds=50)
_LONGEST_PAUSE = timedelta(seconds=30)
_GIVE_UP = timedelta(hours=24)
_PATIENCE: Mapping[Answer, timedelta] = {
    # A database may be on its way back from a backup.
    "again_for_minutes": timedelta(minutes=5),
    "again_for_a_minute": timedelta(minutes=1),
}
"""Since the first such answer in a row: n8n may have been down for hours before it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The attempts before this one, as the outbox row keeps them."""

    began: datetime
    attempts: int
    refused: int
    """Whose answer said plainly that nothing was taken. A relay that died before it could note one counts as doubt."""
    answer: str | None
    """Of the last ones, which came so often in a row, since then."""
    often: int
    since: datetime

    @classmethod
    def read(cls, row: OutboxRow) -> Self:
        kept = row.payload
        since = datetime.fromisoformat(str(kept["since"])) if "since" in kept else row.created_at
        answer = str(kept["answer"]) if "answer" in kept else None
        refused, often = (int(str(kept.get(name, 0))) for name in ("refused", "often"))
        return cls(row.created_at, row.attempts, refused, answer, often, since)

    def state(self, verdict: Verdict, now: datetime) -> DeliveryState:
        """What follows from the answer to this attempt."""
        in_doubt = self.attempts > self.refused
        match verdict.answer:
            case "delivered":
                return DeliveryState.SENT
            case "over":
                return DeliveryState.SENT if in_doubt else DeliveryState.DISABLED
            case "astray":
                return DeliveryState.SENT if in_doubt else DeliveryState.FAILED
            case "undelivered":
                return DeliveryState.FAILED
            case "again" | "again_for_minutes" | "again_for_a_minute":
                patient = now - self.began < _GIVE_UP and now < self._until(verdict, now)
                return DeliveryState.SENDING if patient else DeliveryState.FAILED
            case _ as never:
                assert_never(never)

    def again(self, verdict: Verdict, now: datetime) -> tuple[datetime, Mapping[str, Json]]:
        """When to try once more, and what to keep until then."""
        often = self.often if verdict.answer == self.answer else 0
        pause = min(_FIRST_PAUSE * 2 ** min(often, 12), _LONGEST_PAUSE)
        kept: Mapping[str, Json] = {
            "answer": verdict.answer,
            "often": often + 1,
            "since": self._since(verdict, now).isoformat(),
            "refused": self.refused + (not verdict.doubtful),
        }
        return min(now + pause, self._until(verdict, now)), kept

    def _until(self, verdict: Verdict, now: datetime) -> datetime:
        return self._since(verdict, now) + _PATIENCE.get(verdict.answer, _GIVE_UP)

    def _since(self, verdict: Verdict, now: datetime) -> datetime:
        return self.since if verdict.answer == self.answer else now
