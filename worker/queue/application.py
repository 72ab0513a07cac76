"""Putting the Celery app together: its settings, one task a job, and its signals."""

import importlib
import os
from collections.abc import Callable
from typing import Any

import billiard.common
from billiard import Event
from celery import Celery, signals
from kombu import Exchange, Queue

from tasks.job import Job
from worker.flow.shift import Shift
from worker.flow.verbs import cancel
from worker.flow.errors import FlowError
from worker.queue.bell_task import make_task
from worker.queue.results import LedgerResults
from worker.records import Actor, ActorKind, RunKind

FLOWER = Actor(ActorKind.FLOWER, "flower")


def make_app(
    *,
    broker_url: str,
    transport_options: dict[str, Any],
    jobs: dict[str, Job[Any]],
    shift: Callable[[], Shift],
    drain_seconds: float,
    concurrency: int,
) -> Celery:
    """The app that gateway, worker, relay and Flower share. `shift()` is asked for in the process that needs it."""
    _remap_sigterm()
    app = Celery("nightshift", broker=broker_url, backend=None, set_as_current=False)
    app.conf.update(_conf(broker_url, transport_options, drain_seconds, concurrency))
    app.backend_cls = LedgerResults.over(shift)
    draining = Event()
    for job in jobs.values():
        make_task(app, job, shift, draining)
    _connect_signals(app, shift, draining)
    return app


def _remap_sigterm() -> None:
    """SIGTERM means a soft shutdown, bounded by `drain_seconds`. Billiard reads the variable once, when it is imported,
    which the `celery` command does before it loads an app; the worker's modules come after."""
    if billiard.common.REMAP_SIGTERM is None:
        os.environ["REMAP_SIGTERM"] = "SIGQUIT"
        importlib.reload(billiard.common)


def _conf(broker_url: str, transport_options: dict[str, Any], drain_seconds: float, concurrency: int) -> dict[str, Any]:
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "event_serializer": "json",
        "result_serializer": "json",
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_acks_late": True,
        # A bell that comes back after its child died finds the run running and does nothing: the sweeper decides.
        "task_reject_on_worker_lost": True,
        "task_track_started": True,
        # The producer's sent event would overwrite what the worker's events say in Flower.
        "task_send_sent_event": False,
        "worker_send_task_events": True,
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": concurrency,
        "worker_soft_shutdown_timeout": drain_seconds,
        "worker_enable_soft_shutdown_on_idle": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_proc_alive_timeout": 20,
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": transport_options,
        "broker_heartbeat": 0 if not broker_url.startswith("amqp") else 30,
        "task_queues": [_queue(kind.queue, quorum=broker_url.startswith("amqp")) for kind in RunKind],
        "task_default_queue": RunKind.CHECK.queue,
        "task_create_missing_queues": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _queue(name: str, *, quorum: bool) -> Queue:
    exchange = Exchange("nightshift", type="direct")
    arguments = {"x-queue-type": "quorum"} if quorum else None
    return Queue(name, exchange, routing_key=name, queue_arguments=arguments)


def _connect_signals(app: Celery, shift: Callable[[], Shift], draining: Any) -> None:
    def on_revoked(request: Any = None, **_: object) -> None:
        try:
            cancel(shift(), request.id, FLOWER, "revoked in Flower or by remote control")
        except FlowError:
            # It ended before: there is nothing to cancel any more.
            return

    def on_stopping(**_: object) -> None:
        draining.set()

    def on_logging(**_: object) -> None:
        """Connected so that Celery leaves logging alone: `worker.logs` has set it up."""

    # Strong references: the app lives as long as the process.
    signals.task_revoked.connect(on_revoked, weak=False)
    signals.worker_shutting_down.connect(on_stopping, weak=False)
    signals.setup_logging.connect(on_logging, weak=False)
