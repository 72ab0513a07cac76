"""Effects: one row per run and step, written as an intent before the outside change, ended by its outcome."""

from sqlalchemy import Connection, select

from worker.ledger.tables import EFFECTS


def without_outcome(connection: Connection, run_id: str) -> list[str]:
    """Steps with an intent and no outcome: nobody knows yet whether they happened."""
    statement = select(EFFECTS.c.step).where(EFFECTS.c.run_id == run_id, EFFECTS.c.outcome.is_(None))
    return list(connection.execute(statement.order_by(EFFECTS.c.intent_at)).scalars())
