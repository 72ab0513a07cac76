"""Kombu's filesystem transport, made safe for several processes: a message appears whole, a table is written by one at a time.

Kombu creates a message's file before it writes it, and a reader that comes between takes an empty one: the message is lost,
and what Flower shows stays behind the ledger. Two that bind at the same time lose one binding: a worker that nobody reaches.
"""

import fcntl
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import structlog
from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes

log = structlog.get_logger("nightshift.doorbell")


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Messages and bindings in folders."""

    def _put(self, queue: str, payload: object, **_: object) -> None:
        name = f"{int(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        unfinished = folder / f".{name}"
        unfinished.write_bytes(str_to_bytes(json.dumps(payload)))
        unfinished.replace(folder / name)

    def _get(self, queue: str) -> Any:  # noqa: ANN401 - JSON
        try:
            return super()._get(queue)
        except ValueError:
            log.warning("message_unreadable", queue=queue)
            raise Empty from None

    def get_table(self, exchange: str) -> Any:  # noqa: ANN401 - kombu's tuples
        with self._alone():
            return super().get_table(exchange)

    def _queue_bind(self, *binding: object) -> None:
        with self._alone():
            super()._queue_bind(*binding)

    def _delete(self, *binding: object, **options: object) -> None:
        with self._alone():
            super()._delete(*binding, **options)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.control_folder.mkdir(exist_ok=True)
        with (self.control_folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):  # type: ignore[misc]
    """For Celery's `broker_transport`."""

    Channel = Channel
