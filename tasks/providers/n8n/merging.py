"""Two people's changes to one workflow since a common base: joined where they touch different things, else told apart."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tasks.providers.n8n.reading import read_workflow
from tasks.providers.n8n.workflow import Link, Node, Workflow
from tasks.providers.n8n.writing import as_json

_Part = tuple[str, ...]
_ABSENT = object()
_NODE_FIELDS = tuple(each.name for each in fields(Node) if each.name != "id")


@dataclass(frozen=True, slots=True)
class Merged:
    """`workflow` is None if both changed the same thing: `clashes` says which."""

    workflow: Workflow | None
    clashes: tuple[str, ...] = ()


def merge(base: Workflow, ours: Workflow, theirs: Workflow) -> Merged:
    """Three-way, by node field, link, setting and tag."""
    was, mine, yours = _parts(base), _parts(ours), _parts(theirs)
    joined: dict[_Part, Any] = {}
    clashes: list[_Part] = []
    for part in {**mine, **yours, **was}:
        old, one, other = (each.get(part, _ABSENT) for each in (was, mine, yours))
        if one != other and old not in (one, other):
            clashes.append(part)
            continue
        value = other if one == old else one
        if value is not _ABSENT:
            joined[part] = value
    clashes += _half_deleted(joined)
    if clashes:
        return Merged(None, tuple(sorted({_told(part, base, ours, theirs) for part in clashes})))
    merged = _whole(joined, ours)
    # Once more through the reader: sorted as every file is.
    return Merged(replace(read_workflow(as_json(merged), where=merged.name), description=ours.description))


def _parts(workflow: Workflow) -> dict[_Part, Any]:
    ids = {node.name: node.id for node in workflow.nodes}
    parts: dict[_Part, Any] = {("name",): workflow.name, ("published",): workflow.published}
    parts |= {("setting", key): value for key, value in workflow.settings.items()}
    parts |= {("tag", tag): True for tag in workflow.tags}
    for node in workflow.nodes:
        parts |= {("node", node.id, name): getattr(node, name) for name in _NODE_FIELDS}
    for link in workflow.links:
        ends = (ids.get(link.source, link.source), ids.get(link.target, link.target))
        parts["link", *ends, link.kind, link.target_kind, str(link.output), str(link.input)] = True
    return parts


def _half_deleted(joined: Mapping[_Part, Any]) -> list[_Part]:
    """A node that one side deleted and the other changed, or a link to a node that is gone."""
    nodes: dict[str, set[str]] = {}
    for part in joined:
        if part[0] == "node":
            nodes.setdefault(part[1], set()).add(part[2])
    halves: list[_Part] = [("node", node, "") for node, found in nodes.items() if len(found) < len(_NODE_FIELDS)]
    return halves + [part for part in joined if part[0] == "link" and not {part[1], part[2]} <= nodes.keys()]


def _whole(joined: Mapping[_Part, Any], ours: Workflow) -> Workflow:
    given: dict[str, dict[str, Any]] = {}
    for part, value in joined.items():
        if part[0] == "node":
            given.setdefault(part[1], {})[part[2]] = value
    names = {node: each["name"] for node, each in given.items()}
    links = [
        Link(names[part[1]], part[3], int(part[5]), names[part[2]], int(part[6]), part[4]) for part in joined if part[0] == "link"
    ]
    return Workflow(
        name=joined["name",],
        nodes=tuple(Node(id=node, **each) for node, each in given.items()),
        links=tuple(links),
        settings={part[1]: value for part, value in joined.items() if part[0] == "setting"},
        tags=tuple(sorted(part[1] for part in joined if part[0] == "tag")),
        description=ours.description,
        published=joined["published",],
    )


def _told(part: _Part, *sides: Workflow) -> str:
    names = {node.id: node.name for side in sides for node in side.nodes}
    match part:
        case ("node", node, ""):
            return f"node {names.get(node, node)}: deleted on one side, changed on the other"
        case ("node", node, name):
            return f"node {names.get(node, node)}: {name}"
        case ("link", source, target, *_):
            return f"link {names.get(source, source)} → {names.get(target, target)}"
        case _:
            return " ".join(part)
