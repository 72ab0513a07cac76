"""Celery's app class, as far as ours differs. `shift` is set by whoever makes the app."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from celery import Celery

from worker.flow.shift import Shift


class ShiftApp(Celery):  # type: ignore[misc]
    """Knows the ledger, and starts workers that end as we want them to."""

    shift: Callable[[], Shift]

    @cached_property
    def Worker(self) -> Any:  # noqa: N802 - Celery's name
        # By name: only the worker process needs Celery's worker modules.
        return self.subclass_with_self("worker.queue.main_process:ShiftWorker")
