"""What a run gathers while it works (facts, artifacts, log lines) and writes with its outcome, or not at all."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from tasks.context import Artifact, Fact
from tasks.model import Json
from worker.flow.masking import masked, masked_content, masked_facts, masked_text
from worker.flow.pulse import Watch
from worker.flow.shift import Shift
from worker.flow.shown import shown
from worker.ledger import approvals, findings, keepings, runs
from worker.ledger.keepings import StoredArtifact
from worker.records import ApprovalState, FindingState, Run

log = structlog.get_logger("nightshift.job")

_PATIENCE_SECONDS = 120.0
T = TypeVar("T")


def ask(shift: Shift, question: Callable[[Connection], T]) -> T:
    """Read for a job, waiting for a ledger that went away: that is no fault of the job's, and must not fail its run."""
    give_up = monotonic() + _PATIENCE_SECONDS
    pause = 0.1
    while True:
        try:
            with shift.ledger.read() as connection:
                return question(connection)
        except (OperationalError, InterfaceError):
            if monotonic() > give_up:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 5.0)


class RunLog:
    """`ctx.log`: to the process's log with the run's id bound, and to the run's own lines."""

    def __init__(self, shift: Shift, watch: Watch) -> None:
        self._shift = shift
        self._watch = watch

    def info(self, event: str, **facts: object) -> None:
        self._say("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._say("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._say("error", event, facts)

    def _say(self, level: str, event: str, facts: Mapping[str, object]) -> None:
        run = self._watch.run
        getattr(log.bind(run_id=run.id, job=run.job), level)(event, **facts)
        self._watch.say(self._shift.clock(), level, masked_text(event), masked_facts(facts))


@dataclass(slots=True)
class RunArtifacts:
    """`ctx.artifacts`: kept in memory until the outcome is written."""

    shift: Shift
    kept: list[tuple[str, StoredArtifact]] = field(default_factory=list)

    def put(self, name: str, content: bytes, *, media_type: str = "text/plain", secret: bool = False) -> Artifact:
        """See `tasks.context.Artifacts`."""
        limit = self.shift.artifact_limit_bytes
        if len(content) > limit:
            message = f"artifact {name!r} has {len(content)} bytes, at most {limit} are kept"
            raise ValueError(message)
        content = content if secret else masked_content(content)
        sha256 = hashlib.sha256(content).hexdigest()
        stored, key_id = content, None
        if secret:
            text = self.shift.keys.encrypt(content)
            stored, key_id = text.encode(), text.partition(":")[0]
        self.kept.append(
            (
                name,
                StoredArtifact(
                    sha256=sha256,
                    size=len(content),
                    media_type=media_type,
                    key_id=key_id,
                    content=stored,
                    created_at=self.shift.clock(),
                ),
            )
        )
        return Artifact(name=name, sha256=sha256, size=len(content), media_type=media_type)


@dataclass(slots=True)
class RunHistory:
    """`ctx.history`: reads the ledger, keeps writes until the outcome."""

    shift: Shift
    job: str
    recorded: dict[tuple[str, str], tuple[Json, datetime]] = field(default_factory=dict)

    def latest(self, subject: str, name: str) -> Fact | None:
        return next(iter(self.versions(subject, name, 1)), None)

    def versions(self, subject: str, name: str, limit: int = 30) -> Sequence[Fact]:
        rows = ask(self.shift, lambda connection: keepings.facts(connection, self.job, subject, name, limit))
        return [Fact(value=value, version=version, recorded_at=at) for version, value, at in rows]

    def record(self, subject: str, name: str, value: Json) -> None:
        self.recorded[subject, name] = (masked(value), self.shift.clock())


@dataclass(frozen=True, slots=True)
class LedgerReader:
    """`ctx.ledger`."""

    shift: Shift

    def findings(self, *, job: str | None = None, state: str | None = None) -> Sequence[Mapping[str, Json]]:
        states = findings.OPEN_STATES if state is None else (FindingState(state),)
        return ask(self.shift, lambda connection: [shown(row) for row in findings.listing(connection, job=job, states=states)])

    def runs(self, *, job: str | None = None, limit: int = 100) -> Sequence[Mapping[str, Json]]:
        return ask(self.shift, lambda connection: [shown(row) for row in runs.listing(connection, job=job, limit=limit)])

    def approvals(self, *, state: str | None = None) -> Sequence[Mapping[str, Json]]:
        states = (ApprovalState.PENDING,) if state is None else (ApprovalState(state),)
        return ask(self.shift, lambda connection: [shown(row) for row in approvals.listing(connection, states=states)])


@dataclass(frozen=True, slots=True)
class Desk:
    """All of a run's gatherings."""

    log: RunLog
    artifacts: RunArtifacts
    history: RunHistory
    reader: LedgerReader

    @classmethod
    def of(cls, shift: Shift, run: Run, watch: Watch) -> "Desk":
        return cls(RunLog(shift, watch), RunArtifacts(shift), RunHistory(shift, run.job), LedgerReader(shift))
