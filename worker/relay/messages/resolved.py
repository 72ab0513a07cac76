"""A person has settled a run that needed one: told to whoever was called, who it was, what they said, and how they know."""

from notifications.message import Field, Message, MessageKind
from worker.ledger import runs, telling
from worker.records import OutboxRow, Run
from worker.relay.messages.attention import buttons, thread
from worker.relay.messages.followers import ASKED, follow
from worker.relay.messages.turn import Turn

_CALLED = (*ASKED, MessageKind.RUN_NEEDS_ATTENTION)
_SAID = {
    "applied": ("it is done", "Nobody needs to look any more: the next check does, and tells if it is not so."),
    "not_applied": ("it is not done, and shall not be", "What is found again is asked for again."),
    "retry": ("to be tried again; what is done is not repeated", "How it ends is told here."),
}


def consider(turn: Turn, row: OutboxRow) -> None:
    """In the thread, once to each. When it was settled before anybody was called, whoever was asked is told."""
    with turn.shift.ledger.read() as connection:
        run = runs.get(connection, row.subject)
        subject = (run.approval_id or run.id) if run is not None else ""
        called = telling.told_of(connection, subject, [MessageKind.RUN_NEEDS_ATTENTION])
        asked = telling.told_of(connection, subject, ASKED)
    if run is not None:
        besides = asked.keys() - called.keys() if called else ()
        follow(turn, row, _message(turn, row, run), subject, kinds=_CALLED, besides=besides, amend=False)


def _message(turn: Turn, row: OutboxRow, run: Run) -> Message:
    by, resolution, reason = (str(row.payload[name]) for name in ("by", "resolution", "reason"))
    said, follows = _SAID[resolution]
    who = by.removeprefix("person:")
    return Message(
        id=str(row.payload["message_id"]),
        kind=MessageKind(str(row.payload["kind"])),
        title=f"Resolved by {who}: {run.subject or run.job}: {said}",
        body=f"{who} says: {reason}\n{follows}",
        severity="ok" if resolution == "applied" else "info",
        fields=[Field("Run", run.id), Field("Job", run.job), Field("Environment", run.environment), Field("Said", resolution)],
        buttons=buttons(run, turn.console_url),
        at=row.created_at,
        thread=thread(run),
        data={"run": run.id, "job": run.job, "subject": run.subject, "approval": run.approval_id, **dict(row.payload)},
    )
