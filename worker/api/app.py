"""Puts the gateway together from what it is handed."""

import logging
import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from worker import logs
from worker.api import (
    approvals,
    audit,
    batches,
    brakes,
    console,
    findings,
    health,
    jobs,
    metrics,
    problems,
    reference,
    runs,
    schedules,
)
from worker.api.doorman import Doorman
from worker.api.gateway import Gateway
from worker.api.validation import of_validation_error
from worker.flow import Enqueued, Shift
from worker.flow.errors import FlowError
from worker.flow.intake import Permit
from worker.ledger import LedgerUnavailable
from worker.records import Actor
from worker.settings import Settings
from worker.tokens import Grant, LinkCookies, Sessions

ROUTERS = (runs, batches, findings, approvals, brakes, jobs, schedules, audit, health, metrics, reference, console)
LEDGER_ERRORS = (LedgerUnavailable, OperationalError, InterfaceError, PoolTimeoutError)

log = logs.get_log("nightshift.gateway")


def create_app(
    shift: Shift,
    settings: Settings,
    sessions: Sessions,
    *,
    grants_of: Callable[[str], Sequence[Grant]],
    join_night: Callable[[str, Actor, Permit], Enqueued],
    broker_trouble: Callable[[], str | None],
) -> FastAPI:
    """The gateway as an ASGI application; see `Gateway` for what the callables promise. It starts no thread of its own."""
    app = FastAPI(
        title="Nightshift", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json", redirect_slashes=False
    )
    app.state.gateway = Gateway(
        shift=shift,
        settings=settings,
        sessions=sessions,
        link_cookies=LinkCookies(shift.keys, shift.clock),
        grants_of=grants_of,
        join_night=join_night,
        broker_trouble=broker_trouble,
    )
    for part in ROUTERS:
        app.include_router(part.router)
    _answer_errors(app)
    app.add_middleware(Doorman, body_limit_bytes=settings.body_limit_kb * 1024)
    _keep_links_out_of_the_access_log()
    return app


def _answer_errors(app: FastAPI) -> None:
    def respond(request: Request, problem: problems.ProblemError) -> Response:
        return console.error_page(request, problem) if console.is_for_people(request) else problems.answer(problem)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return respond(request, problems.of_http(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        return respond(request, of_validation_error(request, error))

    @app.exception_handler(FlowError)
    def refused_by_the_flow(request: Request, error: FlowError) -> Response:
        return respond(request, problems.of_flow(error, request.path_params, _accepted(app.state.gateway.shift, error)))

    def away(request: Request, error: Exception) -> Response:
        log.warning("ledger_unavailable", path=request.url.path.split("/")[1], error=f"{type(error).__name__}: {error}"[:300])
        return respond(request, problems.ledger_away())

    for kind in LEDGER_ERRORS:
        app.add_exception_handler(kind, away)

    @app.exception_handler(StatementError)
    def refused_by_the_ledger(request: Request, error: StatementError) -> Response:
        if isinstance(error, DataError) or isinstance(error.orig, OverflowError):
            return respond(request, problems.unkeepable())
        raise error


def _accepted(shift: Shift, error: FlowError) -> list[str] | None:
    match error.code:
        case "unknown_job":
            return sorted(shift.jobs)
        case "unknown_schedule":
            return sorted(shift.estate().schedules)
        case _:
            return None


class _WithoutLinks(logging.Filter):
    """uvicorn logs paths; that of a link is a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_link(part) if isinstance(part, str) else part for part in record.args)
        return True


def _without_link(path: str) -> str:
    """However it is spelt: uvicorn shows an address as it was sent, and servers in front may add slashes."""
    found = re.match(r"/+(login|a)/", unquote(path))
    return f"/{found[1]}/***" if found else path


def _keep_links_out_of_the_access_log() -> None:
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(known, _WithoutLinks) for known in access.filters):
        access.addFilter(_WithoutLinks())
