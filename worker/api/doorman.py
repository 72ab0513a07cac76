"""What holds for every request: the longest body, headers that keep a page to itself, and no exception that gets out."""

from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker import logs
from worker.api.problems import ProblemError, answer, internal

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

log = logs.get_log("nightshift.gateway")


class Doorman:
    """ASGI middleware, outermost but for the framework's own."""

    def __init__(self, app: ASGIApp, *, body_limit_bytes: int) -> None:
        self._app = app
        self._limit = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if _declared_length(scope) > self._limit:
            await answer(self._too_large())(scope, receive, dressed)
            return
        try:
            await self._app(scope, self._counted(receive), dressed)
        except Exception as error:
            error_id = uuid4().hex[:12]
            log.exception("request_failed", error_id=error_id, method=scope["method"], error=type(error).__name__)
            if started:
                raise
            await answer(internal(error_id))(scope, receive, dressed)

    def _counted(self, receive: Receive) -> Receive:
        """A body without a length, or with a false one, is counted as it comes."""
        size = 0

        async def counting() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            return message

        return counting

    def _too_large(self) -> ProblemError:
        detail = f"the body is larger than {self._limit // 1024} KiB (setting body_limit_kb)"
        return ProblemError(413, "body_too_large", detail, field="body", headers={"Connection": "close"})


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
