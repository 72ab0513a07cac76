"""The rows of the ledger as plain frozen values, and their states. No SQL, no clock, no behaviour beyond what a state means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tasks.model import Json


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


class DeliveryState(StrEnum):
    """sending → sent | failed | disabled."""

    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DISABLED = "disabled"


class Topic(StrEnum):
    """What an outbox row is for."""

    BELL = "bell"
    CALLBACK = "callback"
    MESSAGE = "message"
    PING = "ping"


class ActorKind(StrEnum):
    """Who acts."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind of actor
    N8N = "n8n"
    SCHEDULER = "scheduler"
    WORKER = "worker"
    SWEEPER = "sweeper"
    RELAY = "relay"
    FLOWER = "flower"
    CLI = "cli"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, as the audit shows it."""

    kind: ActorKind
    name: str
    on_behalf_of: str | None = None

    def __str__(self) -> str:
        shown = f"{self.kind}:{self.name}"
        return f"{shown} for {self.on_behalf_of}" if self.on_behalf_of else shown


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
    """`ok`, `finding`, `cannot_tell`: numbers of entries."""
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
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One outside change: intent, outcome, receipt. At most one per (run, step)."""

    run_id: str
    step: str
    key: str
    fence: int
    intent_at: datetime
    process: Mapping[str, Json] = field(default_factory=dict)
    """Host, boot id, pid and start time of a command, committed before exec."""
    outcome: str | None = None
    outcome_at: datetime | None = None
    receipt: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Actor, verb, object, outcome. `facts` hold ids and digests, never secrets."""

    at: datetime
    actor: str
    verb: str
    object_kind: str
    object_id: str
    facts: Mapping[str, object] = field(default_factory=dict)
    """JSON-ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """An audit row as stored; the chain's members are None until the chainer came by."""

    id: int
    entry: AuditEntry
    number: int | None = None
    payload_hash: str | None = None
    previous_hash: str | None = None
    hash: str | None = None
    mac: str | None = None
    key_id: str | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """Something to tell the world after commit; deleted once done."""

    id: int
    topic: Topic
    subject: str
    payload: Mapping[str, Json]
    attempts: int
    not_before: datetime
    created_at: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One message or result on one channel: what became of it."""

    id: str
    message_id: str
    kind: str
    channel: str
    state: DeliveryState
    attempts: int
    subject: str
    detail: str
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """An API token; only its hash is kept."""

    id: str
    name: str
    family: str
    kind: ActorKind
    grants: list[Mapping[str, Json]]
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
