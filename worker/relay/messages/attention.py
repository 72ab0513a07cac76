"""Calls for help: a run that needs a person, with its ways out and its runbook."""

from collections.abc import Sequence

from notifications.approvals import page_url, runbook
from notifications.message import Button, Field, Line, Message, MessageKind, Section
from worker.flow.runbooks import RUNBOOKS
from worker.ledger import runs
from worker.records import OutboxRow, Run, RunState
from worker.relay.messages.followers import follow
from worker.relay.messages.turn import Intent, Turn


def consider(turn: Turn, row: OutboxRow) -> None:
    """To every channel that gets news at once, and to whoever was asked for the repair."""
    with turn.shift.ledger.read() as connection:
        run = runs.get(connection, row.subject)
    if run is None or run.state is not RunState.NEEDS_ATTENTION:
        return
    message = attention_message(run, str(row.payload["message_id"]), turn)
    names = {name for route in turn.routing.routes for name in route.channels} or set(turn.routing.digest.channels)
    asked = follow(turn, row, message, run.approval_id, amend=False) if run.approval_id else set()
    for name in sorted(names - asked):
        turn.intend(Intent(row=row, channel=name, message=message, about=run.approval_id))


def attention_message(run: Run, message_id: str, turn: Turn) -> Message:
    """Which run, why, and the ways out."""
    return Message(
        id=message_id,
        kind=MessageKind.RUN_NEEDS_ATTENTION,
        title=f"A person is needed: {run.job}{f', {run.subject}' if run.subject else ''}",
        body=_body(run),
        severity="high",
        fields=[
            Field("Run", run.id),
            Field("Job", run.job),
            *([Field("Subject", run.subject)] if run.subject else []),
            Field("Environment", run.environment),
            Field("Why", run.reason or ""),
        ],
        sections=_sections(run),
        buttons=_buttons(run, turn.console_url),
        at=turn.now,
        thread=f"approval-{run.approval_id}" if run.approval_id else f"run-{run.id}",
        data={"run": run.id, "job": run.job, "reason": run.reason, "subject": run.subject, "approval": run.approval_id},
    )


def _body(run: Run) -> str:
    ways_out = f"nightshift resolve {run.id} --applied | --not-applied | --retry"
    return run.summary if ways_out in run.summary else f"{run.summary}\nWays out: {ways_out}, with a reason."


def _sections(run: Run) -> list[Section]:
    """The runbook's own words: whoever is woken need not look for them first."""
    book = RUNBOOKS.get(run.reason or "")
    if book is None:
        return []
    told = {"What it means": book.means, "Where to look": book.look, "What to do": book.do}
    return [Section(heading, [Line(words.replace(" RUN ", f" {run.id} "))]) for heading, words in told.items()]


def _buttons(run: Run, console_url: str) -> Sequence[Button]:
    buttons = [Button("Open the run", f"{console_url.rstrip('/')}/runs/{run.id}")]
    if run.approval_id is not None:
        buttons.append(Button("Open the request", page_url(run.approval_id, console_url)))
    return [*buttons, runbook(run.reason, console_url)] if run.reason and run.reason in RUNBOOKS else buttons
