"""Schedules: when they fire next, and the brake on each."""

from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse

from worker.api.console.page import Acts, Looks, back_to
from worker.api.reading import environments_of, require_on_schedule, visible_schedules
from worker.flow import verbs

router = APIRouter(prefix="/schedules")


@router.get("", response_class=HTMLResponse)
def schedules_page(visitor: Looks) -> HTMLResponse:
    with visitor.here.shift.ledger.read() as connection:
        views = visible_schedules(visitor.here, connection, visitor.caller)
    mine = {
        view.schedule.name
        for view in views
        if all(visitor.caller.may("operate", view.schedule.job, name) for name in environments_of(visitor.here, view.schedule))
    }
    return visitor.page("schedules.html", views=views, mine=mine)


@router.post("/{schedule}/pause")
def pause(visitor: Acts, schedule: str, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    require_on_schedule(visitor.here, visitor.caller, schedule, "operate")
    verbs.pause(visitor.here.shift, schedule, visitor.caller.actor, reason)
    return back_to("/schedules")


@router.post("/{schedule}/resume")
def resume(visitor: Acts, schedule: str) -> Response:
    require_on_schedule(visitor.here, visitor.caller, schedule, "operate")
    verbs.resume(visitor.here.shift, schedule, visitor.caller.actor)
    return back_to("/schedules")
