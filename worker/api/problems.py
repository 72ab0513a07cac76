"""Every error as a problem document (RFC 9457): what failed, on which field, what is accepted. Never a stack trace."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from worker.flow.errors import FlowError, Forbidden, Invalid, NotFound, Refused
from worker.redaction import PROCESS

RETRY_AFTER_SECONDS = 5
MEDIA_TYPE = "application/problem+json"


class ProblemError(HTTPException):
    """An answer that is not what was asked for. `code` is stable and snake_case; it ends the document's `type`."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        accepted: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.field = field
        self.accepted = accepted
        self.more = more

    def document(self) -> dict[str, Any]:
        """The members of the document, those that say nothing left out."""
        members = {
            "type": f"/problems/{self.code}",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": PROCESS.redact(self.detail),
            "field": self.field,
            "accepted": None if self.accepted is None else list(self.accepted),
            **self.more,
        }
        return {name: value for name, value in members.items() if value is not None}


def answer(problem: ProblemError) -> JSONResponse:
    """The problem as a response."""
    return JSONResponse(problem.document(), problem.status_code, headers=problem.headers, media_type=MEDIA_TYPE)


def of_flow(error: FlowError, path_members: Mapping[str, object], accepted: Sequence[str] | None) -> ProblemError:
    """What a verb refused. A thing that the body names and that does not exist is a fault of the body, not of the path."""
    match error:
        case NotFound():
            status = 404 if error.field is None or error.field in path_members else 422
        case Invalid():
            status = 422
        case Forbidden():
            status = 403
        case Refused():
            status = 409
        case _:
            status = 400
    return ProblemError(status, error.code, str(error), field=error.field, accepted=accepted)


def of_http(error: HTTPException) -> ProblemError:
    """What the framework refused: no such path, another method, a body that cannot be read."""
    if isinstance(error, ProblemError):
        return error
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return ProblemError(error.status_code, code, error.detail, headers=error.headers)


def ledger_away() -> ProblemError:
    detail = "the ledger does not answer; nothing was changed. Try again; `/readyz` says what is wrong"
    return ProblemError(503, "ledger_unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def unkeepable() -> ProblemError:
    detail = "a number, an instant or a text of the request is none that the ledger can hold; nothing was changed"
    return ProblemError(422, "unkeepable", detail)


def internal(error_id: str) -> ProblemError:
    return ProblemError(500, "internal", f"something broke here; the log has it under error_id {error_id}", error_id=error_id)
