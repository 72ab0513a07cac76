"""Who looks at a page, and the frame around it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from worker.api.auth import Caller, by_session, check_csrf, refuse_machines
from worker.api.console.render import render
from worker.api.console.returning import sign_in_first
from worker.api.gateway import Gateway, Here
from worker.api.problems import ProblemError
from worker.ledger import revisions
from worker.records import LedgerState

FOR_MACHINES = ("/v1", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static/")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in person."""

    here: Gateway
    caller: Caller
    csrf: str

    @property
    def name(self) -> str:
        return self.caller.actor.name

    def page(self, template: str, **members: object) -> HTMLResponse:
        """The template in the console's frame."""
        frame = {"visitor": self, "brakes": brakes_now(self.here), "zone": self.here.settings.timezone}
        return HTMLResponse(render(template, **frame, **members))


def visitor_of(request: Request, here: Gateway) -> Visitor | None:
    """Whoever is signed in; None without a session, or for somebody who has no role any more."""
    caller = by_session(request, here)
    if caller is None or caller.session is None or not caller.grants:
        return None
    return Visitor(here, caller, here.sessions.csrf_token(caller.session))


def brakes_now(here: Gateway) -> LedgerState:
    """Shown on every page while one of them holds."""
    with here.shift.ledger.read() as connection:
        return revisions.state(connection)


def _visitor(request: Request, here: Here) -> Visitor:
    refuse_machines(request, here)
    caller = by_session(request, here)
    if caller is None or caller.session is None:
        raise sign_in_first(request)
    if not caller.grants:
        detail = f"{caller.actor.name} has no role in the configuration in force: an admin may give one in people.toml"
        raise ProblemError(403, "no_role", detail)
    return Visitor(here, caller, here.sessions.csrf_token(caller.session))


Looks = Annotated[Visitor, Depends(_visitor)]


def _acts(visitor: Looks, here: Here, csrf: Annotated[str, Form()] = "") -> Visitor:
    check_csrf(here, visitor.caller, csrf)
    return visitor


Acts = Annotated[Visitor, Depends(_acts)]
"""The sender of a form; only one of this very session's pages is taken."""


def back_to(path: str) -> RedirectResponse:
    """After a form: a page that may be loaded again without doing it again."""
    return RedirectResponse(path, status_code=303)


def is_for_people(request: Request) -> bool:
    """Whether an error is answered as a page."""
    path = request.url.path
    if path.startswith(FOR_MACHINES):
        return False
    return "text/html" in request.headers.get("accept", "") or request.scope.get("route") is not None


def error_page(request: Request, problem: ProblemError) -> HTMLResponse:
    """The problem as a page that says what to do."""
    body = render("error.html", problem=problem.document(), back=request.url.path if request.method == "POST" else "/")
    return HTMLResponse(body, problem.status_code, headers=problem.headers)
