"""Firing a schedule: by the scheduler's clock, or because somebody joins the night. Each fire key once."""

import difflib
from datetime import datetime

from sqlalchemy import Connection

from schedules.fires import tonight
from schedules.schedule import Due, Schedule
from worker.flow.errors import FlowError, NotFound, Refused
from worker.flow.intake import Enqueued, Permit, Request, permit_all, with_room, write_batch
from worker.flow.nights import calls
from worker.flow.nights.selecting import Work, draw_up
from worker.flow.nights.skipping import MADE_UP_FOR, NotRun, write_skipped
from worker.flow.shift import Shift
from worker.flow.verbs import cancel
from worker.ledger import batches, runs, schedules
from worker.records import Actor, ActorKind, Batch, RunState, Trigger

_TRIGGERS = {ActorKind.SCHEDULER: Trigger.SCHEDULE, ActorKind.N8N: Trigger.N8N, ActorKind.CLI: Trigger.CLI}


def fire(shift: Shift, schedule: Schedule, due: Due, actor: Actor, *, seen: datetime) -> Enqueued | None:
    """Start the batch of `due`, or write why it is not run, and move the schedule's cursor from `seen` to it.

    None, and nothing is written: another scheduler moved the cursor, the schedule is paused, or, with
    `overlap = "queue"`, the fire waits until the batch before it has ended.
    """
    if _must_wait(shift, schedule, due):
        return None
    work = _work_or_reason(shift, schedule)
    with shift.ledger.transaction() as tx:
        if not schedules.hold_at(tx, schedule.name, seen):
            return None
        made = _start(shift, tx, schedule, due, actor, work)
        if made is None:
            return None
        schedules.advance(tx, schedule.name, seen=seen, to=due.at)
    _announce(shift, schedule, made)
    return made


def skip(
    shift: Shift, schedule: Schedule, due: Due, why: NotRun, actor: Actor, *, seen: datetime, to: datetime | None = None
) -> Enqueued | None:
    """Write that `due` is not run, and move the cursor from `seen` to it (or on to `to`). None: not ours to say."""
    work = why if why.reason in MADE_UP_FOR else _work_or_reason(shift, schedule)
    with shift.ledger.transaction() as tx:
        if not schedules.hold_at(tx, schedule.name, seen):
            return None
        made = _joined(tx, schedule, due) or write_skipped(shift, tx, schedule, due, actor, Trigger.SCHEDULE, why, work)
        schedules.advance(tx, schedule.name, seen=seen, to=to or due.at)
    return made


def join_night(shift: Shift, name: str, actor: Actor, permit: Permit = permit_all) -> Enqueued:
    """The batch of tonight's fire: the one that is there, else started now; the scheduler then finds its key taken.

    With `overlap = "forbid"` and the batch before still running it is a batch of one skipped run, as the scheduler
    would write. Raises `NotFound`, `Invalid`, `Forbidden`, and `Refused` while the schedule is paused or has to wait.
    """
    schedule = _named(shift, name)
    work = draw_up(shift, schedule)
    for draft in work.drafts:
        permit(draft.job.name, draft.entries[0].environment, draft.ad_hoc)
    with shift.ledger.transaction() as tx:
        row = schedules.hold(tx, name)
        if row is None or not row.active:
            raise _unknown(shift, name)
        if row.paused_by is not None:
            message = f"schedule {name!r} was paused by {row.paused_by} ({row.paused_reason}): `nightshift resume {name}`"
            raise Refused(message, code="schedule_paused", field="schedule")
        made = _start(shift, tx, schedule, tonight(schedule, shift.clock()), actor, work)
        if made is None:
            message = f'the batch of {name!r} before this one still runs, and its `overlap` is "queue": call again later'
            raise Refused(message, code="overlap", field="schedule")
        calls.call_seen(shift, tx, schedule, actor)
    _announce(shift, schedule, made)
    return made


def keep_newest(shift: Shift, schedule: Schedule) -> int:
    """Of a schedule that replaces: cancel what still goes on of every batch but the latest due; returns how many runs.

    Done after the commit that started the newest, and again whenever asked: who died in between leaves nothing behind.
    """
    with shift.ledger.read() as connection:
        still_open = sorted(batches.open_of_schedule(connection, schedule.name), key=_due_at)
        runs_of = {batch.id: runs.of_batch(connection, batch.id) for batch in still_open[:-1]}
    to_cancel = [run for made in runs_of.values() for run in made if not run.state.terminal and not run.cancel_requested_by]
    cancelled = 0
    for run in to_cancel:
        told = f"replaced by the fire {still_open[-1].fire_key} of {schedule.name}"
        try:
            cancel(shift, run.id, Actor(ActorKind.SCHEDULER, schedule.name), told)
        except Refused:  # it has just ended by itself
            continue
        cancelled += 1
    return cancelled


def _start(shift: Shift, tx: Connection, schedule: Schedule, due: Due, actor: Actor, work: Work | NotRun) -> Enqueued | None:
    """With the schedule's row held: the batch of `due`, made now or before. None: it has to wait."""
    before = _joined(tx, schedule, due)
    if before is not None:
        return before
    trigger = _TRIGGERS.get(actor.kind, Trigger.API)
    if isinstance(work, NotRun):
        return write_skipped(shift, tx, schedule, due, actor, trigger, work, work)
    running = batches.open_of_schedule(tx, schedule.name)
    if running and schedule.overlap == "queue":
        return None
    if running and schedule.overlap == "forbid":
        overlap = NotRun("overlap", f'the batch of {running[0].fire_key} still runs, and `overlap` is "forbid"')
        return write_skipped(shift, tx, schedule, due, actor, trigger, overlap, work)
    request = Request(
        orders=[work.order], trigger=trigger, actor=actor, schedule=schedule.name, fire_key=due.fire_key, due_at=due.at
    )
    made = write_batch(shift, tx, request, work.drafts, work.estate)
    if made is None:
        return _joined(tx, schedule, due)
    schedules.remember_fire(tx, schedule.name, fire_key=due.fire_key, at=shift.clock())
    return made


def _must_wait(shift: Shift, schedule: Schedule, due: Due) -> bool:
    """A first look, without a lock: a fire that waits for hours is not drawn up in each step."""
    if schedule.overlap != "queue":
        return False
    with shift.ledger.read() as connection:
        running = batches.open_of_schedule(connection, schedule.name)
    return bool(running) and all(batch.fire_key != due.fire_key for batch in running)


def _joined(tx: Connection, schedule: Schedule, due: Due) -> Enqueued | None:
    batch = batches.by_fire(tx, schedule.name, due.fire_key)
    return Enqueued(batch, runs.of_batch(tx, batch.id), joined=True) if batch else None


def _announce(shift: Shift, schedule: Schedule, made: Enqueued) -> None:
    if made.joined or made.runs[0].state is not RunState.QUEUED:
        return
    shift.ring(with_room(made.runs))
    if schedule.overlap == "replace":
        keep_newest(shift, schedule)


def _work_or_reason(shift: Shift, schedule: Schedule) -> Work | NotRun:
    try:
        return draw_up(shift, schedule)
    except FlowError as error:
        return NotRun(error.code, str(error))


def _named(shift: Shift, name: str) -> Schedule:
    schedule = shift.estate().schedules.get(name)
    if schedule is None:
        raise _unknown(shift, name)
    return schedule


def _unknown(shift: Shift, name: str) -> NotFound:
    known = shift.estate().schedules
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    message = f"no schedule is called {name!r}: {hint}schedules are {', '.join(sorted(known)) or 'none'}"
    return NotFound(message, code="unknown_schedule", field="schedule")


def _due_at(batch: Batch) -> datetime:
    return batch.due_at or batch.created_at
