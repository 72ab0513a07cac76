"""Schedules that n8n starts: a call that was not seen by its deadline is a finding, until the next one is seen."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from schedules.fires import ON_TIME
from schedules.schedule import Due, Schedule
from worker.flow.nights import own
from worker.flow.shift import Shift
from worker.ledger import batches, schedules
from worker.records import Actor

REASON = "n8n_call_missed"


def note_missed_calls(shift: Shift, schedule: Schedule, dues: Sequence[Due], actor: Actor, *, seen: datetime) -> int | None:
    """Look for the batch of each of `dues`, whose deadlines are over, and move the cursor from `seen` to the last.

    Returns how many were missed. None: another scheduler looked, or the schedule is paused.
    """
    missed = 0
    with shift.ledger.transaction() as tx:
        if not schedules.hold_at(tx, schedule.name, seen):
            return None
        for due in dues:
            if batches.by_fire(tx, schedule.name, due.fire_key) is not None:
                call_seen(shift, tx, schedule, actor)
                continue
            missed += 1
            _open(shift, tx, schedule, due, actor)
        schedules.advance(tx, schedule.name, seen=seen, to=dues[-1].at)
    return missed


def call_seen(shift: Shift, tx: Connection, schedule: Schedule, actor: Actor) -> None:
    """n8n, or somebody in its place, named the schedule."""
    if schedule.trigger == "n8n":
        own.resolve_own(shift, tx, actor, entry=schedule.name, key=_key(schedule))


def _open(shift: Shift, tx: Connection, schedule: Schedule, due: Due, actor: Actor) -> None:
    deadline = due.at + (schedule.start_deadline or ON_TIME)
    own.open_own(
        shift,
        tx,
        actor,
        entry=schedule.name,
        key=_key(schedule),
        reason=REASON,
        title=f"n8n did not start {schedule.name}",
        detail=f"no call for the fire {due.fire_key} (due {due.at:%Y-%m-%d %H:%M} UTC) came by {deadline:%Y-%m-%d %H:%M} UTC: "
        f'look at the workflow that posts {{"schedule": "{schedule.name}"}} to /v1/runs; such a call still starts that night',
    )


def _key(schedule: Schedule) -> str:
    return f"{REASON}:{schedule.name}"
