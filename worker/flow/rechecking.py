"""After a repair: a check of what was repaired, so that its findings say what is so now and not what the night saw."""

from datetime import datetime

from sqlalchemy import Connection

from worker.ledger import batches, outbox, revisions, runs
from worker.ledger.rows import new_id
from worker.records import Batch, Run, RunKind, RunState, Topic, Trigger


def check_again(tx: Connection, repaired: Run, now: datetime, *, by: str) -> None:
    """Queue it, in the transaction that ends the repair; the relay rings. Nobody asked for it."""
    state = revisions.state(tx)
    batch = Batch(
        id=new_id(),
        trigger=Trigger.APPROVAL,
        requested_by=by,
        total=1,
        remaining=1,
        entries_expected=1,
        revision=state.revision,
        epoch=state.epoch,
        note=f"after the repair {repaired.id}",
        created_at=now,
    )
    run = Run(
        id=new_id(),
        batch_id=batch.id,
        position=0,
        item=0,
        job=repaired.job,
        kind=RunKind.CHECK,
        parent_id=repaired.id,
        trigger=Trigger.APPROVAL,
        environment=repaired.environment,
        owner=repaired.owner,
        labels=repaired.labels,
        params=repaired.params,
        state=RunState.QUEUED,
        entries_expected=1,
        revision=state.revision,
        epoch=state.epoch,
        created_at=now,
    )
    batches.insert_batch(tx, batch)
    runs.insert_runs(tx, [run])
    outbox.put(tx, Topic.BELL, run.id, at=now, not_before=now)
