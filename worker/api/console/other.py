"""Pages to look things up: the audit, and the jobs there are."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from worker.api.console.page import Looks
from worker.ledger import audit_rows

PAGE = 50

router = APIRouter()


@router.get("/audit", response_class=HTMLResponse)
def audit_page(visitor: Looks, before: Annotated[int | None, Query(ge=1, lt=2**63)] = None, about: str = "") -> HTMLResponse:
    visitor.caller.require("read")
    with visitor.here.shift.ledger.read() as connection:
        rows = audit_rows.recent(connection, object_id=about or None, before=before, limit=PAGE)
    return visitor.page("audit.html", rows=rows, about=about, after=rows[-1].id if len(rows) == PAGE else None)


@router.get("/jobs", response_class=HTMLResponse)
def jobs_page(visitor: Looks) -> HTMLResponse:
    estate = visitor.here.shift.estate()
    jobs = [(job, len(estate.table(job))) for _, job in sorted(visitor.here.shift.jobs.items())]
    return visitor.page("jobs.html", jobs=jobs)
