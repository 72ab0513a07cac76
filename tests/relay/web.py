"""A real HTTP server on loopback that answers as n8n does, one scripted answer after the other."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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
STARTING = Answer(404, "<!DOCTYPE html><pre>Cannot POST /webhook-waiting/7</pre>", "text/html")
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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            node.sent.append(Sent({name.lower(): text for name, text in self.headers.items()}, body))
            node.got.append(json.loads(body) if body else None)
            answer = node.answers.pop(0) if len(node.answers) > 1 else node.answers[0]
            if answer == SILENT:
                self.close_connection = True
                return
            said = answer.said.encode()
            self.send_response(answer.status)
            self.send_header("content-type", answer.content_type)
            self.send_header("content-length", str(len(said) + answer.owed))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        node.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield node
        finally:
            listening.shutdown()
            thread.join()
