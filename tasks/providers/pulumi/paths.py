"""Pulumi's property paths: `tags.team`, `rules[0].port`, `tags["a.b"]`, `["root.key"]`."""

import json
import re
from collections.abc import Mapping

PropertyPath = tuple[str | int, ...]

_STEP = re.compile(r"""\.?([^.\[\]"]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\[(\*)\]""")
ABSENT = object()
"""What a path that leads nowhere leads to: not the same as null."""


def parse_path(text: str) -> PropertyPath:
    """The steps of a path; what cannot be read is one step, so that it names at least itself."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            return (text,)
        name, index, quoted, star = found.groups()
        steps.append(int(index) if index else json.loads(quoted) if quoted else name or star)
        at = found.end()
    return tuple(steps)


def show_path(path: PropertyPath) -> str:
    """As Pulumi writes it."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif re.fullmatch(r"[A-Za-z_$][\w$]*", step):
            shown += f".{step}" if shown else step
        else:
            shown += f"[{json.dumps(step)}]"
    return shown


def at_path(value: object, path: PropertyPath) -> object:
    """What lies there, or `ABSENT`."""
    for step in path:
        if isinstance(value, Mapping) and str(step) in value:
            value = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return ABSENT
    return value


def overlaps(one: PropertyPath, other: PropertyPath) -> bool:
    """Whether one lies in the other; `*` in either stands for any step."""
    return all(mine == theirs or "*" in (mine, theirs) for mine, theirs in zip(one, other, strict=False))
