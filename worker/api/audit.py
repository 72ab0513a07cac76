"""`/v1/audit`: who did what. It spans everything: it needs `read` on all."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from worker.api.auth import Who
from worker.api.gateway import Here
from worker.api.validation import Closed
from worker.flow.shown import shown
from worker.ledger import audit_rows
from worker.records import ChainedEntry

router = APIRouter(prefix="/v1", tags=["audit"])


class AuditQuery(Closed):
    """Which audit rows to list."""

    object: str | None = Field(None, description="Id of a run, batch, finding, schedule, …")
    before: int | None = Field(None, ge=1, lt=2**63, description="`next` of the page before.")
    limit: int = Field(100, ge=1, le=1000)


def entry_shown(row: ChainedEntry) -> dict[str, Any]:
    """One row; `number` and `hash` are null until the chainer came by."""
    return {"id": row.id, "number": row.number, "hash": row.hash, **shown(row.entry)}


@router.get("/audit")
def list_audit(query: Annotated[AuditQuery, Query()], here: Here, who: Who) -> dict[str, Any]:
    """Audit rows, newest first."""
    who.require("read")
    with here.shift.ledger.read() as connection:
        rows = audit_rows.recent(connection, object_id=query.object, before=query.before, limit=query.limit)
    return {"audit": [entry_shown(row) for row in rows], "next": rows[-1].id if len(rows) == query.limit else None}
