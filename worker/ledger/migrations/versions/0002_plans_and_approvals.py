"""Sealed plans, the requests made of them, decisions, and what people need to decide."""

import sqlalchemy as sa
from alembic import op

from worker.ledger.types import JSON_TYPE, Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pin_tries",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_pin_tries")),
    )
    op.create_table(
        "plans",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("params", JSON_TYPE, nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("simulation_sha256", sa.String(length=64), nullable=False),
        sa.Column("irreversible", JSON_TYPE, nullable=False),
        sa.Column("reversibility", sa.String(length=2), nullable=False),
        sa.Column("soft_pins", JSON_TYPE, nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["simulation_sha256"], ["artifacts.sha256"], name=op.f("fk_plans_simulation_sha256")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_plans")),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("labels", JSON_TYPE, nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("risk", sa.String(length=8), nullable=False),
        sa.Column("risk_reasons", JSON_TYPE, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("people", JSON_TYPE, nullable=False),
        sa.Column("requesters", JSON_TYPE, nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("seen_run_id", sa.String(length=36), nullable=False),
        sa.Column("nights", sa.Integer(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("remind_at", Instant(), nullable=True),
        sa.Column("supersedes", sa.String(length=36), nullable=True),
        sa.Column("effect_run_id", sa.String(length=36), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["plans.digest"], name=op.f("fk_approvals_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approvals_digest"), ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_approvals_state_asked_at"), ["state", "asked_at"], unique=False)
        batch_op.create_index(
            "uq_approvals_pending",
            ["job", "subject", "cause"],
            unique=True,
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )

    op.create_table(
        "plan_findings",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("finding_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["plans.digest"], name=op.f("fk_plan_findings_digest")),
        sa.ForeignKeyConstraint(["finding_id"], ["findings.id"], name=op.f("fk_plan_findings_finding_id")),
        sa.PrimaryKeyConstraint("digest", "finding_id", name=op.f("pk_plan_findings")),
    )
    with op.batch_alter_table("plan_findings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_findings_finding_id"), ["finding_id"], unique=False)

    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("approval_id", sa.String(length=36), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("choice", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("via", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name=op.f("fk_decisions_approval_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("approval_id", "person", name=op.f("uq_decisions_approval_id_person")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reference", sa.Text(), nullable=True))

    with op.batch_alter_table("effects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("detail", sa.Text(), server_default=sa.text("''"), nullable=False))

    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.add_column(sa.Column("channel", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("revoked_at", Instant(), nullable=True))
        batch_op.create_index(batch_op.f("ix_links_approval_id_person"), ["approval_id", "person"], unique=False)

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("plan", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("subject", sa.Text(), nullable=True))
        batch_op.create_index(
            "uq_runs_approval",
            ["approval_id"],
            unique=True,
            postgresql_where=sa.text("approval_id IS NOT NULL"),
            sqlite_where=sa.text("approval_id IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_runs_effect_subject",
            ["job", "subject"],
            unique=True,
            postgresql_where=sa.text("kind = 'effect' AND state IN ('running', 'needs_attention')"),
            sqlite_where=sa.text("kind = 'effect' AND state IN ('running', 'needs_attention')"),
        )


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back: restore a backup instead")
