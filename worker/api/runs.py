"""`/v1/runs`: ask for work, look at it, stop it, resolve it, fetch what it left."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from sqlalchemy import Connection

from worker.api import prefer
from worker.api.auth import Caller, Who
from worker.api.gateway import Gateway, Here
from worker.api.problems import ProblemError
from worker.api.reading import RunFilter, visible_findings, visible_run, visible_runs
from worker.api.requests import RunsBody, ask
from worker.api.validation import Closed
from worker.flow import undoing, verbs
from worker.flow.errors import NotFound
from worker.flow.results import results_of
from worker.flow.shown import jsonable, shown
from worker.ledger import batches, effects, gates, keepings, runs
from worker.ledger.findings import OPEN_STATES
from worker.records import Batch, FindingState, Run, RunKind, RunState
from worker.tokens import KeysError

RUNS_SHOWN = 1000
"""So many runs of a batch are listed with it; `GET /v1/runs?batch=` leads to all."""
_MEDIA_TYPE = r"[\w.+-]{1,60}/[\w.+-]{1,60}(; ?charset=[\w-]{1,20})?"

router = APIRouter(prefix="/v1/runs", tags=["runs"])


class RunQuery(Closed):
    """Which runs to list."""

    job: str | None = None
    state: RunState | None = None
    batch: str | None = Field(None, description="Id of a batch.")
    limit: int = Field(100, ge=1, le=1000)
    before: str | None = Field(None, description="`next` of the page before.")


class LinesQuery(Closed):
    """How much of a run's log to show."""

    lines: int = Field(200, ge=0, le=2000, description="The newest so many log lines.")


class WhyBody(Closed):
    """Why, in a person's words; kept in the audit."""

    reason: str = Field("", max_length=500)


class UndoBody(Closed):
    """Why what was done should be taken back."""

    reason: str = Field(min_length=1, max_length=500)


class ResolveBody(Closed):
    """What a person found out about a run that needs attention."""

    resolution: Literal["applied", "not_applied", "retry"]
    reason: str = Field(min_length=1, max_length=500)
    process_ended: Annotated[bool, Field(description="They made sure that the process which did the step has ended.")] = False


@router.post("", status_code=202)
async def ask_for_runs(body: RunsBody, request: Request, response: Response, here: Here, who: Who) -> dict[str, Any]:
    """Ask for runs: 202 with their batch, or with `Prefer: wait=N` 200 once all have ended. The same key gives the same batch."""
    asked = await run_in_threadpool(ask, here, who, body, request)
    seconds = prefer.asked_wait(request)
    prefer.applied(response, seconds)
    response.headers["Location"] = f"/v1/batches/{asked.batch.id}"
    batch, found = asked.batch, list(asked.runs)
    if seconds or asked.joined:
        batch, found = await _until_ended(here, request, asked.batch.id, seconds)
    if seconds and batch.remaining == 0:
        response.status_code = 200
    told = {"batch": shown(batch), "runs": [shown(run) for run in found[:RUNS_SHOWN]], "joined": asked.joined}
    return {**told, "results": await run_in_threadpool(_results, here, batch, found) if batch.remaining == 0 else None}


def _results(here: Gateway, batch: Batch, found: list[Run]) -> list[Any]:
    with here.shift.ledger.read() as connection:
        return list(results_of(found, gates.asked_in(connection, batch.id)))


async def _until_ended(here: Gateway, request: Request, batch_id: str, seconds: int) -> tuple[Batch, list[Run]]:
    def look() -> Batch:
        with here.shift.ledger.read() as connection:
            batch = batches.get(connection, batch_id)
        if batch is None:
            raise NotFound(f"no batch {batch_id!r}", code="unknown_batch")
        return batch

    def read_runs() -> list[Run]:
        with here.shift.ledger.read() as connection:
            return runs.of_batch(connection, batch_id)

    batch = await prefer.wait_until(here, request, seconds, look, lambda seen: seen.remaining == 0)
    return batch, await run_in_threadpool(read_runs)


@router.get("")
def list_runs(query: Annotated[RunQuery, Query()], here: Here, who: Who) -> dict[str, Any]:
    """Runs, newest first."""
    wanted = RunFilter(job=query.job, state=query.state, batch=query.batch)
    with here.shift.ledger.read() as connection:
        found, after = visible_runs(connection, who, wanted, before=query.before, limit=query.limit)
    return {"runs": [shown(run) for run in found], "next": after}


@router.get("/{run_id}")
async def get_run(
    run_id: str, query: Annotated[LinesQuery, Query()], request: Request, response: Response, here: Here, who: Who
) -> dict[str, Any]:
    """One run with its findings, artifacts and log lines; `Prefer: wait=N` answers once it has ended."""

    def look() -> Run:
        with here.shift.ledger.read() as connection:
            return visible_run(connection, who, run_id)

    def read_all() -> dict[str, Any]:
        with here.shift.ledger.read() as connection:
            return run_in_full(connection, who, visible_run(connection, who, run_id), query.lines)

    seconds = prefer.asked_wait(request)
    prefer.applied(response, seconds)
    await prefer.wait_until(here, request, seconds, look, lambda run: run.state.terminal)
    return await run_in_threadpool(read_all)


def run_in_full(connection: Connection, caller: Caller, run: Run, lines: int) -> dict[str, Any]:
    """The run, and what it left. `findings` are those that this run was the last to see."""
    found = visible_findings(connection, caller, run_id=run.id, states=(*OPEN_STATES, FindingState.RESOLVED))
    return {
        **shown(run),
        "findings": [shown(row) for row in found],
        "effects": [shown(effect) for effect in effects.of_run(connection, run.id)],
        "artifacts": [
            {"name": name, "sha256": sha256, "size": size, "media_type": kind, "href": f"/v1/runs/{run.id}/artifacts/{sha256}"}
            for name, sha256, size, kind in keepings.artifacts_of(connection, run.id)
        ],
        "lines": [
            {"attempt": fence, "number": line.number, "at": jsonable(line.at), "level": line.level, "event": line.event}
            | {"facts": jsonable(line.facts)}
            for fence, line in (keepings.lines_of(connection, run.id, lines) if lines else ())
        ],
    }


@router.post("/{run_id}/cancel")
def cancel_run(run_id: str, here: Here, who: Who, body: WhyBody | None = None) -> dict[str, Any]:
    """Queued: cancelled at once. Running: asked to stop at its next boundary. What people approved needs `operate`."""
    _require(here, who, run_id, "run")
    return shown(verbs.cancel(here.shift, run_id, who.actor, body.reason if body else ""))


@router.post("/{run_id}/resolve")
def resolve_run(run_id: str, body: ResolveBody, here: Here, who: Who) -> dict[str, Any]:
    """The way out of `needs_attention`."""
    _require(here, who, run_id, "resolve")
    return shown(verbs.resolve(here.shift, run_id, who.actor, body.resolution, body.reason, process_ended=body.process_ended))


@router.post("/{run_id}/undo", status_code=202)
def undo_run(run_id: str, body: UndoBody, here: Here, who: Who) -> dict[str, Any]:
    """Ask people to take back what a repair did; answers with their request. Nothing is taken back without a new yes."""
    _require(here, who, run_id, "ask")
    return shown(undoing.undo(here.shift, run_id, who.actor, body.reason))


def _require(here: Gateway, who: Caller, run_id: str, verb: Literal["run", "resolve", "ask"]) -> None:
    with here.shift.ledger.read() as connection:
        run = visible_run(connection, who, run_id)
    # Whoever may ask for checks does not stop what people approved.
    who.require("operate" if verb == "run" and run.kind is RunKind.EFFECT else verb, run.job, run.environment)


@router.get("/{run_id}/artifacts/{sha256}", response_class=Response)
def get_artifact(run_id: str, sha256: str, here: Here, who: Who) -> Response:
    """The bytes, for saving: nothing that a job wrote is shown as a page of ours."""
    return artifact_response(here, who, run_id, sha256)


def artifact_response(here: Gateway, who: Caller, run_id: str, sha256: str) -> Response:
    """One of the run's artifacts. An encrypted one may hold secrets: it needs `operate`."""
    with here.shift.ledger.read() as connection:
        run = visible_run(connection, who, run_id)
        names = {known: name for name, known, _, _ in keepings.artifacts_of(connection, run_id)}
        stored = keepings.artifact(connection, sha256) if sha256 in names else None
    if stored is None:
        raise NotFound(f"run {run_id} has no artifact {sha256!r}", code="unknown_artifact")
    content = stored.content
    if stored.key_id is not None:
        who.require("operate", run.job, run.environment)
        content = _decrypted(here, content)
    plain = re.fullmatch(_MEDIA_TYPE, stored.media_type) is not None
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(names[sha256], safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=stored.media_type if plain else "application/octet-stream", headers=headers)


def _decrypted(here: Gateway, content: bytes) -> bytes:
    try:
        return here.shift.keys.decrypt(content.decode())
    except KeysError as error:
        raise ProblemError(409, "key_missing", str(error)) from error
