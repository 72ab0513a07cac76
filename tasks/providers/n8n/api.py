"""n8n's documented public API (`/api/v1`), with the key of whoever asks. Nothing here knows files."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tasks.providers.n8n.errors import N8nAway, N8nError, N8nForbidden, N8nNotThere
from tasks.providers.n8n.gateway import IN_FILES

TESTED_VERSIONS = ("2.15.1",)
"""Those that the whole of push was run against; on any other n8n we read and refuse to write."""
_PAGE = 250
"""The most that n8n gives at once; 251 is refused."""
_MOST_PAGES = 400
MOST_BYTES = 64 * 1024 * 1024
"""Of one answer: 250 workflows of 250 kB each, which nobody draws."""
_TIMEOUT = httpx.Timeout(30, connect=5)
_RELEASE = re.compile(r'name="n8n:config:sentry"\s+content="([A-Za-z0-9+/=]+)"')


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential that n8n has; its secret never leaves n8n."""

    id: str
    name: str
    type: str


class N8nApi:
    """One n8n. Each method is one call, or one a page."""

    def __init__(self, url: str, key: str, *, gateway: str = IN_FILES, transport: httpx.BaseTransport | None = None) -> None:
        """`gateway`: where this n8n reaches ours."""
        self.url = url.rstrip("/")
        self.gateway = gateway
        headers = {"X-N8N-API-KEY": key, "Accept": "application/json"}
        # The environment's proxy is not asked: the key goes to this n8n and to nobody else.
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT, transport=transport, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def version(self) -> str | None:
        """What its start page says it is; None if it does not say. n8n's API has no call for it."""
        found = _RELEASE.search(self._send("GET", "/", None).text)
        if not found:
            return None
        try:
            release = str(json.loads(base64.b64decode(found[1])).get("release", ""))
        except (ValueError, AttributeError):
            return None
        return release.removeprefix("n8n@") or None

    def in_production(self) -> bool:
        """Whether it keeps stack traces to itself, as callers of its webhooks see it. Asks for a webhook that nobody has."""
        answer = self._send("GET", "/webhook/nightshift-doctor-asks-for-nothing", None)
        if answer.status_code != httpx.codes.NOT_FOUND or not _said(answer):
            raise N8nAway(f"what answers at {self.url}/webhook is not n8n, or it is starting ({answer.status_code})")
        return "stacktrace" not in answer.json()

    def workflows(self) -> list[dict[str, Any]]:
        """All of them, drafts and published versions."""
        return self._all("/workflows", "workflow:list")

    def workflow(self, workflow_id: str) -> dict[str, Any]:
        return self._object("GET", f"/workflows/{quote(workflow_id, safe='')}", "workflow:read")

    def saved_version(self, workflow_id: str, version_id: str) -> dict[str, Any]:
        """One version of n8n's history; empty if it was pruned."""
        try:
            return self._object("GET", f"/workflows/{workflow_id}/{quote(version_id, safe='')}", "workflow:read")
        except N8nNotThere:
            return {}

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._object("POST", "/workflows", "workflow:create", body)

    def update(self, workflow_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replaces nodes and connections, merges settings, and publishes at once what is published."""
        return self._object("PUT", f"/workflows/{workflow_id}", "workflow:update", body)

    def publish(self, workflow_id: str, version_id: str | None = None) -> dict[str, Any]:
        body = {"versionId": version_id} if version_id else {}
        return self._object("POST", f"/workflows/{workflow_id}/activate", "workflow:activate", body)

    def unpublish(self, workflow_id: str) -> dict[str, Any]:
        return self._object("POST", f"/workflows/{workflow_id}/deactivate", "workflow:deactivate")

    def delete(self, workflow_id: str) -> None:
        self._call("DELETE", f"/workflows/{workflow_id}", "workflow:delete")

    def archive(self, workflow_id: str) -> None:
        self._call("POST", f"/workflows/{workflow_id}/archive", "workflow:delete")

    def unarchive(self, workflow_id: str) -> None:
        self._call("POST", f"/workflows/{workflow_id}/unarchive", "workflow:delete")

    def set_tags(self, workflow_id: str, tag_ids: Sequence[str]) -> None:
        self._call("PUT", f"/workflows/{workflow_id}/tags", "workflowTags:update", [{"id": each} for each in tag_ids])

    def tags(self) -> dict[str, str]:
        """Name to id."""
        return {str(each["name"]): str(each["id"]) for each in self._all("/tags", "tag:list")}

    def create_tag(self, name: str) -> str:
        return str(self._object("POST", "/tags", "tag:create", {"name": name})["id"])

    def delete_tag(self, tag_id: str) -> None:
        self._call("DELETE", f"/tags/{tag_id}", "tag:delete")

    def credentials(self) -> list[Credential]:
        found = self._all("/credentials", "credential:list")
        return [Credential(str(each["id"]), str(each["name"]), str(each["type"])) for each in found]

    def users(self) -> list[dict[str, Any]]:
        return self._all("/users", "user:list")

    def _all(self, path: str, scope: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            page = self._object("GET", f"{path}?limit={_PAGE}" + (f"&cursor={quote(cursor)}" if cursor else ""), scope)
            if not isinstance(page.get("data"), list):
                raise self._strange(path)
            rows += page["data"]
            cursor = page.get("nextCursor") or ""
            if not cursor:
                return rows
        raise N8nError(f"n8n at {self.url} gives {path[1:]} in more than {_MOST_PAGES} pages of {_PAGE}: that has no end")

    def _object(self, method: str, path: str, scope: str, body: object = None) -> dict[str, Any]:
        answer = self._call(method, path, scope, body)
        if not isinstance(answer, dict):
            raise self._strange(path)
        return answer

    def _call(self, method: str, path: str, scope: str, body: object = None) -> Any:  # noqa: ANN401 - whatever JSON n8n answers
        answer = self._send(method, f"/api/v1{path}", body)
        if answer.is_success:
            try:
                return answer.json() if answer.content else None
            except (ValueError, RecursionError):
                raise self._strange(path) from None
        raise self._refusal(answer, method, path.partition("?")[0], scope)

    def _send(self, method: str, path: str, body: object) -> httpx.Response:
        try:
            with self._http.stream(method, path, json=body) as answer:
                content = self._measured(answer, f"{method} {path}")
        except httpx.TimeoutException:
            raise N8nAway(f"n8n at {self.url} took longer than {_TIMEOUT.read:.0f} s to answer {method} {path}") from None
        except httpx.RequestError as error:
            raise N8nAway(f"n8n at {self.url} does not answer: {error}; is it running, and is the address right?") from None
        told = {name: answer.headers[name] for name in ("content-type", "location") if name in answer.headers}
        return httpx.Response(answer.status_code, headers=told, content=content)

    def _measured(self, answer: httpx.Response, what: str) -> bytes:
        content = bytearray()
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > MOST_BYTES:
                raise N8nError(f"n8n at {self.url} answers {what} with more than {MOST_BYTES // 2**20} MiB: we read no further")
        return bytes(content)

    def _refusal(self, answer: httpx.Response, method: str, path: str, scope: str) -> N8nError:
        what, said = f"{method} {path}", _said(answer)
        match answer.status_code:
            case 401:
                return N8nForbidden(f"n8n at {self.url} does not know this API key (401): it may have expired or been deleted")
            case 403:
                return N8nForbidden(f"this API key may not do {what} (403): give it the scope {scope} in n8n's settings")
            case 404:
                if said:
                    return N8nNotThere(f"n8n has no such thing: {what}: {said}")
                # n8n mounts its routes some seconds after it accepts connections, and answers a page until then.
                return N8nAway(
                    f"n8n at {self.url} answers a page instead of its API (404): it is starting, or its API is switched off"
                )
            case 429 | 502 | 503 | 504:
                return N8nAway(f"n8n at {self.url} is busy or starting ({answer.status_code}); try again")
            case 301 | 302 | 307 | 308:
                said = f"sends us to {answer.headers.get('location', 'elsewhere')}: set that address, a key is not carried there"
        return N8nError(f"n8n refused {what} ({answer.status_code}): {said or 'without a word'}")

    def _strange(self, path: str) -> N8nAway:
        return N8nAway(f"what answers at {self.url}/api/v1{path.partition('?')[0]} is not n8n's API: is the address right?")


def _said(answer: httpx.Response) -> str:
    try:
        message = answer.json().get("message")
    except (ValueError, AttributeError):
        return ""
    return str(message or "")[:500]
