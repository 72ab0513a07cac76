"""How differences, states and plans look."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.model import Json
from tasks.providers.n8n.difference import Change
from tasks.providers.n8n.secrets import masked
from worker.cli.printing import clean, say

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "renamed": "~", "moved": "→", "reordered": "↕"}
_SHOWN = 100


def say_changes(changes: Sequence[Change]) -> None:
    """One line each, indented; what no run can tell comes last."""
    for change in sorted(changes, key=lambda each: each.cosmetic):
        say(f"    {line(change)}")


def line(change: Change) -> str:
    """One difference on one line, secrets masked."""
    values = {
        "added": _value(change.after),
        "removed": _value(change.before),
    }.get(change.kind, f"{_value(change.before)} → {_value(change.after)}")
    told = f": {values}" if values and (change.before is not None or change.after is not None) else ""
    return clean(f"{_SIGNS[change.kind]} {change.where}{told}" + (" (no run can tell)" if change.cosmetic else ""))


def change_json(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "where": change.where,
        "before": _masked(change.before),
        "after": _masked(change.after),
        "cosmetic": change.cosmetic,
    }


def _value(value: Json) -> str:
    text = masked(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).replace("\n", "⏎")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _masked(value: Json) -> Json:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: _masked(each) for key, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list) else value
