"""States in Pulumi Cloud, or a server that speaks its REST API: `https://api.pulumi.com`.

Shapes: https://www.pulumi.com/docs/pulumi-cloud/reference/cloud-rest-api/ and `sdk/go/common/apitype` of the CLI.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from tasks.model import Json
from tasks.providers.pulumi.backends.reading import Checkpoint, missing, refused, unreachable
from tasks.stacks import Listed, Lock, Stack

_TIMEOUT = httpx.Timeout(30, connect=10)
_PAGES = 1000
"""A server that gives a next page for ever is broken."""


@dataclass(frozen=True, slots=True)
class CloudBackend:
    """`StateReader` of Pulumi Cloud. Its states are given without secrets decrypted."""

    url: str
    token: str

    def listed(self) -> Sequence[Listed]:
        found: list[Listed] = []
        query: dict[str, str] = {}
        for _ in range(_PAGES):
            said = self._get("/api/user/stacks", query) or {}
            found += [
                Listed(organization=str(one["orgName"]), project=str(one["projectName"]), name=str(one["stackName"]))
                for one in _list(said, "stacks")
            ]
            following = said.get("continuationToken")
            if not following:
                return sorted(found, key=lambda stack: stack.full_name)
            query = {"continuationToken": str(following)}
        raise unreachable(self.url, f"more than {_PAGES} pages of stacks")

    def checkpoint(self, stack: Stack) -> Checkpoint:
        said = self._get(f"{_path(stack)}/export")
        if said is None:
            raise missing(stack, self.url)
        # Two exports of one state need not be equal byte by byte; the same JSON is the same state.
        content = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        return Checkpoint(content=content, updated_at=None)

    def lock(self, stack: Stack) -> Lock | None:
        """An update that is running: Pulumi Cloud leases instead of locking, and knows no host and no process."""
        said = self._get(_path(stack)) or {}
        running = said.get("currentOperation")
        if not said.get("activeUpdate") or not isinstance(running, Mapping):
            return None
        started = running.get("started")
        since = (
            datetime.fromtimestamp(float(started), UTC) if isinstance(started, int | float) else datetime.fromtimestamp(0, UTC)
        )
        return Lock(user=str(running.get("author", "")), host="", pid=0, since=since, path=str(said["activeUpdate"]))

    def last_update(self, stack: Stack) -> Mapping[str, Json]:
        said = self._get(f"{_path(stack)}/updates/latest") or {}
        info = said.get("info")
        return info if isinstance(info, Mapping) else said

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Json] | None:
        """None: there is no such thing."""
        headers = {"Authorization": f"token {self.token}", "Accept": "application/vnd.pulumi+8"}
        try:
            answer = httpx.get(self.url.rstrip("/") + path, params=query, headers=headers, timeout=_TIMEOUT)
        except httpx.HTTPError as error:
            raise unreachable(self.url, type(error).__name__) from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise refused(self.url, f"HTTP {answer.status_code}")
        try:
            said = answer.json() if answer.is_success else None
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise unreachable(self.url, f"HTTP {answer.status_code}, not the JSON that was asked for")
        return said


def _path(stack: Stack) -> str:
    return f"/api/stacks/{stack.organization}/{stack.project}/{stack.name}"


def _list(said: Mapping[str, Json], name: str) -> Sequence[Mapping[str, Json]]:
    found = said.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
