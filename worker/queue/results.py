"""`AsyncResult(run_id)` reads the ledger. Nothing is ever stored by Celery: the ledger is the truth."""

from collections.abc import Callable
from typing import Any

from celery import states
from celery.backends.base import BaseBackend

from worker.flow.shift import Shift
from worker.ledger import runs
from worker.queue.telling import failure
from worker.records import Run, RunState, Verdict

_STATES = {
    RunState.QUEUED: states.PENDING,
    RunState.RUNNING: states.STARTED,
    RunState.SUCCEEDED: states.SUCCESS,
    RunState.FAILED: states.FAILURE,
    RunState.NEEDS_ATTENTION: states.FAILURE,
    RunState.CANCELLED: states.REVOKED,
    RunState.SKIPPED: states.REVOKED,
}


class LedgerResults(BaseBackend):  # type: ignore[misc]
    """A result backend that only reads."""

    shift: Callable[[], Shift]
    supports_autoexpire = True
    persistent = True

    @classmethod
    def over(cls, shift: Callable[[], Shift]) -> type["LedgerResults"]:
        """The backend class for this ledger; Celery makes the instances."""
        return type("LedgerResults", (cls,), {"shift": staticmethod(shift)})

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        with self.shift().ledger.read() as connection:
            run = runs.get(connection, task_id)
        return {"task_id": task_id, "status": states.PENDING, "result": None} if run is None else _meta(run)

    # Celery asks for meta by either name, depending on whether it may cache.
    def get_task_meta(self, task_id: str, cache: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002
        return self._get_task_meta_for(task_id)

    def store_result(self, task_id: str, *_: Any, **__: Any) -> None:
        """Nothing is stored: the outcome is in the ledger already."""

    def _forget(self, task_id: str) -> None:
        message = f"run {task_id} is kept by the ledger: it cannot be forgotten here"
        raise NotImplementedError(message)


def _meta(run: Run) -> dict[str, Any]:
    state = states.FAILURE if run.verdict is Verdict.CANNOT_TELL else _STATES[run.state]
    result = failure(run) or (run.summary if run.state.terminal else None)
    return {"task_id": run.id, "status": state, "result": result, "traceback": None, "date_done": run.ended_at}
