"""From the normal form to what one n8n takes: its ids for names, and nothing that its API would refuse."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.model import Json
from tasks.providers.n8n.gateway import IN_FILES, moved
from tasks.providers.n8n.instance import Instance
from tasks.providers.n8n.reading import CONDUCT_DEFAULTS, SETTINGS, UNSET
from tasks.providers.n8n.workflow import REFERENCE, Node, Workflow, called
from tasks.providers.n8n.writing import connections_json, node_json

_API_NODE_KEYS = {"id", "name", "webhookId", "type", "typeVersion", "position", "parameters", "credentials", *CONDUCT_DEFAULTS}
# What every workflow has on a new n8n without anybody having said so.
_ALWAYS: Mapping[str, Json] = {"callerPolicy": "workflowsFromSameOwner", "availableInMCP": False}


@dataclass(frozen=True, slots=True)
class Ids:
    """What names stand for in one n8n."""

    workflows: Mapping[str, str]
    """By slug."""
    credentials: Mapping[tuple[str, str], str]
    """By type and name."""
    gateway: str = IN_FILES
    """Where its workflows reach the gateway."""


def bind(workflow: Workflow, ids: Ids, had: Mapping[str, Json]) -> dict[str, Any]:
    """The body of POST and PUT. `had`: the settings that n8n has now."""
    nodes = []
    for node in workflow.nodes:
        body: dict[str, Any] = node_json(node)
        if node.credentials:
            body["credentials"] = {
                kind: {"id": ids.credentials.get((kind, name)), "name": name} for kind, name in node.credentials.items()
            }
        body["parameters"] = moved(node.type, _bound(node, ids.workflows), IN_FILES, ids.gateway)
        nodes.append(body)
    settings = {**_ALWAYS, **_unset(had, workflow.settings), **_bound_settings(workflow.settings, ids.workflows)}
    return {"name": workflow.name, "nodes": nodes, "connections": connections_json(workflow.links), "settings": settings}


def as_it_was(raw: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The body that puts a workflow back as `raw`, where it has the settings `now`."""
    nodes = [{key: value for key, value in node.items() if key in _API_NODE_KEYS} for node in raw["nodes"]]
    settings = {key: value for key, value in (raw.get("settings") or {}).items() if key in SETTINGS}
    return {
        "name": raw["name"],
        "nodes": nodes,
        "connections": raw["connections"],
        "settings": {**_unset(now, settings), **settings},
    }


def cannot_unset(wanted: Mapping[str, Json], had: Mapping[str, Json]) -> list[str]:
    """Settings that n8n has and the file has not, and that its API has no word for."""
    return [key for key in SETTINGS if key in had and key not in wanted and key not in UNSET]


def missing_credentials(workflow: Workflow, instance: Instance) -> Iterator[str]:
    """One sentence for each credential that n8n could not link for certain. Disabled nodes need none."""
    for node in workflow.nodes:
        for kind, name in node.credentials.items() if not node.disabled else ():
            same = [each.id for each in instance.credentials if (each.type, each.name) == (kind, name)]
            where = f"{workflow.slug}: node {node.name}"
            if not name:
                yield f"{where}: the credential of type {kind} has no name: choose one in n8n, or name it in the file"
            elif not same:
                other = sorted({each.type for each in instance.credentials if each.name == name})
                hint = f" (there is one of type {', '.join(other)})" if other else ""
                yield f"{where}: n8n has no credential {name!r} of type {kind}{hint}: create it in n8n, with exactly this name"
            elif len(same) > 1:
                ids = ", ".join(same)
                yield f"{where}: n8n has {len(same)} credentials {name!r} of type {kind} ({ids}): rename or delete all but one"


def _bound(node: Node, ids: Mapping[str, str]) -> Mapping[str, Json]:
    if called(node) is None:
        return node.parameters
    given = node.parameters["workflowId"]
    if isinstance(given, Mapping):
        return {**node.parameters, "workflowId": {**given, "value": _id(str(given["value"]), ids)}}
    return {**node.parameters, "workflowId": _id(str(given), ids)}


def _bound_settings(settings: Mapping[str, Json], ids: Mapping[str, str]) -> dict[str, Json]:
    bound = dict(settings)
    if "errorWorkflow" in bound:
        bound["errorWorkflow"] = _id(str(bound["errorWorkflow"]), ids)
    if "callerIds" in bound:
        bound["callerIds"] = ",".join(_id(each, ids) for each in str(bound["callerIds"]).split(","))
    return bound


def _id(value: str, ids: Mapping[str, str]) -> str:
    return ids[value.removeprefix(REFERENCE)] if value.startswith(REFERENCE) else value


def _unset(had: Mapping[str, Json], wanted: Mapping[str, Json]) -> dict[str, Json]:
    return {key: UNSET[key] for key in had if key in UNSET and key not in wanted}
