"""One batch: how its runs stand."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from worker.api.console.page import Looks
from worker.api.reading import RunFilter, visible_batch, visible_runs

LISTED = 40

router = APIRouter(prefix="/batches")


@router.get("/{batch_id}", response_class=HTMLResponse)
def batch_page(visitor: Looks, batch_id: str) -> HTMLResponse:
    with visitor.here.shift.ledger.read() as connection:
        view = visible_batch(connection, visitor.caller, batch_id)
        rows, _ = visible_runs(connection, visitor.caller, RunFilter(batch=batch_id), limit=1000)
    shown = sorted(rows, key=_worst_first)[:LISTED]
    refresh = view.batch.ended_at is None
    return visitor.page("batch.html", view=view, batch=view.batch, rows=shown, more=len(rows) - len(shown), refresh=refresh)


def _worst_first(run: object) -> tuple[int, int]:
    order = ("needs_attention", "failed", "running", "queued", "cancelled", "skipped", "succeeded")
    return order.index(run.state), run.position  # type: ignore[attr-defined]
