"""Calls for help: a run that needs a person, with what was seen, the ways out and its runbook."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from notifications.approvals import for_person, page_url, runbook
from notifications.message import Button, Field, Message, MessageKind
from notifications.render import one_line
from worker.flow.authorizing import resolvers
from worker.flow.runbooks import RUNBOOKS
from worker.ledger import approvals, runs, telling
from worker.records import LinkPurpose, OutboxRow, Run, RunState
from worker.relay.messages.followers import ASKED, follow, recipient
from worker.relay.messages.plight import Plight, plight_of
from worker.relay.messages.turn import Intent, Turn, place_of

LONGEST_TITLE = 120

log = structlog.get_logger("nightshift.messages")


def consider(turn: Turn, row: OutboxRow) -> None:
    """To every channel that gets news at once, to whoever was asked for the repair, and with a link to who may settle it."""
    with turn.shift.ledger.read() as connection:
        run = runs.get(connection, row.subject)
        plight = plight_of(connection, run) if run is not None else None
    if run is None or plight is None or run.state is not RunState.NEEDS_ATTENTION:
        return
    message = attention_message(plight, str(row.payload["message_id"]), turn)
    names = {name for route in turn.routing.routes for name in route.channels} or set(turn.routing.digest.channels)
    called = _call_people(turn, row, message, run)
    asked = follow(turn, row, message, run.approval_id, besides=called, amend=False) if run.approval_id else set()
    for name in sorted(names - asked):
        turn.intend(Intent(row=row, channel=name, message=message, about=run.approval_id))


def attention_message(plight: Plight, message_id: str, turn: Turn) -> Message:
    """Which run, what became of it, and the ways out."""
    run = plight.run
    return Message(
        id=message_id,
        kind=MessageKind.RUN_NEEDS_ATTENTION,
        title=one_line(f"A person is needed: {run.subject or run.job}: {plight.headline}", LONGEST_TITLE),
        body=plight.body,
        severity="high",
        fields=[
            Field("Run", run.id),
            Field("Job", run.job),
            *([Field("Subject", run.subject)] if run.subject else []),
            Field("Environment", run.environment),
            Field("Why", run.reason or ""),
        ],
        sections=plight.sections(),
        buttons=buttons(run, turn.console_url),
        at=turn.now,
        thread=thread(run),
        data={"run": run.id, "job": run.job, "reason": run.reason, "subject": run.subject, "approval": run.approval_id},
    )


def thread(run: Run) -> str:
    """That of its request, if it has one."""
    return f"approval-{run.approval_id}" if run.approval_id else f"run-{run.id}"


def buttons(run: Run, console_url: str) -> Sequence[Button]:
    """To its pages."""
    buttons = [Button("Open the run", f"{console_url.rstrip('/')}/runs/{run.id}")]
    if run.approval_id is not None:
        buttons.append(Button("Open the request", page_url(run.approval_id, console_url)))
    return [*buttons, runbook(run.reason, console_url)] if run.reason and run.reason in RUNBOOKS else buttons


def _call_people(turn: Turn, row: OutboxRow, message: Message, run: Run) -> set[str]:
    """Each who may settle it, by a link of their own; the places where they hear of it."""
    with turn.shift.ledger.read() as connection:
        approval = approvals.get(connection, run.approval_id or "")
        told = telling.told_of(connection, run.approval_id or "", ASKED)
    if approval is None:
        return set()
    places: set[str] = set()
    # Every other page but the runbooks' would ask them to sign in.
    others = [button for button in message.buttons if button.label.startswith("Runbook")]
    own = replace(message, buttons=[Button("Look and resolve", page_url(approval.id, turn.console_url)), *others])
    for person in resolvers(turn.shift.estate(), run):
        to = recipient(person)
        names = [name for name in turn.routing.personal if turn.channels.reaches(name, to)]
        if not names and turn.routing.personal:
            log.warning("resolver_unreachable", run_id=run.id, person=person.name)
        for name in names:
            place = place_of(name, to.name)
            said = replace(for_person(own, to), reply_to=told.get(place))
            turn.intend(
                Intent(row=row, channel=name, message=said, about=approval.id, link=approval, purpose=LinkPurpose.RESOLVE)
            )
            places.add(place)
    return places
