"""The worker's main process, as far as ours differs from Celery's."""

import gc
from collections.abc import Callable
from time import monotonic

import structlog
from celery.apps.worker import Worker, _shutdown_handler
from celery.worker.consumer import Consumer
from kombu.message import Message

from worker.queue.telling import PREFIX

_FLUSH_SECONDS = 0.05
"""Events of runs wait so long for others to go with them: sent one by one they are a third of what a bell costs here."""

log = structlog.get_logger("nightshift.queue")


class ShiftWorker(Worker):  # type: ignore[misc]
    """SIGTERM is a warm shutdown, which `Drain` bounds, whatever REMAP_SIGTERM in the environment says."""

    def install_platform_tweaks(self, worker: object) -> None:
        super().install_platform_tweaks(worker)
        _shutdown_handler(worker, sig="SIGTERM", how="Warm")

    def on_start(self) -> None:
        """Just before the children are forked: what each would import and make by itself they share, and keep sharing, for a
        collection of garbage writes to every object that it looks at.
        """
        super().on_start()
        _ = self.app.shift().ledger.engine
        gc.collect()
        gc.freeze()


class BellConsumer(Consumer):  # type: ignore[misc]
    """Drops what names no job of ours: Celery's would show the run of that id as failed in Flower, or end over it."""

    _flush_at = 0.0

    def on_send_event_buffered(self) -> None:
        # By the clock rather than by the timer's entry: a lost connection takes its timers along.
        if self.hub and monotonic() >= self._flush_at:
            self._flush_at = monotonic() + _FLUSH_SECONDS
            self.hub.call_later(_FLUSH_SECONDS, self._flush_events)

    def shutdown(self) -> None:
        # The loop has ended: nobody else sends what the last runs told.
        self._flush_events()
        super().shutdown()

    def create_task_handler(self, *args: object, **options: object) -> Callable[[Message], object]:
        inner = super().create_task_handler(*args, **options)

        def on_message(message: Message) -> object:
            headers = message.headers
            name = headers.get("task") if isinstance(headers, dict) else None
            # Celery's own tasks (`celery.map` and the like) call others by name, past our door.
            if isinstance(name, str) and name.startswith(PREFIX) and name in self.strategies:
                return inner(message)
            log.warning("unknown_task_dropped", task=str(name)[:100])
            return message.reject_log_error(log, self.connection_errors)

        return on_message
