"""A run alone in its batch that follows from a yes: the repair itself, or the look after it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from worker.ledger import batches, revisions, runs
from worker.ledger.rows import new_id
from worker.records import Approval, Batch, Run, RunKind, RunState, Trigger


def queue_alone(
    tx: Connection,
    after: Approval | Run,
    *,
    kind: RunKind,
    parent_id: str,
    params: Mapping[str, Any],
    by: str,
    note: str,
    now: datetime,
) -> Run:
    """For the same job in the same place as `after`; of an approval: its plan is carried out. The caller sees to its bell."""
    state = revisions.state(tx)
    approval = after if isinstance(after, Approval) else None
    batch = Batch(
        id=new_id(),
        trigger=Trigger.APPROVAL,
        requested_by=by,
        total=1,
        remaining=1,
        entries_expected=1,
        revision=state.revision,
        epoch=state.epoch,
        note=note,
        created_at=now,
    )
    run = Run(
        id=new_id(),
        batch_id=batch.id,
        position=0,
        item=0,
        job=after.job,
        kind=kind,
        parent_id=parent_id,
        approval_id=approval.id if approval else None,
        plan=approval.digest if approval else None,
        subject=approval.subject if approval else None,
        trigger=Trigger.APPROVAL,
        environment=after.environment,
        owner=after.owner,
        labels=after.labels,
        params=params,
        state=RunState.QUEUED,
        entries_expected=1,
        revision=state.revision,
        epoch=state.epoch,
        created_at=now,
    )
    batches.insert_batch(tx, batch)
    runs.insert_runs(tx, [run])
    return run
