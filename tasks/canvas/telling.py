"""What differs, as lines that people read. No secrets: what looks like one is masked."""

import json
from collections.abc import Iterator, Sequence

from tasks.model import Json
from tasks.providers.n8n.difference import Change
from tasks.providers.n8n.secrets import masked

_LONGEST_VALUE = 120
_MOST_TOLD = 100


def line(change: Change) -> str:
    """One difference in one line."""
    return f"{change.kind} {change.where}: {short(change.before)} → {short(change.after)}"


def diff_lines(changes: Sequence[Change]) -> Iterator[str]:
    """For a simulation: what is there in red, what would be there in green."""
    for change in changes[:_MOST_TOLD]:
        yield f"~ {change.kind} {change.where}"
        if change.before is not None:
            yield f"-   {short(change.before)}"
        if change.after is not None:
            yield f"+   {short(change.after)}"
    if len(changes) > _MOST_TOLD:
        yield f"  and {len(changes) - _MOST_TOLD} more"


def short(value: Json) -> str:
    """A value, cut where it gets long."""
    text = masked(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) if value is not None else "nothing"
    text = text.replace("\n", "⏎")
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
