"""After a repair: a check of what was repaired, so that its findings say what is so now and not what the night saw."""

from datetime import datetime

from sqlalchemy import Connection

from worker.flow.alone import queue_alone
from worker.ledger import outbox
from worker.records import Run, RunKind, Topic


def check_again(tx: Connection, repaired: Run, now: datetime, *, by: str) -> None:
    """Queue it, in the transaction that ends the repair; the relay rings. Nobody asked for it."""
    note = f"after the repair {repaired.id}"
    run = queue_alone(tx, repaired, kind=RunKind.CHECK, parent_id=repaired.id, params=repaired.params, by=by, note=note, now=now)
    outbox.put(tx, Topic.BELL, run.id, at=now, not_before=now)
