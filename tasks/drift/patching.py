"""The change of a YAML program that says what the cloud already is. Whatever is not a plain value is left to its author."""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from tasks.drift.classes import Classified
from tasks.drift.sets import WHOLE
from tasks.model import Json
from tasks.stacks import Stack

_PROGRAM = "Pulumi.yaml"
_PART = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)')


def patch(stack: Stack, found: Sequence[Classified]) -> str | None:
    """A unified diff of the program; None unless all of `found` can be said by it."""
    source = stack.source
    if source is None or source.git_url is not None:
        return None
    try:
        text = (Path(source.path) / _PROGRAM).read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    spans = [_span(root, one) for one in found]
    edits = [span for span in spans if span is not None]
    if not edits or len(edits) != len(spans):
        return None
    changed = text
    for start, end, value in sorted(edits, reverse=True):
        changed = f"{changed[:start]}{value}{changed[end:]}"
    lines = difflib.unified_diff(text.splitlines(), changed.splitlines(), f"a/{_PROGRAM}", f"b/{_PROGRAM}", lineterm="")
    return "\n".join(lines) or None


def _span(root: yaml.Node | None, one: Classified) -> tuple[int, int, str] | None:
    """Where the program says the value, and what it would say instead."""
    if one.masked or one.path == WHOLE or one.kind != "update" or isinstance(one.actual, (dict, list)):
        return None
    node = root
    for step in ("resources", one.resource.name, "properties", *parts(one.path)):
        node = _child(node, step)
    if not isinstance(node, yaml.ScalarNode) or "${" in node.value:
        return None
    return node.start_mark.index, node.end_mark.index, _written(one.actual)


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    match node, step:
        case yaml.MappingNode(), str():
            return next((value for name, value in node.value if name.value == step), None)
        case yaml.SequenceNode(), int() if step < len(node.value):
            found = node.value[step]
            return found if isinstance(found, yaml.Node) else None
        case _:
            return None


def parts(path: str) -> list[str | int]:
    """Of `tags["a.b"].rules[0]`: `tags`, `a.b`, `rules`, 0."""
    return [int(index) if index else quoted or name for quoted, index, name in _PART.findall(path)]


def _written(value: Json) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
