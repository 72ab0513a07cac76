"""Flower's buttons and `celery control`: revoke and terminate become a cancel in the ledger, shutdown a drain.

Celery keeps revoked ids in the memory of each worker and swallows their bells from then on, whatever the ledger says. Here
nothing is kept: a queued run is cancelled at once, a running one stops at its next boundary, and nobody is killed.
"""

import os
import signal
from typing import Protocol

import structlog
from celery.events import EventDispatcher
from celery.worker.control import Panel
from sqlalchemy.exc import DBAPIError

from worker.flow.errors import FlowError
from worker.flow.verbs import cancel
from worker.queue.celery_app import ShiftApp
from worker.queue.telling import revoked
from worker.records import Actor, ActorKind, RunState

FLOWER = Actor(ActorKind.FLOWER, "flower")
_REASON = "revoked in Flower or by remote control"

log = structlog.get_logger("nightshift.queue")


class _Consumer(Protocol):
    event_dispatcher: EventDispatcher


class _State(Protocol):
    """What a command is given."""

    app: ShiftApp
    consumer: _Consumer


def revoke(state: _State, task_id: str | list[str], **_: object) -> dict[str, str]:
    """Cancel runs, by id."""
    run_ids = [task_id] if isinstance(task_id, str) else list(task_id or [])
    return {"ok": "; ".join(_cancel(state, str(run_id)) for run_id in run_ids)}


def shutdown(state: _State, **_: object) -> None:  # noqa: ARG001 - Celery calls it so
    """As SIGTERM: drain, then end."""
    os.kill(os.getpid(), signal.SIGTERM)


def _cancel(state: _State, run_id: str) -> str:
    try:
        run = cancel(state.app.shift(), run_id, FLOWER, _REASON)
    except (FlowError, DBAPIError) as error:
        told = str(error).splitlines()[0]
        log.warning("revoke_refused", run_id=run_id, reason=told)
        return told
    if run.state is RunState.CANCELLED:
        kind, fields = revoked()
        state.consumer.event_dispatcher.send(kind, uuid=run_id, **fields)
        return f"run {run_id} is cancelled"
    return f"run {run_id} stops at its next boundary"


_SEVERAL = "[id1 [id2 [... [idN]]]]"
Panel.register(revoke, name="revoke", variadic="task_id", signature=_SEVERAL)
Panel.register(revoke, name="terminate", variadic="task_id", args=[("signal", str)], signature=f"<signal> {_SEVERAL}")
Panel.register(shutdown, name="shutdown")
