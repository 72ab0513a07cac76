"""A bell in the worker's main process: let in only if it is one of ours, and ended as the ledger says.

Whoever can write to the broker can send anything. A bell carries one run id and nothing that counts: all else is left at
the door (time limits, expiry, callbacks, another name), and a message of any other shape is dropped before Flower hears of it.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from billiard.einfo import ExceptionInfo
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request
from celery.worker.state import task_ready
from celery.worker.strategy import default
from kombu.message import Message

from worker.queue.telling import Tell, again, at

_KEPT = ("id", "task", "lang", "origin", "argsrepr", "kwargsrepr", "ignore_result")


def answer(task: object, app: object, consumer: object) -> Callable[..., object]:
    """Celery's strategy for a task, behind our door. Its name is in `BellTask.Strategy`."""
    inner = default(task, app, consumer)

    def at_the_door(message: Message, body: object, *rest: object, **options: object) -> object:
        message.headers = bell_headers(message, body)
        return inner(message, body, *rest, **options)

    return at_the_door


def bell_headers(message: Message, body: object) -> dict[str, Any]:
    """The headers of a bell that may come in. Raises `InvalidTaskError` for anything that is not exactly a bell."""
    if body is not None:
        raise InvalidTaskError("not a bell: an old message protocol")
    headers = message.headers
    run_id = headers.get("id")
    payload = message.payload
    if not _is_run_id(run_id) or not isinstance(payload, list) or len(payload) != 3:  # noqa: PLR2004 - args, kwargs, embed
        raise InvalidTaskError("not a bell: no run id, or another body")
    args, kwargs, embed = payload
    if args != [run_id] or kwargs or not isinstance(embed, dict) or any(embed.values()):
        raise InvalidTaskError("not a bell: it says more than its run id")
    kept = {name: headers[name] for name in _KEPT if name in headers}
    retries = headers.get("retries")
    return {**kept, "retries": retries if isinstance(retries, int) else 0, "root_id": run_id, "parent_id": None}


def _is_run_id(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


class BellRequest(Request):  # type: ignore[misc]
    """What Celery would do to a task it does to a run only as far as the ledger agrees."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        if self.request_dict["retries"]:
            # Flower may show how an earlier attempt ended.
            self._tell(*again())

    def revoked(self) -> bool:
        """Never: a revoke is a cancel in the ledger (see `remote_control`), which the claim asks."""
        return False

    def terminate(self, pool: object, signal: object = None) -> None:
        """Never: nobody is killed in mid-step."""

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> None:  # noqa: FBT001, FBT002
        super().on_failure(exc_info, send_failed_event, return_ok)
        raised = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(raised, Tell):
            for kind, fields in raised.events:
                self._tell(kind, fields, raised.worker)

    def _announce_cancelled(self, **_: object) -> None:
        """The drain is over and the child is ended: the sweeper will put the run back."""
        task_ready(self)
        self._already_cancelled = True
        self._tell(*again())

    def _tell(self, kind: str, fields: Mapping[str, Any], worker: str | None = None) -> None:
        self.send_event(kind, Event=at(worker), **fields)
