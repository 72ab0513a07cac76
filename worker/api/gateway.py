"""What every endpoint works with; `worker.wiring` puts it together, `create_app` keeps it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from worker.flow import Enqueued, Shift
from worker.flow.intake import Permit
from worker.records import Actor
from worker.settings import Settings
from worker.tokens import Grant, LinkCookies, Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The shift, and what lies beside it."""

    shift: Shift
    settings: Settings
    sessions: Sessions
    link_cookies: LinkCookies
    grants_of: Callable[[str], Sequence[Grant]]
    """What a person may do now, by the configuration in force; nothing for a stranger. Asked at every request."""
    join_night: Callable[[str, Actor, Permit], Enqueued]
    """Tonight's batch of a schedule, started if nobody did. Raises the errors of `worker.flow`."""
    broker_trouble: Callable[[], str | None]
    """Why the doorbell cannot be rung; None: it can."""


async def _gateway(request: Request) -> Gateway:
    # Asynchronous, though it awaits nothing: FastAPI gives every other dependency a turn in a thread.
    here: Gateway = request.app.state.gateway
    return here


Here = Annotated[Gateway, Depends(_gateway)]
