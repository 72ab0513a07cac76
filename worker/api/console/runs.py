"""Runs: the list, and one with its timeline, progress, log lines and artifacts."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from worker.api.console.page import Acts, Looks, Visitor, back_to
from worker.api.console.render import render
from worker.api.reading import RunFilter, visible_findings, visible_run, visible_runs
from worker.flow import undoing, verbs
from worker.flow.carried import Carried, carried
from worker.ledger import audit_rows, batches, keepings
from worker.ledger.findings import OPEN_STATES
from worker.records import FindingKind, FindingState, Run, RunState, Verdict

PAGE = 40
LINES = 60
LISTED_FINDINGS = 20
LONGEST_PAGE = 29 * 1024
FEW_LINES = 8
"""So many are left when the page would be longer, in bytes, than that; the run as JSON has them all."""

router = APIRouter(prefix="/runs")


@router.get("", response_class=HTMLResponse)
def runs_page(visitor: Looks, state: RunState | Literal[""] = "", job: str = "", before: str = "") -> HTMLResponse:
    wanted = RunFilter(job=job or None, state=state or None)
    with visitor.here.shift.ledger.read() as connection:
        rows, after = visible_runs(connection, visitor.caller, wanted, before=before or None, limit=PAGE)
    jobs = sorted(visitor.here.shift.jobs)
    return visitor.page("runs.html", rows=rows, after=after, state=state, job=job, states=list(RunState), jobs=jobs)


@router.get("/{run_id}", response_class=HTMLResponse)
def run_page(visitor: Looks, run_id: str) -> HTMLResponse:
    caller = visitor.caller
    with visitor.here.shift.ledger.read() as connection:
        run = visible_run(connection, caller, run_id)
        members = _living(connection, visitor, run) | {"batch": batches.get(connection, run.batch_id)}
    may_cancel = not run.state.terminal and caller.may("run", run.job, run.environment)
    may_resolve = run.state is RunState.NEEDS_ATTENTION and caller.may("resolve", run.job, run.environment)
    may_undo = _undoable(run, members["carried"]) and caller.may("ask", run.job, run.environment)
    mays = {"may_cancel": may_cancel, "may_resolve": may_resolve, "may_undo": may_undo}
    page = visitor.page("run.html", **members, **mays, refresh=not run.state.terminal)
    if len(page.body) > LONGEST_PAGE:
        few = {**members, "lines": members["lines"][-FEW_LINES:], "told": members["told"][-FEW_LINES:], "width": 60}
        page = visitor.page("run.html", **few, **mays, refresh=not run.state.terminal)
    return page


@router.get("/{run_id}/live", response_class=HTMLResponse)
def run_now(visitor: Looks, run_id: str) -> HTMLResponse:
    """The part of the page that changes; `X-Live: over` once it changes no more."""
    with visitor.here.shift.ledger.read() as connection:
        run = visible_run(connection, visitor.caller, run_id)
        body = render("run_live.html", zone=visitor.here.settings.timezone, **_living(connection, visitor, run))
    return HTMLResponse(body, headers={"X-Live": "over" if run.state.terminal else "on"})


def _living(connection: Connection, visitor: Visitor, run: Run) -> dict[str, Any]:
    found = visible_findings(connection, visitor.caller, run_id=run.id, states=(*OPEN_STATES, FindingState.RESOLVED))
    return {
        "run": run,
        "now": visitor.here.shift.clock(),
        "carried": carried(connection, run),
        "width": 160,
        "told": audit_rows.recent(connection, object_id=run.id, limit=20)[::-1],
        "lines": keepings.lines_of(connection, run.id, LINES),
        "artifacts": keepings.artifacts_of(connection, run.id)[:LISTED_FINDINGS],
        "findings": found[:LISTED_FINDINGS],
        "findings_total": len(found),
        "untold": sum(row.kind is FindingKind.CANNOT_TELL for row in found),
    }


@router.post("/{run_id}/cancel")
def cancel(visitor: Acts, run_id: str, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    _require(visitor, run_id, "run")
    verbs.cancel(visitor.here.shift, run_id, visitor.caller.actor, reason)
    return back_to(f"/runs/{run_id}")


@router.post("/{run_id}/resolve")
def resolve(
    visitor: Acts,
    run_id: str,
    resolution: Annotated[str, Form()] = "",
    reason: Annotated[str, Form(max_length=500)] = "",
    process_ended: Annotated[str, Form(max_length=4)] = "",
) -> Response:
    _require(visitor, run_id, "resolve")
    verbs.resolve(visitor.here.shift, run_id, visitor.caller.actor, resolution, reason, process_ended=bool(process_ended))
    return back_to(f"/runs/{run_id}")


@router.post("/{run_id}/undo")
def undo(visitor: Acts, run_id: str, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    """To the request that people decide on."""
    _require(visitor, run_id, "ask")
    approval = undoing.undo(visitor.here.shift, run_id, visitor.caller.actor, reason)
    return back_to(f"/approvals/{approval.id}")


def _undoable(run: Run, done: Carried | None) -> bool:
    ended = run.state.terminal and run.state is not RunState.NEEDS_ATTENTION and run.verdict is not Verdict.ROLLED_BACK
    return ended and done is not None and bool(done.applied)


def _require(visitor: Visitor, run_id: str, verb: Literal["run", "resolve", "ask"]) -> None:
    with visitor.here.shift.ledger.read() as connection:
        run = visible_run(connection, visitor.caller, run_id)
    visitor.caller.require(verb, run.job, run.environment)
