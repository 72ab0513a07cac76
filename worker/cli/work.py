"""Asking for runs, waiting for them, and showing them."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tasks.job import Job
from worker.cli.opening import actor, shift
from worker.cli.printing import clean, say, show_facts, show_json, show_table
from worker.cli.refusals import FOUND, REFUSED, Refusal
from worker.flow import Order, Request, Shift, enqueue
from worker.flow.drafting import job_named
from worker.flow.errors import Invalid, NotFound
from worker.flow.shown import shown
from worker.ledger import audit_rows, findings, keepings, runs
from worker.records import FindingKind, FindingRow, FindingState, Run, RunKind, RunState, Trigger

TAIL = 12
"""Characters at the end of an id: of a UUIDv7, those are random ones."""
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0
_FAILED = (RunState.FAILED, RunState.NEEDS_ATTENTION, RunState.CANCELLED)
_NEWEST = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """A batch, and the shift that it is asked of."""

    shift: Shift
    batch_id: str
    joined: bool

    def runs(self) -> list[Run]:
        with self.shift.ledger.read() as connection:
            return runs.of_batch(connection, self.batch_id)

    def findings(self) -> list[FindingRow]:
        """What these runs saw; a run since then may have seen it again, then it is told there."""
        made = {run.id for run in self.runs()}
        jobs = {run.job for run in self.runs()}
        with self.shift.ledger.read() as connection:
            rows = [row for job in sorted(jobs) for row in findings.listing(connection, job=job, limit=100_000)]
        return [row for row in rows if row.run_id in made]


def order(job: str, entries: str, params: Sequence[str], targets: Sequence[str]) -> Callable[[Shift], Order]:
    """What the options amount to, once the job is known. Raises `Invalid`, `NotFound`."""

    def made(opened: Shift) -> Order:
        known = job_named(opened, job)
        given: dict[str, Any] = dict(_parameter(known, text) for text in params)
        if names := [name.strip() for name in entries.split(",") if name.strip()]:
            given["entries"] = names
        if targets:
            given["targets"] = [_target(text) for text in targets]
        return Order(job=job, params=given)

    return made


def ask(make: Callable[[Shift], Order], *, key: str | None, note: str) -> Asked:
    """Queue it and ring."""
    opened = shift()
    who = actor()
    request = Request(
        orders=[make(opened)], trigger=Trigger.CLI, actor=who, family=str(who) if key else None, idempotency_key=key, note=note
    )
    enqueued = enqueue(opened, request)
    return Asked(opened, enqueued.batch.id, enqueued.joined)


def wait_for(asked: Asked, *, quiet: bool) -> Asked:
    """Show progress on standard error until every run ended."""
    began = time.monotonic()
    hinted = quiet
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    err = Console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=quiet or not sys.stderr.isatty()) as progress:
        made = asked.runs()
        bar = progress.add_task(f"{made[0].job}: queued", total=sum(run.entries_expected for run in made))
        while not all(run.state.terminal for run in made):
            if not hinted and time.monotonic() - began > _PATIENCE_SECONDS and all(r.state is RunState.QUEUED for r in made):
                err.print("Still queued: no worker took it. Is `nightshift up` (or `nightshift worker`) running?", markup=False)
                hinted = True
            time.sleep(_LOOK_SECONDS)
            made = asked.runs()
            progress.update(bar, completed=sum(map(_done, made)), description=_told(made))
    return asked


def report(asked: Asked, *, waited: bool, fail_on: str | None, as_json: bool) -> int:
    """Show the batch; returns the exit code."""
    made = asked.runs()
    seen = asked.findings() if waited else []
    if as_json:
        found = [shown(row) for row in seen]
        told = {"batch": asked.batch_id, "joined": asked.joined, "runs": [shown(run) for run in made]}
        show_json(told | ({"findings": found} if waited else {}))
    else:
        show_runs(made)
        if seen:
            show_findings(seen)
    if waited and any(run.state in _FAILED for run in made):
        return REFUSED
    kinds = {row.kind for row in seen if row.state is not FindingState.MUTED}
    worst = {"finding": {FindingKind.FINDING}, "cannot_tell": {FindingKind.FINDING, FindingKind.CANNOT_TELL}}
    return FOUND if fail_on and kinds & worst[fail_on] else 0


def list_runs(job: str | None, state: str | None, batch: str | None, limit: int, *, as_json: bool) -> None:
    """Newest first."""
    if state is not None and state not in list(RunState):
        raise Refusal(f"state {state!r}: accepted are {', '.join(RunState)}")
    opened = shift()
    with opened.ledger.read() as connection:
        found = runs.listing(connection, job=job, state=RunState(state) if state else None, batch_id=batch, limit=limit)
    if as_json:
        show_json([shown(run) for run in found])
    else:
        show_runs(found)


def show_run(text: str, *, as_json: bool) -> None:
    """One run: its facts, history, lines and artifacts."""
    opened = shift()
    run = run_named(opened, text)
    with opened.ledger.read() as connection:
        history = list(reversed(audit_rows.recent(connection, object_id=run.id)))
        lines = keepings.lines_of(connection, run.id)
        artifacts = keepings.artifacts_of(connection, run.id)
    course = None
    if run.kind is RunKind.EFFECT:
        # What reads a plan brings the gateway's framework along; commands about checks need not wait for it.
        from worker.cli.carried import course_of

        course = course_of(opened, run)
    if as_json:
        told = shown(run) | {
            "history": [shown(row.entry) for row in history],
            "lines": [shown(line) for _, line in lines],
            "artifacts": [dict(zip(("name", "sha256", "size", "media_type"), row, strict=True)) for row in artifacts],
            **(course.members() if course else {}),
        }
        show_json(told)
        return
    show_facts(shown(run) | {"created_at": run.created_at, "started_at": run.started_at, "ended_at": run.ended_at})
    say("")
    if course:
        course.show()
    show_table(["at", "by", "what"], [(row.entry.at, row.entry.actor, row.entry.verb) for row in history], empty="No history.")
    if lines:
        show_table(["at", "level", "event", "facts"], [(x.at, x.level, x.event, dict(x.facts)) for _, x in lines], empty="")
    if artifacts:
        show_table(["artifact", "bytes", "type", "sha256"], [(n, s, kind, d[:TAIL]) for n, d, s, kind in artifacts], empty="")


def show_runs(found: Sequence[Run]) -> None:
    """A table of runs."""
    rows = [(run.id[-TAIL:], run.job, run.state, run.verdict or "", run.summary or run.reason, run.created_at) for run in found]
    show_table(["run", "job", "state", "verdict", "summary", "asked at"], rows, empty="No runs.")


def show_findings(found: Sequence[FindingRow]) -> None:
    """A table of findings, the worst first."""
    order_of = {"critical": 0, "high": 1, "medium": 2, "low": 3}
    rows = [
        (
            row.id[-TAIL:],
            row.severity if row.kind is FindingKind.FINDING else row.kind,
            row.entry,
            row.reason,
            row.title,
            row.state,
        )
        for row in sorted(found, key=lambda row: (order_of.get(row.severity, 9), row.entry))
    ]
    show_table(["finding", "severity", "entry", "reason", "what", "state"], rows, empty="No findings.")


def run_named(opened: Shift, text: str) -> Run:
    """By id, or by its end among the newest. Raises `NotFound`."""
    with opened.ledger.read() as connection:
        exact = runs.get(connection, text)
        near = [] if exact else [run for run in runs.listing(connection, limit=_NEWEST) if run.id.endswith(text)]
    if exact or len(near) == 1:
        return exact or near[0]
    raise NotFound(f"no run {text}" if not near else f"{len(near)} runs end in {text}: give more of the id")


def _parameter(job: Job[Any], text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"--param {text}: expected KEY=VALUE, for example --param warn_below=0.2")
    known = job.params.model_fields.get(name)
    if known is not None and known.annotation is str:
        return name, value
    if known is not None and known.annotation == tuple[str, ...] and not value.startswith("["):
        return name, [part.strip() for part in value.split(",") if part.strip()]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _target(text: str) -> object:
    """A place, or the members of an entry as JSON."""
    if text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise Invalid(f"--target {text}: is not JSON: {error}") from None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.startswith("[")):
        host, port = text, "443"
    return {"name": text, "host": host.strip("[]"), "port": int(port)}


def _done(run: Run) -> int:
    if run.state.terminal:
        return run.entries_expected
    shown_done = run.progress.get("done", 0)
    return int(shown_done) if isinstance(shown_done, int | float) else 0


def _told(made: Sequence[Run]) -> str:
    ended = sum(run.state.terminal for run in made)
    running = sum(run.state is RunState.RUNNING for run in made)
    return clean(f"{made[0].job}: {ended} of {len(made)} runs ended, {running} running")
