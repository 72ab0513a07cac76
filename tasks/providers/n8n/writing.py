"""The normal form as text: the one way a workflow is written in git."""

import json

from tasks.model import Json
from tasks.providers.n8n.reading import CONDUCT_DEFAULTS
from tasks.providers.n8n.workflow import Link, Node, Workflow


def render(workflow: Workflow) -> str:
    """The file. Two workflows that are equal give the same bytes."""
    return json.dumps(as_json(workflow), indent=2, ensure_ascii=False) + "\n"


def as_json(workflow: Workflow) -> dict[str, Json]:
    """The file's object, in the order of its keys."""
    out: dict[str, Json] = {"name": workflow.name}
    if workflow.description:
        out["description"] = workflow.description
    if workflow.tags:
        out["tags"] = list(workflow.tags)
    if not workflow.published:
        out["active"] = False
    out["settings"] = {key: workflow.settings[key] for key in sorted(workflow.settings)}
    out["nodes"] = [node_json(node) for node in workflow.nodes]
    out["connections"] = connections_json(workflow.links)
    return out


def node_json(node: Node) -> dict[str, Json]:
    """One node. A credential's id is null and never absent: n8n links one without an id to the first of its type."""
    out: dict[str, Json] = {
        "name": node.name,
        "id": node.id,
        "type": node.type,
        "typeVersion": node.version,
        "position": list(node.position),
    }
    out |= {key: node.conduct[key] for key in CONDUCT_DEFAULTS if key in node.conduct}
    if node.webhook_id:
        out["webhookId"] = node.webhook_id
    if node.credentials:
        out["credentials"] = {kind: {"id": None, "name": name} for kind, name in node.credentials.items()}
    out["parameters"] = node.parameters
    return out


def connections_json(links: tuple[Link, ...]) -> dict[str, Json]:
    """As n8n nests them: source, kind, output, list of targets."""
    nested: dict[str, dict[str, list[list[Json]]]] = {}
    for link in links:
        outputs = nested.setdefault(link.source, {}).setdefault(link.kind, [])
        while len(outputs) <= link.output:
            outputs.append([])
        outputs[link.output].append({"node": link.target, "type": link.target_kind, "index": link.input})
    return {source: dict(kinds) for source, kinds in nested.items()}
