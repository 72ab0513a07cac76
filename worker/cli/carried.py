"""How an approved plan was carried out, shown."""

from dataclasses import dataclass

from tasks.model import Json
from worker.cli.printing import say, show_table
from worker.flow import Shift
from worker.flow.carried import Carried, carried
from worker.flow.shown import jsonable, shown
from worker.records import Run, RunState
from worker.redaction import PROCESS


@dataclass(frozen=True, slots=True)
class Course:
    """What `nightshift runs RUN` adds for a run that carries out a plan."""

    found: Carried

    def members(self) -> dict[str, Json]:
        """As JSON; the members that a request's has."""
        return {
            "effects": [shown(one.effect) for one in self.found.taken if one.effect],
            "seen": [jsonable(seen) for seen in self.found.seen],
        }

    def show(self) -> None:
        show_carried(self.found)


def course_of(opened: Shift, run: Run) -> Course | None:
    """None when its plan is not kept."""
    with opened.ledger.read() as connection:
        found = carried(connection, run)
    return Course(found) if found else None


def show_carried(found: Carried) -> None:
    """Each step, what looking again saw, and the way out when a person is needed."""
    rows = [
        (one.step.id, one.word, one.effect.intent_at if one.effect else None, one.effect.detail if one.effect else "")
        for one in found.taken
    ]
    show_table(["step", "outcome", "begun at", "detail"], rows, empty="This plan was sealed by another version.")
    for seen in found.seen:
        say(PROCESS.redact(f"looked again: {seen.get('verdict')}: {seen.get('detail')}"))
    if found.run.state is RunState.NEEDS_ATTENTION:
        if found.runbook is not None:
            say(f"means: {found.runbook.means}")
            say(f"look: {found.runbook.look}")
        say(f"way out: nightshift resolve {found.run.id} --applied, --not-applied or --retry, with --reason")
