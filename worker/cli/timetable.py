"""The schedules in force, and when each fires next."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schedules.schedule import Schedule, delay, next_due
from tasks.model import Json
from worker.flow import Shift
from worker.flow.shown import shown
from worker.ledger import schedules
from worker.records import ScheduleRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One schedule. `fires` are when its runs are queued, jitter included."""

    name: str
    job: str
    cron: str
    zone: str
    trigger: str
    fires: tuple[datetime, ...]
    last_fire_at: datetime | None
    paused: str

    @property
    def why_not(self) -> str:
        return "called by n8n" if self.trigger == "n8n" else ""

    def shown(self) -> dict[str, Json]:
        """As JSON."""
        return shown(self)


def timetable(shift: Shift, fires: int) -> list[Line]:
    """By name."""
    with shift.ledger.read() as connection:
        rows = {row.name: row for row in schedules.listing(connection)}
    return [_line(schedule, rows.get(name), shift.clock(), fires) for name, schedule in sorted(shift.estate().schedules.items())]


def _line(schedule: Schedule, row: ScheduleRow | None, now: datetime, fires: int) -> Line:
    paused = f"{row.paused_by}: {row.paused_reason}" if row and row.paused_by else ""
    silent = bool(paused) or schedule.trigger == "n8n"
    return Line(
        name=schedule.name,
        job=schedule.job,
        cron=schedule.cron,
        zone=str(schedule.zone),
        trigger=schedule.trigger,
        fires=() if silent else tuple(next_fires(schedule, now, fires)),
        last_fire_at=row.last_fire_at if row else None,
        paused=paused,
    )


def next_fires(schedule: Schedule, now: datetime, number: int) -> list[datetime]:
    """When the next `number` fires after `now` happen."""
    late = delay(schedule)
    found: list[datetime] = []
    after = now - late
    while len(found) < number:
        after = max(next_due(schedule, after).at, after + timedelta(microseconds=1))
        found.append(after + late)
    return found
