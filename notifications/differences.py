"""What differs between what should be, what was last known and what is, read from a finding's evidence. Pure.

A job tells it as `evidence["changes"]`, a list of objects with `name`, `type`, `path`, `kind` (`add`, `update` or `delete`, as
the world did it), `desired`, `last_known`, `actual`, `secret`, `why` and `in_cloud` (false: the world was not asked). A finding
that has only `desired` and `actual` is one difference.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Literal

from notifications.render import one_line

SECRET = "(secret)"  # noqa: S105 - stands for one
_BEFORE = 24
"""So much of what two long texts have in common is shown before they part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One property of one resource, its values as a person reads them. An empty one is not there, or not known."""

    resource: str = ""
    type: str = ""
    path: str = ""
    """Empty: the resource as a whole."""
    kind: Literal["add", "update", "delete"] = "update"
    desired: str = ""
    last_known: str = ""
    actual: str = ""
    why: str = ""
    looked_at: bool = True
    """False: only the program and the last known state were compared."""


def differences(desired: object, actual: object, evidence: Mapping[str, object], limit: int) -> list[Difference]:
    """In the order of the evidence, each value cut to about `limit` characters, around where they part."""
    told = evidence.get("changes")
    changes = (
        [one for one in told if isinstance(one, Mapping)] if isinstance(told, Sequence) and not isinstance(told, str) else []
    )
    if changes:
        return [_difference(one, limit) for one in changes]
    if desired is None and actual is None:
        return []
    if isinstance(desired, Mapping) and isinstance(actual, Mapping):
        return list(_members(desired, actual, limit))
    return [_difference({"desired": desired, "actual": actual}, limit)]


def since(evidence: Mapping[str, object]) -> datetime | None:
    """When it was first seen as it is now, if the evidence says."""
    try:
        at = datetime.fromisoformat(str(evidence.get("since")))
    except ValueError:
        return None
    return at if at.tzinfo else None


def diff_text(found: Sequence[Difference], most: int) -> str:
    """As lines of a diff: from what should be to what is."""
    lines = [line for one in found[:most] for line in _lines(one)]
    return "\n".join([*lines, f"and {len(found) - most} more"] if len(found) > most else lines)


def _lines(one: Difference) -> Iterator[str]:
    yield f"  {one.resource} {one.path}".rstrip() + (f" ({one.type})" if one.type else "")
    if one.desired:
        yield f"- desired: {one.desired}"
    if one.last_known and one.last_known != one.desired:
        yield f"  last known: {one.last_known}"
    if one.looked_at:
        yield f"+ actual: {one.actual or 'nothing'}"


def _members(desired: Mapping[str, object], actual: Mapping[str, object], limit: int) -> Iterator[Difference]:
    for path in sorted({*desired, *actual}):
        if desired.get(path) != actual.get(path):
            kind = "add" if path not in desired else "delete" if path not in actual else "update"
            yield _difference({"path": path, "kind": kind, "desired": desired.get(path), "actual": actual.get(path)}, limit)


def _difference(change: Mapping[str, object], limit: int) -> Difference:
    kind = change.get("kind")
    secret = bool(change.get("secret"))
    texts = [SECRET if secret else _text(change.get(name)) for name in ("desired", "last_known", "actual")]
    desired, last_known, actual = _around(texts, limit)
    return Difference(
        resource=one_line(str(change.get("name") or ""), limit),
        type=one_line(str(change.get("type") or ""), limit),
        path=one_line(str(change.get("path") or ""), limit),
        kind="add" if kind == "add" else "delete" if kind == "delete" else "update",
        desired=desired,
        last_known=last_known,
        actual=actual,
        why=one_line(str(change.get("why") or ""), limit),
        looked_at=bool(change.get("in_cloud", True)),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _around(texts: Sequence[str], limit: int) -> list[str]:
    """Each of them in one line; long ones from shortly before the place where they part."""
    lines = [one_line(text, len(text)) if text else "" for text in texts]
    if max(map(len, lines)) <= limit:
        return lines
    there = [line for line in lines if line]
    parts = next((at for at, letters in enumerate(zip_longest(*there)) if len(set(letters)) > 1), 0)
    start = max(0, parts - _BEFORE)
    return [one_line(("…" if start else "") + line[start:], limit) if line else "" for line in lines]
