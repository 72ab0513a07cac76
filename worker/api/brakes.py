"""`/v1/brakes`: whether effects may begin, and the levers that stop them all."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from worker.api.auth import Caller, Who
from worker.api.gateway import Gateway, Here
from worker.api.validation import Closed
from worker.flow import Shift, verbs
from worker.flow.errors import Forbidden
from worker.ledger import revisions
from worker.records import Actor, ActorKind

Brake = Literal["freeze", "thaw", "kill"]
BRAKES: Mapping[Brake, Callable[[Shift, Actor, str], None]] = MappingProxyType(
    {"freeze": verbs.freeze, "thaw": verbs.thaw, "kill": verbs.kill}
)

router = APIRouter(prefix="/v1/brakes", tags=["brakes"])


class BrakeBody(Closed):
    """Why it is pulled, or let go."""

    reason: str = Field(min_length=1, max_length=500)


@router.get("")
def get_brakes(here: Here, who: Who) -> dict[str, Any]:
    """What holds now, and the freeze windows of the policy that are in force."""
    if all(grant.verb != "read" for grant in who.grants):
        who.require("read")
    return standing(here)


@router.post("/{brake}")
def pull(brake: Brake, body: BrakeBody, here: Here, who: Who) -> dict[str, Any]:
    """`freeze`: no step begins. `kill`: and every running effect stops before its next step. `thaw` lets both go.

    To pull one takes `operate` somewhere, to let go `operate` everywhere, and a person.
    """
    require_lever(who, brake)
    BRAKES[brake](here.shift, who.actor, body.reason)
    return standing(here)


def require_lever(who: Caller, brake: Brake) -> None:
    """Raise `Forbidden` unless they may. Pulling does no harm: whoever operates anything may; to let go is another matter."""
    if brake != "thaw":
        who.require_somewhere("operate")
        return
    who.require("operate")
    if who.actor.kind is not ActorKind.PERSON:
        raise Forbidden(f"{who.actor} may pull a brake and not let it go: a person thaws", code="not_a_person")


def standing(here: Gateway) -> dict[str, Any]:
    """`frozen`, `killed`, by whom and why, and the windows in force."""
    with here.shift.ledger.read() as connection:
        state = revisions.state(connection)
    now = here.shift.clock()
    return {
        "frozen": state.frozen_by is not None,
        "killed": state.killed,
        "by": state.frozen_by,
        "reason": state.frozen_reason,
        "windows": [
            {"name": window.name, "environments": list(window.environments)}
            for window in here.shift.estate().policy.freezes
            if window.holds(now)
        ],
    }
