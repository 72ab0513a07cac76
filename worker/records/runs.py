"""Batches, runs and effects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tasks.model import Json
from worker.records.approvals import EffectOutcome


class RunState(StrEnum):
    """queued → running → succeeded | failed | cancelled | skipped | needs_attention (→ … by `resolve`)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    NEEDS_ATTENTION = "needs_attention"

    @property
    def terminal(self) -> bool:
        """Nothing more happens by itself. A run that needs attention is reported as ended, and may still be resolved."""
        return self not in (RunState.QUEUED, RunState.RUNNING)


class Verdict(StrEnum):
    """What a finished run says; a column beside the state."""

    OK = "ok"
    FINDINGS = "findings"
    CANNOT_TELL = "cannot_tell"
    VERIFIED = "verified"
    ROLLED_BACK = "rolled_back"
    PARTIAL = "partial"
    UNCHANGED = "unchanged"
    WORSE = "worse"


class RunKind(StrEnum):
    """Also decides the queue: `checks` or `effects`."""

    CHECK = "check"
    EFFECT = "effect"

    @property
    def queue(self) -> str:
        return f"{self}s"


class Trigger(StrEnum):
    """Why a run exists."""

    SCHEDULE = "schedule"
    N8N = "n8n"
    API = "api"
    CLI = "cli"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Runs that belong together and are reported together: a night, a request, a single run."""

    id: str
    trigger: Trigger
    requested_by: str
    schedule: str | None = None
    fire_key: str | None = None
    due_at: datetime | None = None
    family: str | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None
    callback: str | None = None
    """Encrypted with the instance keys; a callback URL is a bearer token."""
    total: int
    remaining: int
    """Runs that have not ended; 0 ends the batch."""
    entries_expected: int
    revision: int | None = None
    epoch: int
    note: str = ""
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of one job."""

    id: str
    batch_id: str
    position: int
    item: int
    """Which item of the request it came of; results are told in the order of the items."""
    job: str
    kind: RunKind
    parent_id: str | None = None
    approval_id: str | None = None
    plan: str | None = None
    """Digest of the plan that an effect run carries out."""
    subject: str | None = None
    """Of an effect run: no two for one (job, subject) run at a time."""
    trigger: Trigger
    environment: str
    owner: str
    labels: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Json] = field(default_factory=dict)
    state: RunState
    verdict: Verdict | None = None
    reason: str | None = None
    """Stable code of why it ended so, e.g. `time_limit`, `lost`, `overlap`, `start_deadline`."""
    summary: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    """`ok`, `finding`, `cannot_tell`: numbers of entries; `drifted`: of those with a finding that have one of drift."""
    entries_expected: int
    attempts: int = 0
    fence: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = None
    worker: str | None = None
    cancel_requested_by: str | None = None
    progress: Mapping[str, Json] = field(default_factory=dict)
    revision: int | None = None
    epoch: int
    traceparent: str | None = None
    account: str | None = None
    """What it shares with runs that must not all go at once."""
    account_limit: int | None = None
    """So many of them may go at once."""
    account_slot: int | None = None
    """Which of these places it has while it runs."""
    memory_mb: int | None = None
    """What it takes of its worker's memory; None: next to nothing."""
    worker_slot: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One outside change: intent, outcome, receipt. At most one per (run, step)."""

    run_id: str
    step: str
    key: str
    fence: int
    intent_at: datetime
    process: Mapping[str, Json] = field(default_factory=dict)
    """Host, boot id, pid namespace, pid and start time of whatever does the step; of a command, committed before exec."""
    outcome: EffectOutcome | None = None
    outcome_at: datetime | None = None
    receipt: Mapping[str, Json] = field(default_factory=dict)
    detail: str = ""
    """Why it failed, or who said that it did or did not happen."""
