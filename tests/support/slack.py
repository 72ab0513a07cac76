"""A Slack of our own on loopback: channels, people and messages, every exchange checked against Slack's contract."""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from slack_sdk.models.blocks import Block

from tests.support.contract import Contract, Overlay
from tests.support.listening import Asked, listening

_ROOT = Path(__file__).parents[2]
_FILE = Path(os.environ.get("NIGHTSHIFT_CONFORMANCE_DATA", _ROOT.parent / "shared" / "data")) / "contracts" / "slack-2021.json"
NO_CONTRACT = f"Slack's contract is not there ({_FILE.name}); NIGHTSHIFT_CONFORMANCE_DATA names its folder"
_OVERLAYS = (
    Overlay(
        source="https://docs.slack.dev/apis/web-api/#slack-web-api__basics__post-bodies: arrays are themselves in a JSON body",
        members={"blocks": {"$ref": "#/definitions/blocks"}},
    ),
    Overlay(
        source="https://docs.slack.dev/reference/methods/chat.postMessage#errors",
        errors=("missing_scope", "token_revoked", "invalid_blocks", "user_not_found", "internal_error", "service_unavailable"),
    ),
    Overlay(source="https://docs.slack.dev/apis/web-api/rate-limits/", errors=("ratelimited",), statuses=(429,)),
)
TOKEN = "xoxb-canary-5b1e"
CHANNEL = "C0123456789"


@cache
def contract() -> Contract | None:
    """None without the collection: then exchanges go unchecked."""
    return Contract(_FILE, *_OVERLAYS) if _FILE.is_file() else None


@dataclass
class Posted:
    """One message as it is shown now."""

    channel: str
    ts: str
    thread: str | None
    text: str
    blocks: list[dict[str, Any]]
    previews: bool
    """Slack fetches what its links lead to."""
    edits: int = 0

    def words(self) -> str:
        """Everything a reader sees, and the addresses of its links."""
        return json.dumps(self.blocks, ensure_ascii=False)

    def links(self) -> list[str]:
        """The addresses of its buttons."""
        return [element["url"] for block in self.blocks if block["type"] == "actions" for element in block["elements"]]


@dataclass
class SlackServer:
    """Change what it answers at any time."""

    port: int = 0
    users: Mapping[str, str] = field(default_factory=lambda: {"U0000000BO": "D0000000BO", "U0000000CY": "D0000000CY"})
    """By user id: the conversation with the app."""
    posted: list[Posted] = field(default_factory=list)
    error: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    """Answered instead of anything else."""
    hangs: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    violations: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    def answer(self, method: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _refusal("invalid_auth" if "authorization" in headers else "not_authed")
        if self.error:
            return _refusal(self.error)
        for block in Block.parse_all(body["blocks"]):
            block.to_dict()  # raises when a text is too long
        return self._post(body) if method == "chat.postMessage" else self._update(body)

    def _post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        where = self.users.get(body["channel"], body["channel"])
        if where not in (CHANNEL, *self.users.values()):
            return _refusal("channel_not_found")
        ts = f"1764000000.{next(self._numbers):06}"
        previews = body.get("unfurl_links") is not False or body.get("unfurl_media") is not False
        self.posted.append(Posted(where, ts, body.get("thread_ts"), body["text"], body["blocks"], previews))
        said = {"type": "message", "bot_id": "B012345678", "user": "U012345678", "text": body["text"], "ts": ts}
        return {"ok": True, "channel": where, "ts": ts, "message": {**said, "team": "T012345678"}}

    def _update(self, body: Mapping[str, Any]) -> dict[str, Any]:
        at = (body["channel"], body["ts"])
        message = next((one for one in self.posted if (one.channel, one.ts) == at), None)
        if message is None:
            return _refusal("message_not_found")
        message.text, message.blocks = body["text"], body["blocks"]
        message.edits += 1
        return {"ok": True, "channel": at[0], "ts": at[1], "text": body["text"], "message": {"text": body["text"]}}


def _refusal(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


@contextmanager
def slack_server() -> Iterator[SlackServer]:
    """Whoever leaves it learns of every exchange that the contract does not allow."""
    server = SlackServer()

    def answer(asked: Asked, content: bytes) -> None:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        body = json.loads(content)
        if server.hangs:
            server.released.wait()
            return
        server.calls.append(asked.path.rpartition("/")[2])
        said = server.answer(server.calls[-1], headers, body)
        if server.raw is None and (known := contract()) is not None:
            server.violations += known.of_request("POST", asked.path, headers, body)
            server.violations += known.of_response("POST", asked.path, server.status, said)
        told = json.dumps(said).encode() if server.raw is None else server.raw
        asked.give(server.status, {"content-type": "application/json; charset=utf-8", **server.headers}, told)

    with listening(answer) as server.port:
        try:
            yield server
        finally:
            server.released.set()
    assert server.violations == []
