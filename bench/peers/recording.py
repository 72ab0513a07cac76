"""Celery whose task writes the record that our ledger keeps: run row and audit row, in two commits, with events for Flower."""

import os
from datetime import UTC, datetime
from uuid import uuid4

from celery import Celery
from sqlalchemy import insert, update

from bench.notes import note
from worker.ledger import Ledger
from worker.ledger.tables import AUDIT, RUNS

app = Celery("recording", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_send_task_events=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
    task_default_queue=os.environ["BENCH_QUEUE"],
    broker_connection_retry_on_startup=True,
)
LEDGER = Ledger(os.environ["BENCH_LEDGER"])


@app.task(name="recording.noop")  # type: ignore[untyped-decorator]
def noop(run_id: str) -> str | None:
    """Claim, work, finish: a run that somebody else has is left alone."""
    owner = uuid4().hex
    with LEDGER.engine.begin() as tx:
        claim = update(RUNS).where(RUNS.c.id == run_id, RUNS.c.state == "queued")
        values = {"state": "running", "fence": RUNS.c.fence + 1, "lease_owner": owner, "started_at": datetime.now(UTC)}
        claimed = tx.execute(claim.values(values))
    if claimed.rowcount != 1:
        return None
    note(run_id)
    with LEDGER.engine.begin() as tx:
        now = datetime.now(UTC)
        finish = update(RUNS).where(RUNS.c.id == run_id, RUNS.c.state == "running", RUNS.c.lease_owner == owner)
        done = {"state": "succeeded", "verdict": "ok", "summary": "1 ok", "counts": {"ok": 1}, "ended_at": now}
        if tx.execute(finish.values(done)).rowcount == 1:
            facts = {"job": "noop", "verdict": "ok", "summary": "1 ok"}
            told = {"at": now, "actor": "worker:peer", "verb": "run.succeeded", "object_kind": "run", "object_id": run_id}
            tx.execute(insert(AUDIT).values(**told, facts=facts))
    return "1 ok"
