"""Alembic's environment: the connection comes from `worker.ledger.schema`, never from a file."""

from alembic import context

from worker.ledger.gate_tables import GATES

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=GATES.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
