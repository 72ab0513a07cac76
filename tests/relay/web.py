"""A real HTTP server on loopback that answers as n8n does, one scripted answer after the other."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.listening import Asked, listening


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    said: str = ""
    content_type: str = "application/json"
    owed: int = 0
    """So many bytes more are promised, and never come."""


SILENT = Answer(0)
"""Takes the request, and hangs up."""
RESUMED = Answer(200, '{"message": "Workflow was started"}')
RUNNING = Answer(409, '{"message": "The execution \\"7\\" is running already."}')
TWICE = Answer(500, '{"message": "There was a problem executing the workflow"}')
BROKEN = Answer(500, '{"code": 0, "message": "Cannot read properties of undefined (reading \'pop\')"}')
STARTING = Answer(404, "<!DOCTYPE html><pre>Cannot POST /webhook-waiting/7</pre>", "text/html")
MIGRATING = Answer(200, "n8n is starting up. Please wait", "text/html; charset=utf-8")
PRUNED = Answer(404, '{"message": "The execution \\"7\\" does not exist."}')
OVER = Answer(
    404, '{"message": "The workflow for execution \\"7\\" does not contain a waiting webhook with a matching path/method."}'
)
WRONG_TOKEN = Answer(401, '{"message": "Invalid token"}')
FINISHED = Answer(409, '{"message": "The execution \\"7 has finished already."}')
CRASHED = Answer(409, '{"message": "The execution \\"7\\" has finished with error."}')


@dataclass(frozen=True)
class Sent:
    """One request as it came; names of headers in lower case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Waiting:
    """A Wait node's resume URL; the last answer is given for ever."""

    port: int = 0
    answers: list[Answer] = field(default_factory=lambda: [RESUMED])
    got: list[Any] = field(default_factory=list)
    """Bodies, as JSON where there is one."""
    sent: list[Sent] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook-waiting/7?signature=bearer-canary"


@contextmanager
def waiting() -> Iterator[Waiting]:
    node = Waiting()

    def take(asked: Asked, body: bytes) -> None:
        node.sent.append(Sent({name.lower(): text for name, text in asked.headers.items()}, body))
        node.got.append(json.loads(body) if body else None)
        answer = node.answers.pop(0) if len(node.answers) > 1 else node.answers[0]
        if answer == SILENT:
            asked.close_connection = True
        else:
            asked.give(answer.status, {"content-type": answer.content_type}, answer.said.encode(), owed=answer.owed)

    with listening(take) as node.port:
        yield node
