"""Workflows of a user's own that start a run and wait for its result, and a server that counts who went past the Wait."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.n8n.bench import GATEWAY
from tests.n8n.stage import Stage, in_a_row, node
from tests.support.waiting import until

KEY = "=n8n/{{ $workflow.id }}/{{ $execution.id }}/start/{{ $runIndex }}"
BACK = "$execution.resumeUrl + '/results'"
Node = dict[str, Any]


@dataclass
class Counter:
    """Keeps what was posted to it; the work that a workflow does with a result."""

    url: str = ""
    posts: list[Mapping[str, Any]] = field(default_factory=list)
    more: threading.Condition = field(default_factory=threading.Condition)

    def reached(self, number: int, timeout: float) -> bool:
        """Whether there were so many posts within the time."""
        with self.more:
            return self.more.wait_for(lambda: len(self.posts) >= number, timeout)


@contextmanager
def counting() -> Iterator[Counter]:
    counter = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with counter.more:
                counter.posts.append(said)
                counter.more.notify_all()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        counter.url = f"http://127.0.0.1:{listening.server_address[1]}/"
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield counter
        finally:
            listening.shutdown()
            thread.join()


def start(stage: Stage, body: str, *, name: str = "Start", key: str = KEY) -> Node:
    """Posts this JavaScript object to the gateway, with the credential that ships."""
    made = post(name, f"{str(stage.api.base_url).rstrip('/')}/v1/runs", body)
    made["parameters"] |= {
        "authentication": "genericCredentialType",
        "genericAuthType": "httpHeaderAuth",
        "sendHeaders": True,
        "headerParameters": {"parameters": [{"name": "Idempotency-Key", "value": key}]},
    }
    return {**made, "credentials": {"httpHeaderAuth": {"id": None, "name": GATEWAY}}}


def post(name: str, url: str, body: str) -> Node:
    """Posts this JavaScript object."""
    said = f"={{{{ JSON.stringify({body}) }}}}"
    sent = {"sendBody": True, "specifyBody": "json", "jsonBody": said, "options": {"timeout": 30_000}}
    return node(name, "httpRequest", 4.4, 240, method="POST", url=url, **sent)


def wait(name: str = "Wait", suffix: str = "results") -> Node:
    made = node(name, "wait", 1.1, 480, resume="webhook", httpMethod="POST", options={"webhookSuffix": suffix})
    return {**made, "webhookId": f"test-{name}-{suffix}".replace(" ", "-")}


def by_hand() -> Node:
    return node("Run by hand", "manualTrigger", 1, 0)


def by_webhook(path: str) -> Node:
    return node("Called", "webhook", 2.1, 0, path=path, httpMethod="POST")


def made(stage: Stage, name: str, nodes: Sequence[Node], connections: Mapping[str, Any] | None = None) -> str:
    """The workflow's id; one node after the other unless told."""
    settings = {"executionOrder": "v1"}
    body = {"name": f"Test / {name}", "nodes": nodes, "connections": connections or in_a_row(nodes), "settings": settings}
    return str(stage.n8n.api("POST", "/workflows", body)["id"])


def waits(stage: Stage, execution_id: str) -> dict[str, Any]:
    """The execution, once its Wait is stored."""

    def look() -> dict[str, Any] | None:
        found = stage.execution(execution_id)
        return found if found["status"] == "waiting" else None

    return until(f"execution {execution_id} waits", look)


def resume_url(stage: Stage, execution: Mapping[str, Any], suffix: str = "results") -> str:
    """What `$execution.resumeUrl` was."""
    token = execution["data"]["resumeToken"]
    return f"{stage.n8n.url}/webhook-waiting/{execution['id']}/{suffix}?signature={token}"


def callback_of(stage: Stage, batch_id: str) -> dict[str, Any] | None:
    """What became of the result of this batch so far."""
    rows: list[dict[str, Any]] = stage.api.get(f"/v1/deliveries?kind=callback&subject={batch_id}").json()["deliveries"]
    return rows[0] if rows else None


def told(stage: Stage, batch_id: str, *states: str) -> dict[str, Any]:
    """The delivery of this batch, once it is in one of these states."""

    def look() -> dict[str, Any] | None:
        row = callback_of(stage, batch_id)
        return row if row and row["state"] in states else None

    return until(f"the result of {batch_id} is {' or '.join(states)}", look, more=lambda: f"it is {callback_of(stage, batch_id)}")
