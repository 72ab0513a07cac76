"""Ringing: one message per queued run, sent after commit. A ring that fails is no loss: the relay rings again."""

from collections.abc import Callable, Sequence

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from worker.queue.telling import PREFIX, shown_params
from worker.records import Run

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
            # How many owners it had before: Flower starts afresh then. Not its attempts, which a person's retry counts anew.
            retries=run.fence,
            kwargsrepr=shown_params(run.params),
        )

    def depth(self, queue: str) -> int | None:
        """Bells waiting in the broker; None when it does not say."""
        try:
            with self._app().connection_for_read() as connection:
                return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except Exception as error:  # noqa: BLE001 - see above
            log.debug("depth_unknown", queue=queue, error=type(error).__name__)
            return None
