"""What a schedule would run now: its selector on the estate, drawn up as runs, or why that cannot be done."""

from collections.abc import Sequence
from dataclasses import dataclass

from schedules.schedule import Schedule, Selector
from tasks.context import Entry
from worker.flow.drafting import Draft, Order, draft_orders, job_named
from worker.flow.errors import Invalid
from worker.flow.shift import Estate, Shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The runs of one fire."""

    order: Order
    drafts: Sequence[Draft]
    estate: Estate


def draw_up(shift: Shift, schedule: Schedule) -> Work:
    """Raises `NotFound` when the job is gone, `Invalid` when nothing is selected or the job refuses the parameters."""
    estate = shift.estate()
    entries = selected(shift, schedule, estate)
    if not entries:
        message = f"{schedule.name} selects none of the {len(estate.table(shift.jobs[schedule.job]))} {schedule.job} entries"
        raise Invalid(message, code="nothing_selected", field="schedule")
    order = Order(job=schedule.job, params={**schedule.parameters, "entries": [entry.name for entry in entries]})
    drafts, _ = draft_orders(shift, [order], estate)
    return Work(order=order, drafts=drafts, estate=estate)


def selected(shift: Shift, schedule: Schedule, estate: Estate) -> list[Entry]:
    """In the file's order. Raises `NotFound` when the job is gone."""
    table = estate.table(job_named(shift, schedule.job))
    return [entry for entry in table.values() if _accepts(schedule.select, entry)]


def _accepts(wanted: Selector, entry: Entry) -> bool:
    allowed = ((wanted.entries, entry.name), (wanted.environments, entry.environment), (wanted.owners, entry.owner))
    return all(not names or name in names for names, name in allowed) and wanted.labels.items() <= entry.labels.items()
