"""The tables of plans, of the requests made of them, and of what people need to decide."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint, text

from worker.ledger.tables import ID, METADATA
from worker.ledger.types import JSON_TYPE, Instant

PLANS = Table(
    "plans",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("job", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("params", JSON_TYPE, nullable=False),
    Column("summary", Text, nullable=False),
    Column("simulation_sha256", String(64), ForeignKey("artifacts.sha256"), nullable=False),
    Column("irreversible", JSON_TYPE, nullable=False),
    Column("reversibility", String(2), nullable=False),
    Column("soft_pins", JSON_TYPE, nullable=False),
    Column("run_id", ID, nullable=False),
    Column("created_at", Instant, nullable=False),
)

PLAN_FINDINGS = Table(
    "plan_findings",
    METADATA,
    Column("digest", String(64), ForeignKey("plans.digest"), primary_key=True),
    Column("finding_id", ID, ForeignKey("findings.id"), primary_key=True),
    Index(None, "finding_id"),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("digest", String(64), ForeignKey("plans.digest"), nullable=False),
    Column("job", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("labels", JSON_TYPE, nullable=False),
    Column("mode", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("risk", String(8), nullable=False),
    Column("risk_reasons", JSON_TYPE, nullable=False),
    Column("rule", Text, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("people", JSON_TYPE, nullable=False),
    Column("requesters", JSON_TYPE, nullable=False),
    Column("run_id", ID, nullable=False),
    Column("seen_run_id", ID, nullable=False),
    Column("nights", Integer, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("remind_at", Instant),
    Column("supersedes", ID),
    Column("effect_run_id", ID),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("ended_reason", Text),
    Column("revision", Integer),
    Column("epoch", Integer, nullable=False),
    Index(None, "state", "asked_at"),
    Index(None, "digest"),
    Index(
        "uq_approvals_pending",
        "job",
        "subject",
        "cause",
        unique=True,
        postgresql_where=text("state = 'pending'"),
        sqlite_where=text("state = 'pending'"),
    ),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("approval_id", ID, ForeignKey("approvals.id"), nullable=False),
    Column("person", Text, nullable=False),
    Column("choice", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("via", String(8), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("revision", Integer),
    Column("at", Instant, nullable=False),
    Column("identity", String(64), nullable=False),
    UniqueConstraint("approval_id", "person"),
)

LINKS = Table(
    "links",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("person", Text, nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("approval_id", ID),
    Column("channel", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
    Index(None, "approval_id", "person"),
)

PIN_TRIES = Table(
    "pin_tries",
    METADATA,
    Column("person", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Instant),
)
