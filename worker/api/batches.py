"""`/v1/batches`: runs that belong together."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime, Field

from worker.api import prefer
from worker.api.auth import Who
from worker.api.gateway import Here
from worker.api.reading import BatchView, RunFilter, visible_batch, visible_batches, visible_runs
from worker.api.runs import RUNS_SHOWN, WhyBody
from worker.api.validation import Closed
from worker.flow import verbs
from worker.flow.results import results_of
from worker.flow.shown import shown
from worker.ledger import gates
from worker.records import Trigger
from worker.tokens import Verb

router = APIRouter(prefix="/v1/batches", tags=["batches"])


class BatchQuery(Closed):
    """Which batches to list."""

    schedule: str | None = None
    since: AwareDatetime | None = Field(None, description="Made since then, or still going on.")
    limit: int = Field(50, ge=1, le=500)


def batch_shown(view: BatchView) -> dict[str, Any]:
    """The batch, `states` (runs by state), `counts` (entries by outcome), `entries_looked_at`, and `report`: all in one line."""
    said = {"states": view.states, "counts": view.counts, "entries_looked_at": view.looked_at, "report": view.report}
    return {**shown(view.batch), **said}


@router.get("")
def list_batches(query: Annotated[BatchQuery, Query()], here: Here, who: Who) -> dict[str, Any]:
    """Batches, newest first."""
    with here.shift.ledger.read() as connection:
        found = visible_batches(connection, who, schedule=query.schedule, since=query.since, limit=query.limit)
    return {"batches": [batch_shown(view) for view in found]}


@router.get("/{batch_id}")
async def get_batch(batch_id: str, request: Request, response: Response, here: Here, who: Who) -> dict[str, Any]:
    """One batch with its runs in the order of the items; `Prefer: wait=N` answers once all have ended."""

    def look() -> BatchView:
        with here.shift.ledger.read() as connection:
            return visible_batch(connection, who, batch_id)

    def read_all() -> dict[str, Any]:
        with here.shift.ledger.read() as connection:
            view = visible_batch(connection, who, batch_id)
            found, _ = visible_runs(connection, who, RunFilter(batch=batch_id), limit=RUNS_SHOWN)
            results = results_of(found, gates.asked_in(connection, batch_id)) if view.batch.remaining == 0 else None
        ordered = sorted(found, key=lambda run: run.position)
        return {**batch_shown(view), "results": results, "runs": [shown(run) for run in ordered]}

    seconds = prefer.asked_wait(request)
    prefer.applied(response, seconds)
    await prefer.wait_until(here, request, seconds, look, lambda view: view.batch.remaining == 0)
    return await run_in_threadpool(read_all)


@router.post("/{batch_id}/cancel")
def cancel_batch(batch_id: str, here: Here, who: Who, body: WhyBody | None = None) -> dict[str, Any]:
    """Cancel every run of it that has not ended; needs `run` on all of them, `operate` on what people approved."""
    with here.shift.ledger.read() as connection:
        view = visible_batch(connection, who, batch_id)
    verb: Verb = "operate" if view.batch.trigger is Trigger.APPROVAL else "run"
    for tally in view.tallies:
        who.require(verb, tally.job, tally.environment)
    if sum(tally.runs for tally in view.tallies) < view.batch.total:
        who.require(verb)
    return {"cancelled": verbs.cancel_batch(here.shift, batch_id, who.actor, body.reason if body else "")}
