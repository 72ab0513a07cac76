"""Does the user's own n8n know these nodes? Says nothing without `--nodes`."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.model import Json
from tasks.providers.n8n.lint.rule import Find, View, rule
from tasks.providers.n8n.node_types import NodeType
from tasks.providers.n8n.workflow import Node


@rule(
    "unknown-node-type",
    "error",
    why="n8n imports it without a word and shows a question mark; the run fails there.",
    mend="Install the community package on that n8n, or use a node that it has.",
)
def _unknown_type(view: View) -> Iterator[Find]:
    for node in view.workflow.nodes:
        if view.types and not view.types.versions(node.type):
            yield node.name, f"this n8n has no {node.type}"


@rule(
    "unknown-node-version",
    "error",
    why="A version that this n8n does not have runs as another one, with other defaults.",
    mend="Use a version that it has, or upgrade n8n.",
)
def _unknown_version(view: View) -> Iterator[Find]:
    for node in view.workflow.nodes:
        versions = view.types.versions(node.type) if view.types else []
        if versions and node.version not in versions:
            yield node.name, f"this n8n has {node.type} in {', '.join(f'{each:g}' for each in versions)}, not in {node.version:g}"


@rule(
    "unknown-parameter",
    "warning",
    why="n8n keeps it and never reads it: the node does something else than the file says.",
    mend="Correct its name, or delete it.",
)
def _unknown_parameter(view: View) -> Iterator[Find]:
    for node, kind in _known(view):
        for name in sorted(node.parameters.keys() - kind.known()):
            yield node.name, f"{node.type} {node.version:g} has no parameter {name!r}"


@rule(
    "missing-parameter",
    "warning",
    why="The editor marks the node red and n8n refuses to run it.",
    mend="Fill it in.",
)
def _missing_parameter(view: View) -> Iterator[Find]:
    for node, kind in _known(view):
        for prop in kind.shown(node.parameters) if not node.disabled else ():
            value = node.parameters.get(prop["name"], prop.get("default"))
            if prop.get("required") and (
                value in ("", None) or (isinstance(value, Mapping) and value.get("value", ".") in ("", None))
            ):
                yield node.name, f"needs {prop['name']!r} ({prop.get('displayName', '')})"


@rule(
    "unknown-choice",
    "warning",
    why="The node knows no such choice: it fails, or does nothing.",
    mend="Choose one that it knows.",
)
def _unknown_choice(view: View) -> Iterator[Find]:
    for node, kind in _known(view):
        for prop in kind.shown(node.parameters):
            value = node.parameters.get(prop["name"])
            choices = _choices(prop)
            if (
                choices
                and isinstance(value, str | int | float)
                and not _computed(value)
                and value not in choices
                and _only(kind, prop)
            ):
                yield node.name, f"{prop['name']} is {value!r}; known: {', '.join(map(str, choices[:8]))}"


def _known(view: View) -> Iterator[tuple[Node, NodeType]]:
    for node in view.workflow.nodes:
        kind = view.types.find(node.type, node.version) if view.types else None
        if kind:
            yield node, kind


def _choices(prop: Mapping[str, Any]) -> list[Any]:
    if prop.get("type") != "options" or (prop.get("typeOptions") or {}).get("loadOptionsMethod"):
        return []
    return [each["value"] for each in prop.get("options") or () if "value" in each]


def _only(kind: NodeType, prop: Mapping[str, Any]) -> bool:
    # Some nodes have one name several times, for one resource each; which of them is meant is the node's own affair.
    return [each["name"] for each in kind.properties].count(prop["name"]) == 1


def _computed(value: Json) -> bool:
    return isinstance(value, str) and value.startswith("=")
