"""The Celery app: one task a job, all with the same short body. The broker is a doorbell, the ledger the truth."""

from worker.queue.application import make_app
from worker.queue.ringing import Bell

__all__ = ["Bell", "make_app"]
