"""The tables of the ledger. `migrations/` makes them; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from worker.ledger.types import JSON_TYPE, Instant

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite only numbers rows by itself when the key is exactly INTEGER.
ROW_ID = BigInteger().with_variant(Integer(), "sqlite")
ID = String(36)
EFFECT_IN_HAND = "kind = 'effect' AND state IN ('running', 'needs_attention')"

STATE = Table(
    "ledger_state",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("revision", Integer),
    Column("frozen_by", Text),
    Column("frozen_reason", Text),
    Column("killed", Boolean, nullable=False),
)

REVISIONS = Table(
    "revisions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("content", JSON_TYPE, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
)

BATCHES = Table(
    "batches",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("trigger", String(16), nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("schedule", Text),
    Column("fire_key", Text),
    Column("due_at", Instant),
    Column("family", ID),
    Column("idempotency_key", Text),
    Column("request_digest", String(64)),
    Column("callback", Text),
    Column("total", Integer, nullable=False),
    Column("remaining", Integer, nullable=False),
    Column("entries_expected", Integer, nullable=False),
    Column("revision", Integer),
    Column("epoch", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("schedule", "fire_key"),
    UniqueConstraint("family", "idempotency_key"),
    Index(None, "created_at"),
    Index(
        "ix_batches_open",
        "id",
        postgresql_where=text("ended_at IS NULL"),
        sqlite_where=text("ended_at IS NULL"),
    ),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("batch_id", ID, ForeignKey("batches.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("item", Integer, nullable=False),
    Column("job", Text, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("parent_id", ID),
    Column("approval_id", ID),
    Column("plan", String(64)),
    Column("subject", Text),
    Column("trigger", String(16), nullable=False),
    Column("environment", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("labels", JSON_TYPE, nullable=False),
    Column("params", JSON_TYPE, nullable=False),
    Column("state", String(16), nullable=False),
    Column("verdict", String(16)),
    Column("reason", Text),
    Column("summary", Text, nullable=False),
    Column("counts", JSON_TYPE, nullable=False),
    Column("entries_expected", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Instant),
    Column("worker", Text),
    Column("cancel_requested_by", Text),
    Column("progress", JSON_TYPE, nullable=False),
    Column("revision", Integer),
    Column("epoch", Integer, nullable=False),
    Column("traceparent", Text),
    Column("account", Text),
    Column("account_limit", Integer),
    Column("account_slot", Integer),
    Column("memory_mb", Integer),
    Column("worker_slot", Integer),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Index(None, "batch_id", "position"),
    Index(None, "created_at"),
    Index(None, "job", "created_at"),
    Index(
        "ix_runs_queued",
        "created_at",
        postgresql_where=text("state = 'queued'"),
        sqlite_where=text("state = 'queued'"),
    ),
    Index(
        "ix_runs_running",
        "lease_until",
        postgresql_where=text("state = 'running'"),
        sqlite_where=text("state = 'running'"),
    ),
    # A slot is one run's: see `slots`.
    Index(
        "uq_runs_account_slot",
        "account",
        "account_slot",
        unique=True,
        postgresql_where=text("state = 'running'"),
        sqlite_where=text("state = 'running'"),
    ),
    Index(
        "uq_runs_worker_slot",
        "worker",
        "worker_slot",
        unique=True,
        postgresql_where=text("state = 'running'"),
        sqlite_where=text("state = 'running'"),
    ),
    # An approval starts at most one run.
    Index(
        "uq_runs_approval",
        "approval_id",
        unique=True,
        postgresql_where=text("approval_id IS NOT NULL"),
        sqlite_where=text("approval_id IS NOT NULL"),
    ),
    # The lock (job, subject): also of a run whose outcome a person must settle first.
    Index(
        "uq_runs_effect_subject",
        "job",
        "subject",
        unique=True,
        postgresql_where=text(EFFECT_IN_HAND),
        sqlite_where=text(EFFECT_IN_HAND),
    ),
)

EFFECTS = Table(
    "effects",
    METADATA,
    Column("run_id", ID, ForeignKey("runs.id"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("fence", Integer, nullable=False),
    Column("intent_at", Instant, nullable=False),
    Column("process", JSON_TYPE, nullable=False),
    Column("outcome", String(16)),
    Column("outcome_at", Instant),
    Column("receipt", JSON_TYPE, nullable=False),
    Column("detail", Text, nullable=False, server_default=text("''")),
)

FINDINGS = Table(
    "findings",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("job", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("evidence", JSON_TYPE, nullable=False),
    Column("desired", JSON_TYPE),
    Column("actual", JSON_TYPE),
    Column("recheck", Text),
    Column("environment", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("labels", JSON_TYPE, nullable=False),
    Column("state", String(16), nullable=False),
    Column("times_seen", Integer, nullable=False),
    Column("run_id", ID, nullable=False),
    Column("observed_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("resolved_at", Instant),
    Column("state_by", Text),
    Column("state_reason", Text),
    Column("muted_until", Instant),
    UniqueConstraint("job", "entry", "key"),
    Index(None, "state", "severity"),
)

TELLINGS = Table(
    "tellings",
    METADATA,
    Column("finding_id", ID, ForeignKey("findings.id"), primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("what", String(8), primary_key=True),
    Column("times", Integer, nullable=False),
    Column("last_told_at", Instant, nullable=False),
)

FACTS = Table(
    "facts",
    METADATA,
    Column("job", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("value", JSON_TYPE),
    Column("run_id", ID, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

ARTIFACTS = Table(
    "artifacts",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("key_id", Text),
    Column("retention", String(16), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

RUN_ARTIFACTS = Table(
    "run_artifacts",
    METADATA,
    Column("run_id", ID, ForeignKey("runs.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sha256", String(64), ForeignKey("artifacts.sha256"), nullable=False),
)

RUN_LINES = Table(
    "run_lines",
    METADATA,
    Column("run_id", ID, ForeignKey("runs.id"), primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("level", String(8), nullable=False),
    Column("event", Text, nullable=False),
    Column("facts", JSON_TYPE, nullable=False),
)

SCHEDULES = Table(
    "schedules",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("cursor_at", Instant, nullable=False),
    Column("last_fire_key", Text),
    Column("last_fire_at", Instant),
    Column("paused_by", Text),
    Column("paused_reason", Text),
    Column("paused_at", Instant),
    Column("active", Boolean, nullable=False),
)

NIGHTS = Table(
    "nights",
    METADATA,
    Column("fire_key", Text, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("content", JSON_TYPE, nullable=False),
)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("topic", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", JSON_TYPE, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_error", Text),
    Index(None, "topic", "not_before"),
    sqlite_autoincrement=True,
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("reference", Text),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("message_id", "channel"),
    Index(None, "created_at"),
)

WORKERS = Table(
    "workers",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

LOCKS = Table(
    "locks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("until", Instant, nullable=False),
)

TOKENS = Table(
    "tokens",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("family", ID, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("grants", JSON_TYPE, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("verb", String(32), nullable=False),
    Column("object_kind", String(16), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("facts", JSON_TYPE, nullable=False),
    Column("number", ROW_ID, unique=True),
    Column("payload_hash", String(64)),
    Column("previous_hash", String(64)),
    Column("hash", String(64)),
    Column("mac", String(64)),
    Column("key_id", Text),
    Index(None, "object_kind", "object_id"),
    Index(
        "ix_audit_unchained",
        "id",
        postgresql_where=text("number IS NULL"),
        sqlite_where=text("number IS NULL"),
    ),
    sqlite_autoincrement=True,
)
