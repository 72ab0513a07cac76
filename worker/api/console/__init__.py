"""The console: server-rendered pages for people who came by a one-time link.

It knows the API's readings and the flow's verbs, and no SQL.
"""

from fastapi import APIRouter

from worker.api.console import (
    approvals,
    batches,
    brakes,
    deciding,
    findings,
    links,
    other,
    runbooks,
    runs,
    schedules,
    sign_in,
    static,
    tonight,
)
from worker.api.console.page import error_page, is_for_people

router = APIRouter(include_in_schema=False)
for _part in (sign_in, links, static, tonight, findings, approvals, deciding, runs, batches, schedules, brakes, runbooks, other):
    router.include_router(_part.router)

__all__ = ["error_page", "is_for_people", "router"]
