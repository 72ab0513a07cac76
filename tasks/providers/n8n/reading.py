"""Any export of a workflow to its normal form: from the editor, the command line, the API, or our own files."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from tasks.model import Json
from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.gateway import IN_FILES, moved
from tasks.providers.n8n.node_types import NodeTypes
from tasks.providers.n8n.workflow import REFERENCE, Link, Node, Workflow, slug

GRID = 16
"""Pixels. The canvas of n8n 2 moves every node onto this grid when it saves, away from zero."""
# What n8n's public API takes (openapi.yml of 2.15.1); anything else cannot be carried from one n8n to another.
SETTINGS = (
    "availableInMCP", "callerIds", "callerPolicy", "errorWorkflow", "executionOrder", "executionTimeout",
    "saveDataErrorExecution", "saveDataSuccessExecution", "saveExecutionProgress", "saveManualExecutions",
    "timeSavedPerExecution", "timezone",
)  # fmt: skip
# What n8n takes for "not set", and what it stores when nobody set it. Only these can be unset again over its API.
UNSET: Mapping[str, Json] = {
    "availableInMCP": False, "callerIds": "", "callerPolicy": "workflowsFromSameOwner", "errorWorkflow": "DEFAULT",
    "executionTimeout": -1, "saveExecutionProgress": False, "timezone": "DEFAULT",
}  # fmt: skip
CONDUCT_DEFAULTS: Mapping[str, Json] = {
    "disabled": False, "notes": "", "notesInFlow": False, "executeOnce": False, "alwaysOutputData": False, "retryOnFail": False,
    "maxTries": None, "waitBetweenTries": None, "continueOnFail": False, "onError": "stopWorkflow",
}  # fmt: skip
_NODE_KEYS = {"name", "id", "type", "typeVersion", "position", "parameters", "credentials", "webhookId", *CONDUCT_DEFAULTS}
_HAS_WEBHOOK = {"webhook", "wait", "form", "formTrigger", "chatTrigger", "mcpTrigger"}
_OURS = uuid.UUID("5b0a6c7e-2f0e-5c1d-9d53-7a7e6b1f3c11")
"""The namespace of ids that we make up for nodes without one, so that the same file always gets the same."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the ids of one n8n, or of one folder of exports, stand for."""

    workflows: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    gateway: str = IN_FILES
    """Where its workflows reach the gateway."""


NO_NAMES = Names()


def read_workflow(raw: object, *, where: str, names: Names = NO_NAMES, types: NodeTypes | None = None) -> Workflow:
    """The normal form. Reading what `render` wrote gives the same again. Raises `WorkflowError` with `where` in it."""
    if not isinstance(raw, Mapping):
        raise WorkflowError(f"{where}: not a workflow: the file must hold one JSON object")
    for key, kind, told in (("name", str, "text"), ("nodes", list, "a list"), ("connections", dict, "an object")):
        if not isinstance(raw.get(key), kind) or raw[key] == "":
            raise WorkflowError(f"{where}: not a workflow: `{key}` must be {told}")
    _refuse_other_forms(raw, where)
    try:
        return _read(raw, where, names, types)
    except RecursionError as error:
        raise WorkflowError(f"{where}: something in it is nested too deep") from error


def _refuse_other_forms(raw: Mapping[str, Any], where: str) -> None:
    if not isinstance(raw.get("settings") or {}, Mapping):
        raise WorkflowError(f"{where}: `settings` must be an object")
    tags = raw.get("tags") or []
    if not isinstance(tags, list) or any(isinstance(tag, Mapping) and "name" not in tag for tag in tags):
        raise WorkflowError(f"{where}: `tags` must be a list of names, or of objects with a `name`")


def _read(raw: Mapping[str, Any], where: str, names: Names, types: NodeTypes | None) -> Workflow:
    name = str(raw["name"])
    nodes = tuple(_node(each, f"{where}: node {number}", slug(name), names, types) for number, each in enumerate(raw["nodes"], 1))
    settings = _settings(raw.get("settings") or {}, names)
    read = Workflow(
        name=name,
        nodes=tuple(sorted(nodes, key=lambda node: (node.position, node.name, node.id))),
        links=_links(raw["connections"], where, in_order=settings.get("executionOrder") != "v1"),
        settings=settings,
        tags=tuple(sorted({_tag(tag) for tag in raw.get("tags") or ()})),
        description=str(raw.get("description") or ""),
    )
    return replace(read, published=raw.get("active") is not False or not read.can_be_published)


def on_grid(pixels: float) -> int:
    """Where the canvas would put it."""
    steps = -(-abs(round(pixels)) // GRID)
    return int(steps * GRID if pixels >= 0 else -steps * GRID)


def _node(raw: object, where: str, workflow: str, names: Names, types: NodeTypes | None) -> Node:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("name"), str) or not isinstance(raw.get("type"), str):
        raise WorkflowError(f"{where}: must be an object with a `name` and a `type`")
    name, kind = raw["name"], raw["type"]
    position = raw.get("position") or (0, 0)
    if not _two_numbers(position):
        raise WorkflowError(f"{where} ({name}): `position` must be two numbers")
    version = raw.get("typeVersion", 1)
    if not isinstance(version, int | float) or isinstance(version, bool):
        raise WorkflowError(f"{where} ({name}): `typeVersion` must be a number")
    parameters = raw.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise WorkflowError(f"{where} ({name}): `parameters` must be an object")
    if not isinstance(raw.get("credentials") or {}, Mapping):
        raise WorkflowError(f"{where} ({name}): `credentials` must be an object")
    known = types.find(kind, version) if types else None
    parameters = known.without_defaults(parameters) if known else parameters
    return Node(
        name=name,
        id=str(raw.get("id") or uuid.uuid5(_OURS, f"{workflow}/{name}")),
        type=kind,
        version=int(version) if version == int(version) else float(version),
        position=(on_grid(position[0]), on_grid(position[1])),
        parameters=_ordered(_named(moved(kind, parameters, names.gateway, IN_FILES), names)),
        credentials=_credentials(raw.get("credentials") or {}, names),
        conduct={key: raw[key] for key, default in CONDUCT_DEFAULTS.items() if key in raw and raw[key] != default},
        webhook_id=raw.get("webhookId") or _webhook_id(kind, workflow, name),
    )


def _two_numbers(position: object) -> TypeGuard[Sequence[float]]:
    return isinstance(position, Sequence) and len(position) == len("xy") and all(isinstance(at, int | float) for at in position)


def _webhook_id(kind: str, workflow: str, name: str) -> str | None:
    # n8n would make up another one at each push.
    return str(uuid.uuid5(_OURS, f"{workflow}/{name}/webhook")) if kind.rpartition(".")[2] in _HAS_WEBHOOK else None


def _credentials(raw: Mapping[str, Json], names: Names) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, given in raw.items():
        if isinstance(given, Mapping):
            # The name beside an id is what it was called when the node was saved; the id counts.
            known = names.credentials.get(str(given.get("id")))
            found[kind] = known or str(given.get("name") or "")
        else:
            found[kind] = str(given or "")
    return dict(sorted(found.items()))


def _named(parameters: Mapping[str, Json], names: Names) -> Mapping[str, Json]:
    given = parameters.get("workflowId")
    if isinstance(given, Mapping) and isinstance(given.get("value"), str):
        value = str(given["value"])
        if value.startswith("="):
            return parameters
        # Whether it was picked from the list or typed is the editor's affair; so is the name that it remembers.
        return {**parameters, "workflowId": {"__rl": True, "mode": "id", "value": _reference(value, names)}}
    if isinstance(given, str) and given:
        return {**parameters, "workflowId": _reference(given, names)}
    return parameters


def _reference(value: str, names: Names) -> str:
    known = names.workflows.get(value)
    return f"{REFERENCE}{slug(known)}" if known else value


def _settings(raw: Mapping[str, Json], names: Names) -> dict[str, Json]:
    kept = {key: raw[key] for key in SETTINGS if key in raw and raw[key] not in (None, "DEFAULT") and raw[key] != UNSET.get(key)}
    if isinstance(kept.get("errorWorkflow"), str):
        kept["errorWorkflow"] = _reference(str(kept["errorWorkflow"]), names)
    if isinstance(kept.get("callerIds"), str):
        kept["callerIds"] = ",".join(sorted(_reference(each.strip(), names) for each in str(kept["callerIds"]).split(",")))
    return kept


def _links(raw: Mapping[str, Any], where: str, *, in_order: bool) -> tuple[Link, ...]:
    try:
        found = list(_each_link(raw))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WorkflowError(f"{where}: `connections` is not as n8n writes it") from error
    # Execution order v0 runs siblings in the order of the list; v1 by their place on the canvas.
    return tuple(found) if in_order else tuple(sorted(found))


def _each_link(raw: Mapping[str, Any]) -> Iterable[Link]:
    for source in sorted(raw):
        kinds = raw[source]
        if not isinstance(kinds, Mapping):
            raise TypeError(source)
        for kind in sorted(kinds):
            for output, targets in enumerate(kinds[kind] or ()):
                for target in targets or ():
                    yield Link(source, kind, output, target["node"], int(target.get("index", 0)), target.get("type", "main"))


def _tag(raw: object) -> str:
    return str(raw["name"]) if isinstance(raw, Mapping) else str(raw)


def _ordered(value: Mapping[str, Json]) -> dict[str, Json]:
    return {key: _sorted(value[key]) for key in sorted(value)}


def _sorted(value: Json) -> Json:
    if isinstance(value, Mapping):
        return _ordered(value)
    if isinstance(value, list):
        return [_sorted(each) for each in value]
    return value
