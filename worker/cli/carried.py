"""How an approved plan was carried out, shown."""

from tasks.model import Json
from worker.api.carried import Carried, carried
from worker.cli.printing import say, show_table
from worker.flow import Shift
from worker.flow.shown import jsonable, shown
from worker.records import Run, RunKind, RunState
from worker.redaction import PROCESS


def carried_by(opened: Shift, run: Run) -> Carried | None:
    """None for a check."""
    if run.kind is not RunKind.EFFECT:
        return None
    with opened.ledger.read() as connection:
        return carried(connection, run)


def carried_shown(found: Carried) -> dict[str, Json]:
    """As JSON; the members that a request's has."""
    return {
        "effects": [shown(one.effect) for one in found.taken if one.effect],
        "seen": [jsonable(seen) for seen in found.seen],
    }


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
