"""`/v1/schedules`: when what runs by itself, and the brake on it."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from worker.api.auth import Who
from worker.api.gateway import Here
from worker.api.reading import ScheduleView, require_on_schedule, visible_schedules
from worker.api.validation import Closed
from worker.flow import verbs
from worker.flow.shown import jsonable

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])


class PauseBody(Closed):
    """Why it is not to fire."""

    reason: str = Field(min_length=1, max_length=500)


def schedule_shown(view: ScheduleView) -> dict[str, Any]:
    """The schedule as it is configured, when it fired last and fires next. Its ping URL is a secret and is not shown."""
    schedule, row = view.schedule, view.row
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": str(schedule.zone),
        "job": schedule.job,
        "trigger": schedule.trigger,
        "select": jsonable(schedule.select),
        "parameters": jsonable(schedule.parameters),
        "next": jsonable(view.next_at),
        "last_fire_at": jsonable(row.last_fire_at),
        "last_fire_key": row.last_fire_key,
        "paused_by": row.paused_by,
        "paused_reason": row.paused_reason,
        "paused_at": jsonable(row.paused_at),
    }


@router.get("")
def list_schedules(here: Here, who: Who) -> dict[str, Any]:
    """All schedules of the configuration in force, with their next fires."""
    with here.shift.ledger.read() as connection:
        return {"schedules": [schedule_shown(view) for view in visible_schedules(here, connection, who)]}


@router.post("/{schedule}/pause")
def pause(schedule: str, body: PauseBody, here: Here, who: Who) -> dict[str, Any]:
    """It does not fire until it is resumed."""
    require_on_schedule(here, who, schedule, "operate")
    verbs.pause(here.shift, schedule, who.actor, body.reason)
    return {"name": schedule, "paused": True}


@router.post("/{schedule}/resume")
def resume(schedule: str, here: Here, who: Who) -> dict[str, Any]:
    """It fires again from now on; what was due meanwhile stays unfired."""
    require_on_schedule(here, who, schedule, "operate")
    verbs.resume(here.shift, schedule, who.actor)
    return {"name": schedule, "paused": False}
