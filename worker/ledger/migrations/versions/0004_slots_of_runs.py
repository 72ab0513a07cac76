"""Slots of runs: how many may go at once for an account, and in the memory of a worker."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_RUNNING = "state = 'running'"


def upgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("account", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("account_limit", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("account_slot", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("memory_mb", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("worker_slot", sa.Integer(), nullable=True))
    op.create_index(
        "uq_runs_account_slot",
        "runs",
        ["account", "account_slot"],
        unique=True,
        postgresql_where=sa.text(_RUNNING),
        sqlite_where=sa.text(_RUNNING),
    )
    op.create_index(
        "uq_runs_worker_slot",
        "runs",
        ["worker", "worker_slot"],
        unique=True,
        postgresql_where=sa.text(_RUNNING),
        sqlite_where=sa.text(_RUNNING),
    )


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back: restore a backup instead")
