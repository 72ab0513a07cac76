"""What Celery, and so Flower, is told of a run: always what the ledger says."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from celery.events.event import Event
from celery.exceptions import Ignore, TaskRevokedError

from worker.records import Run, RunState, Verdict
from worker.redaction import PROCESS

PREFIX = "nightshift.jobs."
AGAIN = "task-retried"
"""The one event after which Flower takes any other: a run that waits for its turn again."""

_MOST_CHARACTERS = 500

Told = tuple[str, Mapping[str, Any]]
"""An event and its fields."""


class RunFailed(Exception):  # noqa: N818 - how Flower shows it
    """The run ended failed; the message is its reason and summary."""


class NeedsAttention(Exception):  # noqa: N818 - how Flower shows it
    """The run needs a person."""


class CannotTell(Exception):  # noqa: N818 - how Flower shows it
    """The run could tell nothing at all: never green."""


class Ended(Protocol):
    """A run that has ended, or its outcome."""

    @property
    def state(self) -> RunState: ...
    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def summary(self) -> str: ...


class Tell(Ignore):  # type: ignore[misc]
    """The bell was not answered by an outcome: the worker's main process tells these events after its own.

    Were they sent from the child, they would overtake the main process's `task-received` and `task-started`.
    """

    def __init__(self, events: Sequence[Told], worker: str | None = None) -> None:
        super().__init__(events, worker)
        self.events = events
        self.worker = worker
        """Where the run is, if that is not where the bell was heard."""


def failure(run: Ended) -> Exception | None:
    """What a run that ended badly raises; None for one that succeeded."""
    match run.state:
        case RunState.FAILED:
            return RunFailed(f"{run.reason}: {run.summary}")
        case RunState.NEEDS_ATTENTION:
            return NeedsAttention(run.summary)
        case RunState.CANCELLED | RunState.SKIPPED:
            wrong: Exception = TaskRevokedError(run.summary)
            return wrong
        case _ if run.verdict is Verdict.CANNOT_TELL:
            return CannotTell(run.summary)
        case _:
            return None


def shown_params(params: Mapping[str, object]) -> str:
    """Parameters as Flower may show them: values under names that sound like secrets are hidden, and secrets we know."""
    return json.dumps(PROCESS.redact_all(params), default=str)[:_MOST_CHARACTERS]


def revoked() -> Told:
    return "task-revoked", {"terminated": False, "signum": None, "expired": False}


def again() -> Told:
    """Without what an earlier attempt raised, which Flower would go on showing beside a success."""
    return AGAIN, {"exception": None, "traceback": None}


def as_it_is(run: Run | None, rung_as: str) -> list[Told]:
    """For a bell that was not ours to answer: what Flower may have missed, or shows wrongly since it came."""
    if run is None:
        return [revoked()]
    told = [_state(run)]
    if run.job != rung_as:
        return [("task-received", {"name": PREFIX + run.job, "kwargs": shown_params(run.params)}), *told]
    return told


def _state(run: Run) -> Told:
    wrong = failure(run)
    match run.state:
        case RunState.QUEUED:
            return again()
        case RunState.RUNNING:
            return "task-started", {}
        case RunState.CANCELLED | RunState.SKIPPED:
            return revoked()
        case _ if wrong is not None:
            return "task-failed", {"exception": repr(wrong), "traceback": ""}
        case _:
            took = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else 0.0
            return "task-succeeded", {"result": repr(run.summary), "runtime": took}


def at(worker: str | None) -> Callable[..., Event]:
    """Makes events that name `worker`: the run is there, whoever heard the bell."""

    def event(kind: str, **fields: Any) -> Event:
        return Event(kind, **(fields | ({"hostname": worker} if worker else {})))

    return event
