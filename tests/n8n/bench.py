"""A folder of three workflows, a real n8n with the credentials that they name, and the command line between them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from typer.testing import CliRunner

from tests.servers import N8nServer
from worker.cli import app
from worker.cli.refusals import told

MATERIAL = Path(__file__).parent / "material"
GATEWAY, WEBHOOK = "Nightshift gateway", "Nightshift webhook"


@dataclass(frozen=True, slots=True)
class Line:
    """`nightshift …` within this process, with variables of its own: a second less than a process each."""

    environ: Mapping[str, str]

    def __call__(self, *args: str, code: int = 0) -> str:
        """Standard output; when it must refuse without a word there, what it says on standard error."""
        result = CliRunner().invoke(app, args, env={**self.environ})
        out, exit_code = result.stdout, result.exit_code
        if isinstance(result.exception, Exception):
            refusal = told(result.exception)
            if refusal is None:
                raise result.exception
            out, exit_code = out + refusal[0], refusal[1]
        assert exit_code == code, f"exit {exit_code}, expected {code}\n{out}\n{result.stderr}"
        return out + result.stderr

    def json(self, *args: str, code: int = 0) -> Any:
        return json.loads(self(*args, "--json", code=code))

    def with_environ(self, **more: str) -> "Line":
        return Line({**self.environ, **more})


@dataclass(frozen=True, slots=True)
class Bench:
    """What the tests of workflows as code work on."""

    cli: Line
    n8n: N8nServer
    folder: Path
    elsewhere: Path
    """Not there yet."""

    def push(self, *options: str, code: int = 0) -> str:
        return self.cli("n8n", "push", str(self.folder), "--yes", *options, code=code)

    def held(self) -> dict[str, Any]:
        """Everything that a push could change in n8n, without times and version ids."""
        found = {}
        for raw in self.n8n.api("GET", "/workflows?limit=250")["data"]:
            live = raw["activeVersion"] or {}
            found[raw["id"]] = {
                **{key: raw[key] for key in ("name", "nodes", "connections", "settings", "isArchived")},
                "tags": sorted(tag["name"] for tag in raw["tags"]),
                "live": {key: live.get(key) for key in ("nodes", "connections")},
                "live is draft": raw["activeVersionId"] == raw["versionId"],
            }
        return {"workflows": found, "tags": sorted(tag["name"] for tag in self.n8n.api("GET", "/tags")["data"])}

    def raw(self, slug: str) -> dict[str, Any]:
        """One workflow as n8n's API gives it."""
        name = slug.replace("example_", "Example / ", 1).replace("_", " ")
        rows = self.n8n.api("GET", "/workflows?limit=250")["data"]
        (found,) = [raw for raw in rows if raw["name"].lower() == name.lower() or raw["id"] == slug]
        return dict(found)

    def save_in_editor(self, slug: str, edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """As the canvas saves a draft: nothing is published."""
        raw = self.raw(slug)
        edit(raw)
        body = {key: raw[key] for key in ("name", "nodes", "connections", "settings")}
        with self.n8n.as_owner() as owner:
            answer = owner.patch(f"/rest/workflows/{raw['id']}", json={**body, "versionId": raw["versionId"]})
            assert answer.is_success, answer.text
        return raw


def node_of(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """One node of a workflow, to be changed in place."""
    (found,) = [node for node in raw["nodes"] if node["name"] == name]
    return cast("dict[str, Any]", found)


def texts(folder: Path) -> dict[str, str]:
    """Name to content of the workflow files of a folder."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*.json")) if not path.name.startswith(".")}
