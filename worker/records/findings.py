"""Findings over their life."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tasks.model import Json


class FindingState(StrEnum):
    """open → acknowledged | muted | resolved, and open again."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MUTED = "muted"
    RESOLVED = "resolved"


class FindingKind(StrEnum):
    """A trouble with the subject, or our not being able to look at it."""

    FINDING = "finding"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """A finding over its life; unique by (job, entry, key)."""

    id: str
    job: str
    entry: str
    key: str
    subject: str
    kind: FindingKind
    reason: str
    cause: str
    severity: str
    title: str
    detail: str
    evidence: Mapping[str, Json]
    desired: Json
    actual: Json
    recheck: str | None
    environment: str
    owner: str
    labels: Mapping[str, str]
    state: FindingState
    times_seen: int
    run_id: str
    """The run that saw it last."""
    observed_at: datetime
    """Start of that run: an older observation never overrides a newer one."""
    opened_at: datetime
    resolved_at: datetime | None = None
    state_by: str | None = None
    state_reason: str | None = None
    muted_until: datetime | None = None
