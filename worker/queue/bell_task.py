"""The one body that every job's Celery task has: claim, run, and tell Celery (and so Flower) the truth about it."""

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore
from celery.worker.request import Request
from sqlalchemy.exc import DBAPIError

from tasks.job import Job
from worker.flow import Outcome, Shift, execute_run
from worker.flow.errors import FlowError
from worker.flow.verbs import cancel
from worker.ledger import runs
from worker.records import Actor, ActorKind, RunState, Verdict

PREFIX = "nightshift.jobs."
_TERMINATOR = Actor(ActorKind.FLOWER, "flower")
_HARD_LIMIT_SECONDS = 60
"""Beyond the job's own limit, before Celery kills a child that does not answer."""

log = structlog.get_logger("nightshift.queue")


class RunFailed(Exception):  # noqa: N818 - how Flower shows it
    """The run ended failed; the message is its summary."""


class NeedsAttention(Exception):  # noqa: N818 - how Flower shows it
    """The run needs a person."""


class CannotTell(Exception):  # noqa: N818 - how Flower shows it
    """The run could tell nothing at all: never green."""


class BellRequest(Request):  # type: ignore[misc]
    """A bell in the worker's main process. Terminating it asks the run to stop, and kills nobody in mid-step."""

    def terminate(self, pool: Any, signal: Any = None) -> None:  # noqa: ARG002 - the shape of Celery's Request
        shift: Shift = self.task.shift()
        try:
            cancel(shift, self.id, _TERMINATOR, "terminated in Flower or by remote control")
        except (FlowError, DBAPIError) as error:
            log.warning("terminate_refused", run_id=self.id, reason=str(error).splitlines()[0])


class BellTask(Task):  # type: ignore[misc]
    """Base of every job's task."""

    abstract = True
    Request = BellRequest
    throws = (RunFailed, NeedsAttention, CannotTell)
    shift: Callable[[], Shift]
    draining: Callable[[], bool]
    job_name: str


def make_task(app: Celery, job: Job[Any], shift: Callable[[], Shift], draining: Any) -> None:
    """Register `nightshift.jobs.<name>`."""
    limit = job.time_limit.total_seconds()
    kept: list[Shift] = []

    def draining_shift() -> Shift:
        if not kept:
            kept.append(replace(shift(), draining=draining.is_set))
        return kept[0]

    app.task(
        _body,
        bind=True,
        base=BellTask,
        name=PREFIX + job.name,
        soft_time_limit=limit,
        time_limit=limit + _HARD_LIMIT_SECONDS,
        shift=staticmethod(draining_shift),
        job_name=job.name,
        ignore_result=True,
    )


def _body(task: BellTask, run_id: str) -> str:
    """Take a run id, run it if it is ours to run, and end as the ledger does."""
    worker = task.request.hostname or socket.gethostname()
    shift = task.shift()
    try:
        outcome = execute_run(shift, run_id, task.job_name, worker)
    except DBAPIError as error:
        log.warning("ledger_away", run_id=run_id, error=type(error.orig).__name__)
        raise Ignore from error
    if outcome is None:
        _tell_again(task, shift, run_id)
        raise Ignore
    return _end(task, outcome)


def _end(task: BellTask, outcome: Outcome) -> str:
    match outcome.state:
        case RunState.CANCELLED:
            task.send_event("task-revoked", terminated=True, signum=None, expired=False)
            raise Ignore
        case RunState.FAILED:
            raise RunFailed(f"{outcome.reason}: {outcome.summary}")
        case RunState.NEEDS_ATTENTION:
            raise NeedsAttention(outcome.summary)
        case _ if outcome.verdict is Verdict.CANNOT_TELL:
            raise CannotTell(outcome.summary)
        case _:
            return outcome.summary


def _tell_again(task: BellTask, shift: Shift, run_id: str) -> None:
    """A bell that was not ours: what Flower may have missed, or shows as started now, is told as the ledger has it."""
    with shift.ledger.read() as connection:
        run = runs.get(connection, run_id)
    match run.state if run else None:
        case RunState.CANCELLED | None:
            task.send_event("task-revoked", terminated=False, signum=None, expired=False)
        case RunState.SUCCEEDED if run and run.verdict is not Verdict.CANNOT_TELL:
            task.send_event("task-succeeded", result=repr(run.summary), runtime=0.0)
        case RunState.FAILED | RunState.NEEDS_ATTENTION | RunState.SUCCEEDED:
            assert run is not None
            task.send_event("task-failed", exception=f"{run.state}: {run.summary}", traceback="")
        case RunState.QUEUED:
            task.send_event("task-retried", exception="put back into the queue", traceback="")
        case _:
            return
