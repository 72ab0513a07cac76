"""The tables of gates, of what each run asked, and of the webhooks that are told events."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from worker.ledger.approval_tables import APPROVALS
from worker.ledger.tables import ID, METADATA
from worker.ledger.types import JSON_TYPE, Instant

GATES = Table(
    "gates",
    METADATA,
    Column("approval_id", ID, ForeignKey(APPROVALS.c.id), primary_key=True),
    Column("family", ID, nullable=False),
    Column("payload_sha256", String(64), nullable=False),
    Column("use_seconds", Integer, nullable=False),
    Column("use_by", Instant),
    Column("consumed_at", Instant),
    Column("consumed_by", Text),
)

RUN_APPROVALS = Table(
    "run_approvals",
    METADATA,
    Column("run_id", ID, ForeignKey("runs.id"), primary_key=True),
    Column("approval_id", ID, ForeignKey(APPROVALS.c.id), primary_key=True),
    Column("how", String(8), nullable=False),
    Index(None, "approval_id"),
)

SUBSCRIPTIONS = Table(
    "subscriptions",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("family", ID, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("word", Text, nullable=True),
    Column("events", JSON_TYPE, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("failing_since", Instant),
    Column("ended_at", Instant),
    Column("ended_reason", Text),
    Index(None, "state"),
)
