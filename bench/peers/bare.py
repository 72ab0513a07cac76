"""Celery that keeps nothing: late acknowledgement, no result, no events."""

import os

from celery import Celery

from bench.notes import note

app = Celery("bare", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
    task_default_queue="bare",
    broker_connection_retry_on_startup=True,
)


@app.task(name="bare.noop")  # type: ignore[untyped-decorator]
def noop(key: str) -> None:
    """Nothing."""
    note(key)
