"""Kombu's filesystem transport, made safe for several processes, and for the death of any of them.

Kombu creates a file before it writes it. A reader that comes between takes an empty message, which is then lost, and what
Flower shows stays behind the ledger; a writer that dies between leaves an empty table, over which every later worker ends.
Two that bind at the same time lose one binding: a worker that nobody reaches. Here whatever appears is whole, and tables are
written by one at a time.
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
from kombu.asynchronous import Hub
from kombu.transport import filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.utils.encoding import str_to_bytes

_MESSAGES_A_LOOK = 100
"""Then the loop has a turn: results and time limits do not wait for a flood of messages."""

_SETTLED_NANOSECONDS = 2_500_000_000
"""A folder that nobody touched for so long shows its next change: the coarsest file systems count in two seconds."""

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
        try:
            return super().get_table(exchange)
        except ValueError:
            log.warning("bindings_unreadable", exchange=exchange)
            return []

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        binding = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._alone():
            bindings = self.get_table(exchange)
            if binding not in bindings:
                self._put_table(exchange, [binding, *bindings])

    def _delete(self, queue: str, exchange: str, routing_key: str | None, pattern: str | None, *_: object, **__: object) -> None:
        self._purge(queue)
        binding = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._alone():
            bindings = self.get_table(exchange)
            if binding in bindings:
                self._put_table(exchange, [other for other in bindings if other != binding])

    def _put_table(self, exchange: str, bindings: list[exchange_queue_t]) -> None:
        file = self._exchange_file(exchange)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(json.dumps(bindings))
        unfinished.replace(file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.control_folder.mkdir(exist_ok=True)
        with (self.control_folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):  # type: ignore[misc]
    """For Celery's `broker_transport`. It looks into its folders from Celery's event loop.

    Without a loop Celery takes billiard's plain pool, whose children read one pipe under one lock: a child that is killed at
    rest keeps the lock, and its worker stands still for ever. With one, as on Redis and RabbitMQ, each child has pipes of its
    own. Not chosen: a worker that ends itself over a dead child (its other runs would start again, a hard time limit would
    end it too), and threads (no soft time limits).
    """

    Channel = Channel
    implements = filesystem.Transport.implements.extend(asynchronous=True)

    def register_with_event_loop(self, connection: object, loop: Hub) -> None:
        """Celery calls this with each connection, and cancels what it put on the loop when the connection fails."""
        folder, barren = Path(self.client.transport_options["data_folder_in"]), 0

        def look() -> None:
            nonlocal barren
            changed = folder.stat().st_mtime_ns
            if changed != barren:
                idle = not self._drained(connection) and all(channel.qos.can_consume() for channel in self.channels)
                # What comes within one tick of the file system's clock leaves the same time: such a folder is looked at again.
                barren = changed if idle and time.time_ns() - changed > _SETTLED_NANOSECONDS else 0

        loop.call_repeatedly(self.polling_interval, look)

    def _drained(self, connection: object) -> bool:
        """Whether there was a message."""
        for handled in range(_MESSAGES_A_LOOK):
            try:
                self.drain_events(connection, timeout=0)
            except TimeoutError:
                return handled > 0
        return True
