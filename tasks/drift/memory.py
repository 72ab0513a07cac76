"""What the job remembers of a stack from night to night, and how often a property flipped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from tasks.context import Fact, History
from tasks.drift.sets import Difference, by_key
from tasks.model import Json

_NIGHT, _SEEN = "night", "seen"
FLAPPING_WITHIN = timedelta(days=14)
_MOST_KEYS = 5000
"""Of a stack that differs everywhere; the rest is confirmed anew each night."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """How the stack was when it was last looked at."""

    state: str = ""
    """SHA-256 of its state."""
    source: str | None = None
    """What the program was; None: that cannot be known."""
    outstanding: bool = True
    """The program was not compared, or differed: it is compared again whatever else moved."""
    differing: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints by key of what D saw, confirmed."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The facts of one stack in the job's history."""

    history: History
    subject: str

    def last_night(self) -> Night | None:
        fact = self.history.latest(self.subject, _NIGHT)
        if fact is None or not isinstance(fact.value, Mapping):
            return None
        known = fact.value
        source = known.get("source")
        return Night(
            state=str(known.get("state")),
            source=str(source) if source is not None else None,
            outstanding=bool(known.get("outstanding", True)),
            differing=_seen(self.history.latest(self.subject, _SEEN)),
        )

    def keep(self, night: Night) -> None:
        """For the next night; of what differs a new version only if it is another than before."""
        value: dict[str, Json] = {"state": night.state, "source": night.source, "outstanding": night.outstanding}
        self.history.record(self.subject, _NIGHT, value)
        kept: dict[str, Json] = dict(sorted(night.differing.items())[:_MOST_KEYS])
        self.history.record(self.subject, _SEEN, kept)

    def versions(self) -> Sequence[Fact]:
        """What differed, newest first, a version for each time that it was something else."""
        return self.history.versions(self.subject, _SEEN)

    def since(self, found: Iterable[Difference], now: datetime) -> Mapping[str, datetime]:
        """By key: when the difference was first seen as it is now."""
        versions = [(fact.recorded_at, _seen(fact)) for fact in self.versions()]
        return {key: _since(versions, key, told, now) for key, told in by_key(found).items()}


def flips(versions: Sequence[Fact], tonight: Mapping[str, str], now: datetime) -> Mapping[str, int]:
    """By key: how often within `FLAPPING_WITHIN` the property was not as at the look before. `versions`: newest first."""
    recent = [_seen(fact) for fact in versions if now - fact.recorded_at <= FLAPPING_WITHIN]
    states = [tonight, *recent]
    counted: dict[str, int] = {}
    for newer, older in pairwise(states):
        for key in newer.keys() | older.keys():
            counted[key] = counted.get(key, 0) + (newer.get(key) != older.get(key))
    return counted


def _since(versions: Sequence[tuple[datetime, Mapping[str, str]]], key: str, told: str, now: datetime) -> datetime:
    first = now
    for recorded_at, differing in versions:
        if differing.get(key) != told:
            break
        first = recorded_at
    return first


def _seen(fact: Fact | None) -> Mapping[str, str]:
    if fact is None or not isinstance(fact.value, Mapping):
        return {}
    return {key: str(told) for key, told in fact.value.items()}
