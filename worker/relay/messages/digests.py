"""The morning digest, as the closed night wrote it down."""

from pydantic import TypeAdapter

from notifications.message import Message
from worker.ledger import telling
from worker.records import OutboxRow
from worker.relay.messages.turn import Intent, Turn

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


def consider(turn: Turn, row: OutboxRow) -> None:
    """To every channel of the digest."""
    with turn.shift.ledger.read() as connection:
        night = telling.night(connection, row.subject)
    if night is None:
        return
    message = _MESSAGE.validate_python(night[3]["message"])
    for name in turn.routing.digest.channels:
        turn.intend(Intent(row=row, channel=name, message=message))
