"""The scheduler: schedules that are due become batches, once, however many schedulers run; and each morning ends a night.

It keeps nothing between two steps: the cursor of each schedule in the ledger says what was dealt with. What it planned
from an older cursor than the ledger's, a fire refuses.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from notifications.config import RoutesConfig
from schedules.fires import ON_TIME, Skipped, calls_missed, plan_fires
from schedules.schedule import Due, Schedule, next_due
from worker.flow.nights import close_night, digest_due, fire, keep_newest, note_missed_calls, skip
from worker.flow.nights.skipping import NotRun
from worker.flow.shift import Shift
from worker.ledger import batches, schedules
from worker.records import Actor, ActorKind, ScheduleRow

log = structlog.get_logger("nightshift.scheduler")


@dataclass(frozen=True, slots=True)
class Scheduler:
    """One step does what is due. `routing` and `console_url` are asked anew each time."""

    shift: Shift
    routing: Callable[[], RoutesConfig]
    console_url: Callable[[], str]
    seat: str = "scheduler"
    """Who this is in the audit."""

    def step(self) -> bool:
        """One round over all schedules; what one of them raises does not keep the others from their turn."""
        known = self.shift.estate().schedules
        with self.shift.ledger.read() as connection:
            rows = schedules.listing(connection)
        awake = [row for row in rows if row.name in known and row.paused_by is None]
        turns: list[Callable[[], None]] = [partial(self._turn, known[row.name], row) for row in awake]
        errors = [error for turn in (*turns, self._morning) if (error := _error_of(turn))]
        if errors:
            raise errors[0]
        return False

    @property
    def _actor(self) -> Actor:
        return Actor(ActorKind.SCHEDULER, self.seat)

    def _turn(self, schedule: Schedule, row: ScheduleRow) -> None:
        if schedule.trigger == "n8n":
            self._look_for_calls(schedule, row)
            return
        if schedule.overlap == "replace":
            self._finish_replacing(schedule)
        seen = row.cursor_at
        for due, why, to in _planned(schedule, seen, self.shift.clock()):
            if why is None:
                made = fire(self.shift, schedule, due, self._actor, seen=seen)
            else:
                made = skip(self.shift, schedule, due, why, self._actor, seen=seen, to=to)
            if made is None:
                return
            state = made.runs[0].state
            log.info("schedule_fired", schedule=schedule.name, fire_key=due.fire_key, batch_id=made.batch.id, state=state)
            seen = to

    def _look_for_calls(self, schedule: Schedule, row: ScheduleRow) -> None:
        grace = schedule.start_deadline or ON_TIME
        dues = calls_missed(schedule, row.cursor_at + grace, self.shift.clock())
        if not dues:
            return
        missed = note_missed_calls(self.shift, schedule, dues, self._actor, seen=row.cursor_at)
        if missed:
            log.warning("n8n_call_missed", schedule=schedule.name, missed=missed)

    def _finish_replacing(self, schedule: Schedule) -> None:
        with self.shift.ledger.read() as connection:
            still_open = batches.open_of_schedule(connection, schedule.name)
        if len(still_open) > 1:
            keep_newest(self.shift, schedule)

    def _morning(self) -> None:
        routing = self.routing()
        due = digest_due(self.shift, routing)
        if due is None:
            return
        closed = close_night(self.shift, routing, self.console_url(), due, self._actor)
        if closed is not None:
            log.info("night_closed", night=closed.fire_key, complete=closed.night.complete)


def _planned(schedule: Schedule, seen: datetime, now: datetime) -> Iterator[tuple[Due, NotRun | None, datetime]]:
    """What is due, earliest first: the due, why it is not run (None: fire it), and where the cursor stands after it."""
    plan = plan_fires(schedule, seen, now)
    if plan.unnamed_before is not None:
        first, end = next_due(schedule, seen), plan.unnamed_before
        told = f"missed, with all others due before {end:%Y-%m-%d %H:%M} UTC: too many to be listed one by one"
        yield first, NotRun("missed", told), end - timedelta.resolution
    fires: list[tuple[Due, NotRun | None]] = [(due, None) for due in plan.fire]
    skips: list[tuple[Due, NotRun | None]] = [(one.due, _not_run(schedule, one)) for one in plan.skip]
    for due, why in sorted(fires + skips, key=lambda one: one[0].at):
        yield due, why, due.at


def _not_run(schedule: Schedule, skipped: Skipped) -> NotRun:
    waited = ' (or while it waited for the batch before it: `overlap = "queue"`)' if schedule.overlap == "queue" else ""
    return NotRun(skipped.reason, skipped.detail + waited)


def _error_of(turn: Callable[[], None]) -> Exception | None:
    try:
        turn()
    except Exception as error:  # noqa: BLE001 - raised again once the others had their turn
        return error
    return None
