"""What a machine tried and may not: the audit keeps it."""

from collections.abc import Mapping

from worker.flow.shift import Shift
from worker.flow.verbs import note
from worker.records import Actor


def note_try(shift: Shift, actor: Actor, route: str, code: str, about: Mapping[str, str]) -> None:
    """`route`: method and template of the path, never the path itself; `about`: the ids in it."""
    with shift.ledger.transaction() as tx:
        note(tx, shift.clock(), actor, "request.refused", "route", route, code=code, **about)
