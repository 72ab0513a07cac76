"""Ringing: one message per queued run, sent after commit. A ring that fails is no loss: the relay rings again."""

import json
from collections.abc import Callable, Sequence

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from worker.queue.bell_task import PREFIX
from worker.records import Run

_SECRET_WORDS = ("password", "secret", "token", "key", "pin", "authorization")

log = structlog.get_logger("nightshift.ring")


class Bell:
    """Rings at the broker of `app()`, which is made when the first bell is rung."""

    def __init__(self, app: Callable[[], Celery], cap: int) -> None:
        self._app = app
        self._cap = cap

    def ring(self, queued: Sequence[Run]) -> None:
        """Ring for each run, as many as may have a bell at once. Never raises for a broker that is away."""
        app = self._app()
        try:
            with app.producer_pool.acquire(block=True, timeout=5) as producer:
                for run in queued[: self._cap]:
                    self._send(app, run, producer)
        except (OperationalError, OSError, TimeoutError) as error:
            log.warning("ring_failed", runs=len(queued), error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own, and none may fail the committer
            log.warning("ring_failed", runs=len(queued), error=f"{type(error).__name__}: {error}")

    def _send(self, app: Celery, run: Run, producer: object) -> None:
        app.send_task(
            PREFIX + run.job,
            (run.id,),
            task_id=run.id,
            queue=run.kind.queue,
            producer=producer,
            retry=False,
            kwargsrepr=json.dumps(masked(run.params), default=str)[:500],
        )

    def depth(self, queue: str) -> int | None:
        """Bells waiting in the broker; None when it does not say."""
        try:
            with self._app().connection_for_read() as connection:
                return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except Exception as error:  # noqa: BLE001 - see above
            log.debug("depth_unknown", queue=queue, error=type(error).__name__)
            return None


def masked(value: object, name: str = "") -> object:
    """Parameters as Flower may show them: values under names that sound like secrets are hidden."""
    if any(word in name.lower() for word in _SECRET_WORDS) and value:
        return "***"
    if isinstance(value, dict):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, name) for item in value]
    return value
