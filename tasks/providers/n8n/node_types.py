"""The node types of somebody's own n8n, as `n8n export:nodes` writes them: which versions, which parameters, which defaults."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.model import Json
from tasks.providers.n8n.errors import WorkflowError

_ROUNDS = 3
"""A default may show a parameter whose default shows another; n8n's own nodes nest no deeper."""


@dataclass(frozen=True, slots=True)
class NodeType:
    """One node type in one version."""

    name: str
    version: float
    properties: Sequence[Mapping[str, Any]]

    def known(self) -> frozenset[str]:
        """Every parameter that it has, shown or not."""
        return frozenset(str(each["name"]) for each in self.properties)

    def shown(self, parameters: Mapping[str, Json]) -> list[Mapping[str, Any]]:
        """The properties that the editor shows for these values, defaults filled in."""
        filled = self._filled(parameters)
        return [each for each in self.properties if _visible(each, filled, self.version)]

    def without_defaults(self, parameters: Mapping[str, Json]) -> dict[str, Json]:
        """As the editor saves them: a plain value that equals its default is left out."""
        shown = self.shown(parameters)
        return {name: value for name, value in parameters.items() if not _is_default(shown, name, value)}

    def _filled(self, parameters: Mapping[str, Json]) -> dict[str, Any]:
        filled: dict[str, Any] = dict(parameters)
        for _ in range(_ROUNDS):
            for each in self.properties:
                if each["name"] not in filled and _visible(each, filled, self.version):
                    filled[each["name"]] = each.get("default")
        return filled


class NodeTypes:
    """All of them, by name and version."""

    def __init__(self, exported: Sequence[Mapping[str, Any]]) -> None:
        self._versions: dict[str, dict[float, NodeType]] = {}
        for each in exported:
            versions = each["version"] if isinstance(each["version"], list) else [each["version"]]
            for version in map(float, versions):
                kind = NodeType(each["name"], version, each.get("properties") or ())
                self._versions.setdefault(each["name"], {})[version] = kind

    def find(self, name: str, version: float) -> NodeType | None:
        return self._versions.get(name, {}).get(float(version))

    def versions(self, name: str) -> list[float]:
        """Oldest first; empty for a type that this n8n does not have."""
        return sorted(self._versions.get(name, {}))

    def __len__(self) -> int:
        return len(self._versions)


def load_node_types(path: Path) -> NodeTypes:
    """Reads what `n8n export:nodes --output=FILE` wrote. Raises `WorkflowError`."""
    try:
        return NodeTypes(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise WorkflowError(
            f"{path}: not the node types of an n8n; make them by `n8n export:nodes --output={path.name}`"
        ) from error


def _is_default(shown: Sequence[Mapping[str, Any]], name: str, value: Json) -> bool:
    if isinstance(value, Mapping | list):
        return False
    # `True == 1` in Python, and not in JSON.
    return any(
        each["name"] == name and each.get("default") == value and type(each.get("default")) is type(value) for each in shown
    )


def _visible(prop: Mapping[str, Any], parameters: Mapping[str, Any], version: float) -> bool:
    options = prop.get("displayOptions") or {}
    show, hide = options.get("show") or {}, options.get("hide") or {}

    def met(rules: Mapping[str, Any], key: str) -> bool:
        have = version if key == "@version" else parameters.get(key.removeprefix("/"))
        wanted = rules[key] if isinstance(rules[key], list) else [rules[key]]
        return any(_meets(each, have) for each in wanted)

    return all(met(show, key) for key in show) and not any(met(hide, key) for key in hide)


def _meets(wanted: object, have: Any) -> bool:  # noqa: ANN401 - a parameter's value may be anything
    if not (isinstance(wanted, Mapping) and "_cnd" in wanted):
        return bool(wanted == have)
    ((operator, value),) = wanted["_cnd"].items()
    match operator:
        case "eq":
            return bool(have == value)
        case "not":
            return bool(have != value)
        case "exists":
            return have is not None
        case "gte" | "gt" | "lte" | "lt" | "between" if isinstance(have, int | float):
            return _compares(operator, have, value)
        case _:
            # An operator that we do not judge shows the parameter: nothing of the user's is dropped for want of knowledge.
            return operator not in {"gte", "gt", "lte", "lt", "between"}


def _compares(operator: str, have: float, value: Any) -> bool:  # noqa: ANN401 - one number or two
    if operator == "between":
        return bool(value["from"] <= have <= value["to"])
    return bool({"gte": have >= value, "gt": have > value, "lte": have <= value, "lt": have < value}[operator])
