"""One request to Linear: `linear-api` carries it, and here it gets its time-out, and its errors their meaning."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import requests
from linear_api import LinearClient

from notifications.channel import ChannelError

_TOO_MANY = 429
_SERVER_ERROR = 500
_MOST_BYTES = 4 * 2**20
_CONNECT_SECONDS = 5.0
# `extensions.type` in Linear's own SDK, packages/sdk/src/error.ts: these pass, or somebody may put them right.
_PASSING = frozenset({
    "authentication error", "bootstrap error", "feature not accessible", "forbidden", "internal error", "lock timeout",
    "network error", "ratelimited", "unknown", "usage limit exceeded",
})  # fmt: skip
_UNDECIDED = frozenset({"bootstrap error", "internal error", "lock timeout", "network error", "unknown"})
_ADVICE: Mapping[str, str] = {
    "authentication error": "the token is wrong or was taken away: Settings > Security & access > Personal API keys",
    "feature not accessible": "the workspace's plan does not have it",
    "forbidden": "the token may not write to this team",
    "usage limit exceeded": "the workspace holds no more issues on its plan",
}


class Unanswered(ChannelError):  # noqa: N818 - states a condition
    """Nobody knows whether Linear did what was asked: the answer was lost, late, or not Linear's."""


class Refused(ChannelError):  # noqa: N818 - states a condition
    """Linear did not do it, and says why."""


class _Client(LinearClient):  # type: ignore[misc]
    """`linear-api` as transport. Its own `call_api` has no time-out and makes one text of status, headers and errors."""

    def __init__(self, token: str, url: str) -> None:
        super().__init__(api_key=token, enable_cache=False, auto_unwrap_connections=False)
        self.url = url
        self.seconds = 0.0

    def call_api(self, query: dict[str, Any] | str) -> dict[str, Any]:
        """Send it once, and no redirect after it. Raises `ChannelError`; the data of an answer without errors."""
        until = monotonic() + self.seconds
        try:
            with requests.post(
                self.url,
                json=query,
                auth=self._authorize,
                timeout=(min(_CONNECT_SECONDS, self.seconds), self.seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                return _judge(response.status_code, response.headers, _read(response, until))
        except requests.Timeout:
            raise Unanswered(f"Linear did not answer within {self.seconds:.3g} s") from None
        except requests.RequestException as error:
            timed_out = "timed out" in str(error)
            what = f"did not answer within {self.seconds:.3g} s" if timed_out else f"cannot be reached: {type(error).__name__}"
            raise Unanswered(f"Linear {what}") from None

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Here and not among the headers, which a .netrc would override. A key stands alone, an OAuth token is a bearer's."""
        key = str(self.api_key)
        request.headers["Authorization"] = key if key.startswith("lin_api_") else f"Bearer {key}"
        return request


@dataclass(slots=True)
class Talk:
    """The requests of one delivery, which end together within `seconds`, each within `request_seconds`."""

    token: str
    url: str
    request_seconds: float
    seconds: float = 25.0
    _client: _Client = field(init=False)
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        self._client = _Client(self.token, self.url)
        self._until = monotonic() + self.seconds

    def ask(self, document: str, **variables: object) -> Mapping[str, Any]:
        """What Linear answers. Raises `Unanswered` or `Refused`."""
        left = self._until - monotonic()
        if left <= 0:
            raise Refused(f"Linear took more than {self.seconds:.0f} s; the rest is told later")
        self._client.seconds = min(self.request_seconds, left)
        answer: Mapping[str, Any] = self._client.execute_graphql(document, dict(variables))
        return answer


def _read(response: requests.Response, until: float) -> bytes:
    """A time-out of `requests` is for each piece alone."""
    content = b""
    for piece in response.iter_content(65_536):
        content += piece
        if monotonic() > until or len(content) > _MOST_BYTES:
            raise Unanswered("Linear's answer was too long or too slow")
    return content


def _judge(status: int, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """The words of an answer that is not Linear's are not repeated: a proxy's page may quote what we sent."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    told = body if isinstance(body, dict) else {}
    errors = [one for one in _list(told.get("errors")) if isinstance(one, dict)]
    kinds = [_kind(error) for error in errors]
    if status == _TOO_MANY or "ratelimited" in kinds:
        raise Refused("Linear wants fewer requests (RATELIMITED)", retry_after_seconds=_retry_after(headers))
    if kinds:
        raise _refused(kinds[0], errors[0], status)
    data = told.get("data")
    if status != requests.codes.ok or not isinstance(data, dict):
        raise Unanswered(f"Linear answered {status} without a word that we know")
    return data


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind(error: Mapping[str, Any]) -> str:
    """`extensions.type`, or what its `code` says of the same: https://linear.app/developers/rate-limiting names RATELIMITED."""
    extensions = error.get("extensions")
    found = extensions if isinstance(extensions, dict) else {}
    if str(found.get("code", "")).upper() == "RATELIMITED":
        return "ratelimited"
    return str(found.get("type", "unknown")).lower()


def _refused(kind: str, error: Mapping[str, Any], status: int) -> ChannelError:
    extensions = error.get("extensions")
    said = extensions.get("userPresentableMessage") if isinstance(extensions, dict) else None
    why = f": {_ADVICE[kind]}" if kind in _ADVICE else f": {str(said)[:200]}" if said else ""
    if kind in _UNDECIDED or status >= _SERVER_ERROR:
        return Unanswered(f"Linear answered with an error of its own ({status}){why}")
    shown = kind if kind.replace(" ", "").isalpha() else "an error"
    return Refused(f"Linear refused it as {shown[:60]}{why}", permanent=kind not in _PASSING)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    after = headers.get("retry-after", "")
    return min(float(after), 86_400.0) if after.isascii() and after.isdigit() else None
