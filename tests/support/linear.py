"""A Linear of our own on loopback: teams, issues, comments and attachments, executed against the schema that Linear publishes.

A document, a variable or an answer that the schema does not know ends the test.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from graphql import DocumentNode, GraphQLError, GraphQLScalarType, GraphQLSchema, build_schema, execute_sync, parse, validate

_ROOT = Path(__file__).parents[2]
_FILE = (
    Path(os.environ.get("NIGHTSHIFT_CONFORMANCE_DATA", _ROOT.parent / "shared" / "data")) / "contracts" / "linear.full.graphql"
)
NO_SCHEMA = f"Linear's schema is not there ({_FILE.name}); NIGHTSHIFT_CONFORMANCE_DATA names its folder"
HAVE_SCHEMA = _FILE.is_file()
TOKEN = "lin_api_canary_5b1e"
TEAM = "11111111-1111-4111-8111-111111111111"
STATES = {
    "triage": "State 0", "backlog": "Backlog", "unstarted": "Todo", "started": "In Progress",
    "completed": "Done", "canceled": "Canceled", "duplicate": "Duplicate",
}  # fmt: skip
Row = dict[str, Any]


@cache
def schema() -> GraphQLSchema:
    """Linear's, whole. graphql-core takes anything for a scalar of a schema's own, so each gets its own check."""
    made = build_schema(_FILE.read_text(), assume_valid=True)
    for kind in made.type_map.values():
        if isinstance(kind, GraphQLScalarType) and kind.name in _SCALARS:
            kind.parse_value = kind.serialize = _SCALARS[kind.name]  # type: ignore[method-assign,assignment]
    return made


@cache
def _checked(query: str) -> tuple[DocumentNode, list[str]]:
    """The document, and what the schema does not know of it."""
    document = parse(query)
    return document, [str(fault) for fault in validate(schema(), document)]


def _instant(value: object) -> object:
    if not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is None:
        raise GraphQLError(f"not a DateTime: {value!r}")
    return value


def _json_object(value: object) -> object:
    if not isinstance(value, Mapping):
        raise GraphQLError(f"not a JSONObject: {value!r}")
    return value


_SCALARS: Mapping[str, Callable[[object], object]] = {"DateTime": _instant, "JSONObject": _json_object}


@dataclass
class LinearServer:
    """Change what it answers at any time."""

    port: int = 0
    issues: dict[str, Row] = field(default_factory=dict)
    comments: dict[str, Row] = field(default_factory=dict)
    attachments: dict[tuple[str, str], Row] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    """Names of the operations that arrived."""
    violations: list[str] = field(default_factory=list)
    broken: dict[str, Callable[[bytes], tuple[int, Mapping[str, str], bytes] | None]] = field(default_factory=dict)
    """By operation: what is answered once it was carried out, in place of the answer; None: nothing, ever."""
    refused: dict[str, tuple[int, Mapping[str, str], Row]] = field(default_factory=dict)
    """By operation, or `*`: what is answered instead of carrying it out: status, headers, extensions of the error."""
    page: int = 250
    state_types: dict[str, str] = field(default_factory=lambda: {name: name for name in STATES})
    """What a state says that it is, by what it is."""
    released: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    def only(self) -> Row:
        """The one issue that there is."""
        (issue,) = self.issues.values()
        return issue

    def said(self) -> list[str]:
        """The comments, oldest first."""
        return [row["body"] for row in self.comments.values()]

    def state(self) -> str:
        """Of the one issue."""
        return str(self.only()["state"])

    def writes(self) -> list[str]:
        return [call for call in self.calls if call not in ("Team", "Standing")]

    def answer(self, query: str, variables: Row) -> Row:
        document, faults = _checked(query)
        self.violations += faults
        if faults:
            return {"errors": [{"message": fault, "extensions": {"type": "graphql error"}} for fault in faults]}
        result = execute_sync(schema(), document, root_value=_Root(self), variable_values=variables)
        for error in result.errors or ():
            if not isinstance(error.original_error, _Said):
                self.violations.append(str(error))
        return {"data": result.data, **({"errors": [_error(one) for one in result.errors]} if result.errors else {})}

    def shown(self, row: Row) -> Row:
        def comments(_: object, filter: Row | None = None, **__: object) -> Row:  # noqa: A002 - Linear's name
            wanted = (filter or {}).get("id", {}).get("eq")
            return _connection([one for one in self.comments.values() if one["issue"] == row["id"] and one["id"] == wanted])

        def attachments(_: object, first: int = 50, after: str | None = None, **__: object) -> Row:
            mine = [one for (issue, _), one in self.attachments.items() if issue == row["id"]]
            start, size = int(after or 0), min(first, self.page)
            return _connection(mine[start : start + size], str(start + size) if start + size < len(mine) else None)

        return {**row, "state": self.workflow_state(row["state"]), "comments": comments, "attachments": attachments}

    def workflow_state(self, kind: str) -> Row:
        return {"id": f"state-{kind}", "name": STATES[kind], "type": self.state_types[kind], "position": _position(kind)}

    def number(self) -> int:
        return next(self._numbers)


def _position(kind: str) -> float:
    return float(list(STATES).index(kind))


class _Said(Exception):  # noqa: N818 - what Linear says on purpose
    def __init__(self, message: str, **extensions: object) -> None:
        super().__init__(message)
        self.extensions = extensions


def _error(error: GraphQLError) -> Row:
    told = error.original_error.extensions if isinstance(error.original_error, _Said) else {"type": "invalid input"}
    return {"message": error.message, "extensions": told}


def _connection(nodes: list[Row], end: str | None = None) -> Row:
    return {"nodes": nodes, "pageInfo": {"hasNextPage": end is not None, "hasPreviousPage": False, "endCursor": end}}


@dataclass
class _Root:
    """The resolvers of what we say."""

    server: LinearServer

    def teams(self, _: object, filter: Row, **__: object) -> Row:  # noqa: A002
        states = lambda *_, **__: _connection([self.server.workflow_state(kind) for kind in reversed(STATES)])  # noqa: E731
        team = {"id": TEAM, "key": "OPS", "states": states}
        return _connection([team] if filter["key"]["eq"] == "OPS" else [])

    def issues(self, _: object, filter: Row, includeArchived: bool = False, **__: object) -> Row:  # noqa: A002, FBT001, FBT002, N803
        row = self.server.issues.get(filter["id"]["eq"])
        hidden = row is None or row.get("deleted") or (row["archivedAt"] and not includeArchived)
        return _connection([] if hidden or row is None else [self.server.shown(row)])

    def issueCreate(self, _: object, input: Row) -> Row:  # noqa: A002, N802
        _free(input["id"], self.server.issues)
        if input["teamId"] != TEAM:
            raise _Said("team not found", type="invalid input")
        number = self.server.number()
        kept = {name: input[name] for name in ("id", "title", "description", "priority")}
        row = {**kept, "identifier": f"OPS-{number}", "state": "backlog", "trashed": None, "archivedAt": None}
        self.server.issues[row["id"]] = row
        return {"success": True, "lastSyncId": 1.0, "issue": self.server.shown(row)}

    def issueUpdate(self, _: object, id: str, input: Row) -> Row:  # noqa: A002, N802
        row = self._issue(id)
        if "stateId" in input:
            row["state"] = input["stateId"].removeprefix("state-")
        row |= {name: input[name] for name in ("title", "description", "priority") if name in input}
        return {"success": True, "lastSyncId": 1.0}

    def issueUnarchive(self, _: object, id: str) -> Row:  # noqa: A002, N802
        self._issue(id).update(archivedAt=None, trashed=None)
        return {"success": True, "lastSyncId": 1.0}

    def commentCreate(self, _: object, input: Row) -> Row:  # noqa: A002, N802
        self._issue(input["issueId"])
        _free(input["id"], self.server.comments)
        self.server.comments[input["id"]] = {"id": input["id"], "issue": input["issueId"], "body": input["body"]}
        return {"success": True, "lastSyncId": 1.0}

    def commentUpdate(self, _: object, id: str, input: Row) -> Row:  # noqa: A002, N802
        self.server.comments[id]["body"] = input["body"]
        return {"success": True, "lastSyncId": 1.0}

    def attachmentCreate(self, _: object, input: Row) -> Row:  # noqa: A002, N802
        self._issue(input["issueId"])
        if not all(isinstance(value, str | int | float) for value in input["metadata"].values()):
            raise _Said("metadata takes texts and numbers", type="invalid input")
        kept = {name: input[name] for name in ("url", "title", "subtitle", "metadata")}
        self.server.attachments[input["issueId"], input["url"]] = kept
        return {"success": True, "lastSyncId": 1.0}

    def _issue(self, issue_id: str) -> Row:
        if issue_id not in self.server.issues:
            raise _Said("Entity not found: Issue", type="invalid input")
        return self.server.issues[issue_id]


def _free(given: str, taken: Mapping[str, object]) -> None:
    if UUID(given).version != 4 or str(UUID(given)) != given:
        raise _Said("id must be a UUID v4", type="invalid input")
    if given in taken:
        raise _Said("Entity with this id already exists", type="invalid input", userPresentableMessage="already there")


@contextmanager
def linear_server() -> Iterator[LinearServer]:
    """Whoever leaves it learns of every exchange that the schema does not allow."""
    server = LinearServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = body["query"].split("{")[0].split("(")[0].split()[1]
            server.calls.append(name)
            if self.headers["authorization"] != TOKEN:
                self._say(400, {}, _refusal({"type": "authentication error", "code": "AUTHENTICATION_ERROR"}))
                return
            if refusal := server.refused.get(name) or server.refused.get("*"):
                status, headers, extensions = refusal
                self._say(status, headers, _refusal(extensions))
                return
            content = json.dumps(server.answer(body["query"], body.get("variables") or {})).encode()
            if name in server.broken:
                said = server.broken[name](content)
                if said is None:
                    server.released.wait()
                    return
                self._say(*said)
                return
            self._say(200, {}, content)

        def _say(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            self.send_response(status)
            for header, value in {"content-type": "application/json; charset=utf-8", **headers}.items():
                self.send_header(header, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            listening.shutdown()
            thread.join()
    assert server.violations == []


def _refusal(extensions: Row) -> bytes:
    return json.dumps({"errors": [{"message": "no", "extensions": extensions}]}).encode()
