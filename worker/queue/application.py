"""Putting the Celery app together: its settings, one task a job, and its signals."""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

from celery import signals
from kombu import Exchange, Queue
from sqlalchemy.exc import SQLAlchemyError

from tasks.job import Job
from worker.flow import presence
from worker.flow.shift import Shift
from worker.loops import Loop
from worker.queue.bell_task import make_task
from worker.queue.celery_app import ShiftApp
from worker.queue.draining import Drain
from worker.queue.results import LedgerResults
from worker.records import RunKind

_ROLE = "worker"
_RUNS_PER_CHILD = 1_000
"""Jobs are also strangers' code, which may leak: a child that has done so many is replaced."""


def make_app(
    *,
    broker_url: str,
    transport_options: dict[str, Any],
    jobs: dict[str, Job[Any]],
    shift: Callable[[], Shift],
    drain_seconds: float,
    concurrency: int,
) -> ShiftApp:
    """The app that gateway, worker, relay and Flower share. `shift()` is asked for in the process that needs it."""
    app = ShiftApp("nightshift", broker=broker_url, backend=None, set_as_current=False)
    app.conf.update(_conf(broker_url, transport_options, concurrency))
    app.shift = shift
    app.backend_cls = LedgerResults.over(shift)
    drain = Drain(drain_seconds)
    for job in jobs.values():
        make_task(app, job, shift, drain)
    _connect_signals(drain)
    _show_presence(shift)
    return app


def _conf(broker_url: str, transport_options: dict[str, Any], concurrency: int) -> dict[str, Any]:
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
        "worker_max_tasks_per_child": _RUNS_PER_CHILD,
        "worker_consumer": "worker.queue.main_process:BellConsumer",
        # Imported by a worker alone: its commands take the place of Celery's.
        "imports": ["worker.queue.remote_control"],
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_proc_alive_timeout": 20,
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "broker_transport": "worker.doorbell.folders:Transport" if broker_url.startswith("filesystem") else None,
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


def _connect_signals(drain: Drain) -> None:
    def on_logging(**_: object) -> None:
        """Connected so that Celery leaves logging alone: `worker.logs` has set it up."""

    main: list[int] = []

    def on_main(**_: object) -> None:
        main.append(os.getpid())

    def on_child(**_: object) -> None:
        # Celery asks the kernel to end a child with its main process; one that was forked as that died asks too late.
        # (The solo pool says that of the main process itself.)
        if main and main[-1] not in (os.getpid(), os.getppid()):
            os._exit(1)

    # Strong references: the app lives as long as the process.
    signals.worker_shutting_down.connect(drain.begin, weak=False)
    signals.worker_init.connect(on_main, weak=False)
    signals.worker_process_init.connect(on_child, weak=False)
    signals.setup_logging.connect(on_logging, weak=False)


def _show_presence(shift: Callable[[], Shift]) -> None:
    """The ledger knows which workers are there; `flow.presence`."""
    stop = threading.Event()

    def step() -> bool:
        presence.show(shift(), _ROLE)
        return False

    loop = Loop("presence", presence.SHOWN_EVERY_SECONDS, step)

    def on_ready(**_: object) -> None:
        loop.start(stop)

    def on_end(**_: object) -> None:
        stop.set()
        with contextlib.suppress(SQLAlchemyError):
            presence.leave(shift(), _ROLE)

    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_shutdown.connect(on_end, weak=False)
