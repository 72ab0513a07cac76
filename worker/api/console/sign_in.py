"""Sessions start from a one-time link. Opening the link writes nothing: a mail scanner that follows it signs nobody in."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse

from worker.api.auth import COOKIE, over_tls, refuse_machines
from worker.api.console.page import Acts, back_to
from worker.api.console.render import render, render_with_secret
from worker.api.console.returning import KEPT_SECONDS, NEXT, own_path
from worker.api.gateway import Here
from worker.api.problems import ProblemError
from worker.flow.signing_in import spend_login_link

router = APIRouter()


@router.get("/login", response_class=HTMLResponse)
def how_to_sign_in(
    request: Request, here: Here, next_path: Annotated[str, Query(alias="next", max_length=2000)] = ""
) -> HTMLResponse:
    """What a sign-in link is; the page that was asked for is opened once one is spent in this browser."""
    response, path = HTMLResponse(render("login.html")), own_path(next_path)
    if path is not None:
        tls = over_tls(request, here)
        response.set_cookie(NEXT, path, max_age=KEPT_SECONDS, path="/login", httponly=True, samesite="lax", secure=tls)
    return response


@router.get("/login/{token}", response_class=HTMLResponse)
@router.head("/login/{token}", response_class=HTMLResponse)
def open_link(request: Request, here: Here, token: str) -> HTMLResponse:
    refuse_machines(request, here)
    return HTMLResponse(render_with_secret("login_link.html", token=token))


@router.post("/login")
def sign_in(request: Request, here: Here, token: Annotated[str, Form(max_length=200)]) -> Response:
    """Spend the link for a session."""
    refuse_machines(request, here)
    # There is no session yet whose CSRF token could be asked for; the browser says whether the form was ours.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ProblemError(403, "csrf", "this form came from another site; open the link itself")
    person = spend_login_link(here.shift, token)
    grants = tuple(here.grants_of(person))
    if not grants:
        detail = f"{person} has no role in the configuration in force: an admin may give one in people.toml"
        raise ProblemError(403, "no_role", detail)
    response = back_to(own_path(request.cookies.get(NEXT, "")) or "/")
    response.delete_cookie(NEXT, path="/login", httponly=True, samesite="lax")
    hours = here.settings.people_session_hours
    # What a person may do is asked of the configuration at every request, so the cookie carries no grants.
    cookie = here.sessions.cookie(here.sessions.open(person, ()))
    response.set_cookie(COOKIE, cookie, max_age=int(hours * 3600), httponly=True, samesite="lax", secure=over_tls(request, here))
    return response


@router.post("/logout")
def sign_out(_: Acts) -> Response:
    response = back_to("/login")
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response
