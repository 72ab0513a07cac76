"""News of findings, as the routes decide."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from notifications.findings import FindingFacts, finding_message
from notifications.message import MessageKind
from notifications.routes import Decision, InDigest, TellNow, Told, Wait, decide
from worker.flow.nights.report import facts_of
from worker.ledger import findings
from worker.records import OutboxRow
from worker.relay.messages.turn import Intent, Turn, given_up


def consider(turn: Turn, row: OutboxRow) -> None:
    """Say now, wait, or leave it to the digest."""
    if any(intent.row.subject == row.subject for intent in turn.intents):
        # Two pieces of news of one finding: the second is decided on once the first is told.
        turn.later[row.id] = turn.now
        return
    decided = _decide(turn, row)
    if decided is None:
        return
    facts, told, decisions = decided
    for decision in decisions:
        match decision:
            case TellNow(channels):
                turn.intents += _intents(turn, row, facts, told, channels)
            case Wait(until):
                turn.later[row.id] = until
            case InDigest():
                # The digest is made of the ledger: it has the finding in any case.
                pass


def look_ahead(turn: Turn, row: OutboxRow) -> None:
    """After a telling: when the next one is due, as far as the routes say now."""
    decided = _decide(turn, row)
    for decision in decided[2] if decided else ():
        match decision:
            case Wait(until):
                turn.later[row.id] = until
            case TellNow(channels) if not set(channels) <= given_up(row) | turn.given_up[row.id]:
                turn.later[row.id] = turn.now
            case _:
                pass


def _decide(turn: Turn, row: OutboxRow) -> tuple[FindingFacts, Told, Sequence[Decision]] | None:
    with turn.shift.ledger.read() as connection:
        found = findings.get(connection, row.subject)
        told = Told(
            opened=findings.tellings(connection, row.subject, "opened"),
            resolved=findings.tellings(connection, row.subject, "resolved"),
        )
    if found is None:
        return None
    facts = facts_of(found)
    return facts, told, decide(turn.routing.to_routes(), facts, told, quiet_until=turn.quiet_until(), now=turn.now)


def _intents(turn: Turn, row: OutboxRow, facts: FindingFacts, told: Told, channels: Sequence[str]) -> list[Intent]:
    kind = _kind(facts, told, channels)
    message = finding_message(kind, facts, turn.console_url, now=turn.now)
    if kind is not MessageKind.FINDING_REMINDED:
        # What got worse is told anew: under the id of its first telling, mail programs would drop it.
        message = replace(message, id=str(row.payload["message_id"]))
    what: Literal["opened", "resolved"] = "resolved" if facts.state == "resolved" else "opened"
    wanted = [name for name in channels if name not in given_up(row)]
    return [Intent(row=row, channel=name, message=message, told=what) for name in wanted]


def _kind(
    facts: FindingFacts, told: Told, channels: Sequence[str]
) -> Literal[MessageKind.FINDING_OPENED, MessageKind.FINDING_REMINDED, MessageKind.FINDING_RESOLVED]:
    if facts.state == "resolved":
        return MessageKind.FINDING_RESOLVED
    known: list[datetime] = [told.opened[name] for name in channels if name in told.opened]
    return MessageKind.FINDING_REMINDED if known and max(known) >= facts.opened_at else MessageKind.FINDING_OPENED
