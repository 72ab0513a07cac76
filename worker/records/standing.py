"""What holds for the whole ledger: revisions, brakes, schedules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tasks.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One applied configuration."""

    id: int
    digest: str
    content: Mapping[str, Json]
    applied_by: str
    note: str
    applied_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """The one row of facts about the whole ledger."""

    epoch: int
    revision: int | None
    frozen_by: str | None
    frozen_reason: str | None
    killed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """What the ledger remembers of a schedule."""

    name: str
    cursor_at: datetime
    """Everything due up to here was dealt with."""
    last_fire_key: str | None
    last_fire_at: datetime | None
    paused_by: str | None
    paused_reason: str | None
    paused_at: datetime | None
    active: bool
    """Whether the revision in force still has it."""
