"""What a rule is, and what it looks at."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tasks.providers.n8n.node_types import NodeTypes
from tasks.providers.n8n.workflow import Link, Node, Workflow

Level = Literal["error", "warning"]
Find = tuple[str, str]
"""Where in the workflow (a node, a setting; empty: the whole), and what is wrong there."""


@dataclass(frozen=True, slots=True)
class View:
    """One file, and what it stands among."""

    path: Path
    raw: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)
    workflow: Workflow
    others: Mapping[str, Workflow]
    """Every workflow of the folder by slug, this one included."""
    types: NodeTypes | None
    whole_folder: bool
    """False: one file alone, so that a missing neighbour says nothing."""

    def of(self, *kinds: str) -> Iterator[Node]:
        """Nodes of these kinds that are not switched off."""
        return (node for node in self.workflow.nodes if node.kind in kinds and not node.disabled)

    def after(self, name: str) -> list[Link]:
        return [link for link in self.workflow.links if link.source == name]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An error breaks something or gives something away, and stops a push; a warning may be meant."""

    code: str
    level: Level
    why: str
    mend: str
    look: Callable[[View], Iterator[Find]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remark:
    """One find of one rule."""

    file: Path
    where: str
    rule: Rule
    says: str


RULES: dict[str, Rule] = {}
"""By code."""


def rule(code: str, level: Level, *, why: str, mend: str) -> Callable[[Callable[[View], Iterator[Find]]], None]:
    """Registers the function beneath it."""

    def register(look: Callable[[View], Iterator[Find]]) -> None:
        assert code not in RULES, code
        RULES[code] = Rule(code, level, why, mend, look)

    return register


def strings(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, with the way to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from strings(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from strings(each, f"{path}[{index}]")
