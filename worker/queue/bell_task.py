"""The one body that every job's Celery task has: claim, run, and tell Celery (and so Flower) the truth about it."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import structlog
from celery import Celery, Task
from sqlalchemy.exc import DBAPIError

from tasks.job import Job
from worker.flow import Outcome, Shift, execute_run
from worker.ledger import runs
from worker.queue.draining import Drain
from worker.queue.telling import PREFIX, CannotTell, NeedsAttention, RunFailed, Tell, again, as_it_is, failure, revoked
from worker.records import RunKind, RunState

_LEAST_BEYOND_SECONDS, _MOST_BEYOND_SECONDS = 5.0, 60.0
"""So long after its job's own limit Celery kills a child that does not answer: as long again, within these."""

log = structlog.get_logger("nightshift.queue")


class BellTask(Task):  # type: ignore[misc]
    """Base of every job's task."""

    abstract = True
    # By name: only the worker process needs Celery's worker modules.
    Request = "worker.queue.bell_request:BellRequest"
    Strategy = "worker.queue.bell_request:answer"
    throws = (RunFailed, NeedsAttention, CannotTell)
    shift: Callable[[], Shift]
    drain: Drain
    job_name: str


def make_task(app: Celery, job: Job[Any], shift: Callable[[], Shift], drain: Drain) -> None:
    """Register `nightshift.jobs.<name>`."""
    limit = job.time_limit.total_seconds()
    kept: list[Shift] = []

    def draining_shift() -> Shift:
        if not kept:
            kept.append(replace(shift(), draining=drain.begun))
        return kept[0]

    app.task(
        _body,
        bind=True,
        base=BellTask,
        name=PREFIX + job.name,
        soft_time_limit=limit,
        time_limit=limit + min(max(limit, _LEAST_BEYOND_SECONDS), _MOST_BEYOND_SECONDS),
        shift=staticmethod(draining_shift),
        drain=drain,
        job_name=job.name,
        ignore_result=True,
    )


def _body(task: BellTask, run_id: str) -> str:
    """Take a run id, run it if it is ours to run, and end as the ledger does."""
    shift = task.shift()
    worker = task.request.hostname or socket.gethostname()
    try:
        with task.drain:
            outcome = execute_run(shift, run_id, task.job_name, worker, kinds_of(task))
        return _end(outcome) if outcome else _tell_as_it_is(task, shift, run_id, worker)
    except shift.interruptions:
        # Over its time while the outcome was being written: the ledger has it, or the sweeper will.
        _tell_as_it_is(task, shift, run_id, worker)
    except DBAPIError as error:
        log.warning("ledger_away", run_id=run_id, error=type(error.orig).__name__)
        raise Tell([again()]) from None


def kinds_of(task: Task) -> Sequence[RunKind]:
    """What may be taken for this bell: runs of the queue that it came by, if this worker serves it.

    A worker of the queue `checks` alone has no write access, whatever a bell says of the way that it came.
    """
    came_by = (task.request.delivery_info or {}).get("routing_key")
    served = task.app.amqp.queues.consume_from
    return [kind for kind in RunKind if kind.queue == came_by and kind.queue in served]


def _end(outcome: Outcome) -> str:
    if outcome.state in (RunState.CANCELLED, RunState.SKIPPED):
        raise Tell([revoked()])
    if (wrong := failure(outcome)) is not None:
        raise wrong
    return outcome.summary


def _tell_as_it_is(task: BellTask, shift: Shift, run_id: str, here: str) -> NoReturn:
    with shift.ledger.read() as connection:
        run = runs.get(connection, run_id)
    elsewhere = run is not None and run.state is RunState.RUNNING and run.worker != here
    raise Tell(as_it_is(run, task.job_name), run.worker if run and elsewhere else None)
