"""A real n8n with every shipped workflow published, and a real gateway and worker that it calls."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from tests.cli.conftest import Cli, Instance, clean_environ, start
from tests.n8n.bench import GATEWAY, WEBHOOK, Line
from tests.servers import N8nServer
from tests.servers.process import free_port
from tests.support.waiting import until
from worker.tokens import hash_pin

SHIPPED = Path(__file__).parents[2] / "n8n_workflows"
PIN = "482915"
WORD = "of-the-webhook-alone"
ESTATE = """\
[environments.production]
mode = "execute"

[defaults]
environment = "production"

[[command]]
name = "hello"
argv = ["sh", "-c", "echo the door is open; exit 2"]

[[command]]
name = "fine"
argv = ["true"]

[[command]]
name = "leak"
argv = ["false"]

[[certificates]]
name = "nobody"
host = "127.0.0.1"
port = 1

[[drift]]
name = "nowhere"
backend = "file:///nonexistent/states"
project = "shop"
stack = "prod"

[[canvas]]
name = "n8n"
url = "{n8n}"
api_key = "env:OPERATORS_KEY"
folder = "{folder}"
tag = "nightshift"
gateway_url = "{gateway}"
"""
PEOPLE = """\
[[person]]
name = "ana"
email = "ana@example.test"
roles = {{ "*" = ["operator"] }}
pin_hash = "{pin_hash}"
"""
POLICY = """\
[policy]
version = 1
default = "deny"

[[rule]]
name = "gates"
jobs = ["ask"]
actions = ["gate"]
environments = ["production"]
approvers = 1
"""
Items = list[dict[str, Any]]


@dataclass
class Stage:
    """Canvas, gateway and worker, as an operator has them after the first boot."""

    n8n: N8nServer
    instance: Instance
    folder: Path
    api: httpx.Client
    """With n8n's own token."""
    ana: httpx.Client
    """With ana's token."""

    def id_of(self, name: str) -> str:
        rows = self.n8n.api("GET", "/workflows?limit=250")["data"]
        (found,) = [row["id"] for row in rows if row["name"] == f"Nightshift / {name}"]
        return str(found)

    def run(self, workflow_id: str, trigger: str = "Run by hand") -> str:
        """As a person does on the canvas; the execution's id."""
        with self.n8n.as_owner() as owner:
            body = {"triggerToStartFrom": {"name": trigger}}
            answer = owner.post(f"/rest/workflows/{workflow_id}/run", json=body)
            assert answer.is_success, answer.text
            return str(answer.json()["data"]["executionId"])

    def call(self, name: str, items: Sequence[Mapping[str, Any]]) -> str:
        """Call a sub-workflow with these items; the execution's id."""
        made = self.n8n.api("POST", "/workflows", _caller(self.id_of(name), items))
        return self.run(made["id"])

    def webhook(self, path: str, body: object = None, word: str = WORD) -> httpx.Response:
        """Call a published webhook; n8n mounts it a moment after it says that it is ready."""

        def called() -> httpx.Response | None:
            headers = {"X-Nightshift-Webhook": word}
            answer = httpx.post(f"{self.n8n.url}/webhook/{path}", json=body, headers=headers, timeout=60, trust_env=False)
            return None if answer.status_code == httpx.codes.NOT_FOUND else answer

        return until(f"the webhook {path} is mounted", called)

    def execution(self, execution_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.n8n.api("GET", f"/executions/{execution_id}?includeData=true")
        return found

    def ended(self, execution_id: str) -> dict[str, Any]:
        """The execution, once it is over; fails unless it succeeded."""

        def over() -> bool:
            found = self.n8n.api("GET", f"/executions/{execution_id}")
            return found["finished"] or found["status"] in ("error", "crashed", "canceled")

        until(f"execution {execution_id} ends", over)
        found = self.execution(execution_id)
        assert found["status"] == "success", json.dumps(found["data"]["resultData"].get("error"))[:2000]
        return found

    def out(self, execution_id: str, node: str) -> Items:
        """What a node gave at last, on whichever output."""
        return items_of(self.ended(execution_id), node)

    def newest(self, name: str, known: Sequence[str] = ()) -> str:
        """The execution of a workflow that is not among the known ones, once there is one."""
        return until(f"{name} is run", lambda: next(iter(set(self.executions(name)) - set(known)), None))

    def executions(self, name: str) -> list[str]:
        rows = self.n8n.api("GET", f"/executions?workflowId={self.id_of(name)}&limit=250")["data"]
        return [str(row["id"]) for row in rows]

    def findings(self, subject: str) -> Items:
        rows: Items = self.ana.get("/v1/findings").json()["findings"]
        return [row for row in rows if row["subject"] == subject]

    def subscribe(self, path: str, event: str) -> None:
        """As the note on the workflow says."""
        body = {"url": f"{self.n8n.url}/webhook/{path}", "events": [event], "word": WORD}
        answer = self.api.post("/v1/subscriptions", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text

    def edit(self, name: str, node: str, **parameters: object) -> None:
        """As the canvas saves a draft."""
        raw = self.n8n.api("GET", f"/workflows/{self.id_of(name)}")
        for each in raw["nodes"]:
            each["parameters"] |= parameters if each["name"] == node else {}
        body = {key: raw[key] for key in ("name", "nodes", "connections", "settings", "versionId")}
        with self.n8n.as_owner() as owner:
            answer = owner.patch(f"/rest/workflows/{raw['id']}", json=body)
            assert answer.is_success, answer.text

    def call_by_webhook_and_fail(self) -> None:
        """A workflow of somebody's that names the error workflow, published, called, and broken."""
        nodes = [
            node("Called", "webhook", 2.1, 0, path="test/fails", httpMethod="POST"),
            node("Fails", "stopAndError", 1, 240, errorMessage="it broke"),
        ]
        settings = {"executionOrder": "v1", "errorWorkflow": self.id_of("Error handler")}
        body = {"name": "Test / Fails", "nodes": nodes, "connections": in_a_row(nodes), "settings": settings}
        made = self.n8n.api("POST", "/workflows", body)
        self.n8n.api("POST", f"/workflows/{made['id']}/activate", {})
        self.webhook("test/fails")

    def pending(self, subject: str) -> dict[str, Any]:
        """The request about it that waits for a person."""

        def asked() -> dict[str, Any] | None:
            rows = self.ana.get("/v1/approvals?state=pending").json()["approvals"]
            return next((row for row in rows if row["subject"] == subject), None)

        return until(f"people are asked about {subject}", asked)

    def decide(self, subject: str, choice: str, reason: str = "as I said") -> dict[str, Any]:
        """Ana says it, with her PIN."""
        asked = self.pending(subject)
        body = {"choice": choice, "digest": asked["digest"], "pin": PIN, "reason": reason}
        answer = self.ana.post(f"/v1/approvals/{asked['id']}/decisions", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return asked


def items_of(execution: dict[str, Any], node: str) -> Items:
    runs = execution["data"]["resultData"]["runData"][node]
    return [item["json"] for output in runs[-1]["data"]["main"] for item in output or ()]


@contextmanager
def open_stage(n8n: N8nServer, folder: Path, *, bare: bool = False, estate: str = "") -> Iterator[Stage]:
    """`n8n` must be empty. The files are those that ship, unless it is bare; `estate` are tables more."""
    home, workflows = folder / "home", folder / "workflows"
    home.mkdir(mode=0o700)
    workflows.mkdir()
    for file in () if bare else SHIPPED.glob("*.json"):
        shutil.copy(file, workflows)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (home / "estate.toml").write_text(ESTATE.format(n8n=n8n.url, folder=workflows, gateway=url) + estate)
    (home / "people.toml").write_text(PEOPLE.format(pin_hash=hash_pin(PIN)))
    (home / "policy.toml").write_text(POLICY)
    ours = {"OPERATORS_KEY": n8n.api_key, "NIGHTSHIFT_N8N_API_KEY": "env:OPERATORS_KEY", "NIGHTSHIFT_N8N_URL": n8n.url}
    cli = Cli(home, {**clean_environ(home), **ours, "NIGHTSHIFT_N8N_GATEWAY_URL": url})
    instance = start(cli, "--port", str(port))
    try:
        token = cli.json("token", "create", "canvas", "--role", "n8n")["token"]
        n8n.add_credential(GATEWAY, "Authorization", f"Bearer {token}")
        n8n.add_credential(WEBHOOK, "X-Nightshift-Webhook", WORD)
        if not bare:
            Line(cli.environ)("n8n", "push", str(workflows), "--yes")
        with _client(url, token) as api, _client(url, cli.json("token", "create", "--person", "ana")["token"]) as ana:
            yield Stage(n8n, instance, workflows, api, ana)
    finally:
        if instance.process.poll() is None:
            instance.end()


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)


def _caller(workflow_id: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By hand → these items → one call with all of them."""

    names = sorted({name for item in items for name in item})
    values = {name: f"={{{{ $json.{name} }}}}" for name in names}
    inputs = {"mappingMode": "defineBelow", "schema": [], "matchingColumns": [], "value": values}
    nodes = [
        node("Run by hand", "manualTrigger", 1, 0),
        node("Items", "set", 3.4, 240, mode="raw", jsonOutput=json.dumps({"items": items}), options={}),
        node("Each", "splitOut", 1, 480, fieldToSplitOut="items", options={}),
        node("Call", "executeWorkflow", 1.3, 720, options={"waitForSubWorkflow": True}, workflowInputs=inputs,
             workflowId={"__rl": True, "mode": "id", "value": workflow_id}),
    ]  # fmt: skip
    return {"name": "Test / Caller", "nodes": nodes, "connections": in_a_row(nodes), "settings": {"executionOrder": "v1"}}


def node(name: str, kind: str, version: float, across: int, **parameters: object) -> dict[str, Any]:
    base = {"id": name, "name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version}
    return {**base, "position": [across, 0], "parameters": parameters}


def in_a_row(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    order = [each["name"] for each in nodes]
    return {a: {"main": [[{"node": b, "type": "main", "index": 0}]]} for a, b in pairwise(order)}
