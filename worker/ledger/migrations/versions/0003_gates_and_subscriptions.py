"""Gates, what each run asked, and the webhooks that are told events."""

import sqlalchemy as sa
from alembic import op

from worker.ledger.types import JSON_TYPE, Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("family", sa.String(length=36), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=True),
        sa.Column("events", JSON_TYPE, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("failing_since", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscriptions_state"), ["state"], unique=False)

    op.create_table(
        "gates",
        sa.Column("approval_id", sa.String(length=36), nullable=False),
        sa.Column("family", sa.String(length=36), nullable=False),
        sa.Column("payload_sha256", sa.String(length=64), nullable=False),
        sa.Column("use_seconds", sa.Integer(), nullable=False),
        sa.Column("use_by", Instant(), nullable=True),
        sa.Column("consumed_at", Instant(), nullable=True),
        sa.Column("consumed_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name=op.f("fk_gates_approval_id")),
        sa.PrimaryKeyConstraint("approval_id", name=op.f("pk_gates")),
    )
    op.create_table(
        "run_approvals",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("approval_id", sa.String(length=36), nullable=False),
        sa.Column("how", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name=op.f("fk_run_approvals_approval_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_approvals_run_id")),
        sa.PrimaryKeyConstraint("run_id", "approval_id", name=op.f("pk_run_approvals")),
    )
    with op.batch_alter_table("run_approvals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_approvals_approval_id"), ["approval_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back: restore a backup instead")
