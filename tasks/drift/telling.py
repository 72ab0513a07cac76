"""How differences read: in a title, as a line of a diff, as evidence. Never the value of a secret. Pure."""

import json
import shlex
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from tasks.drift.classes import Classified
from tasks.drift.sets import WHOLE
from tasks.model import Json
from tasks.stacks import Stack

SECRET = "(secret)"  # noqa: S105 - stands for one
_VALUE_LIMIT, _SHOWN = 40, 3
_MOST_CHANGES = 50
_VALUE_KEPT = 2000


def shown_url(url: str) -> str:
    """Without the password that it may hold."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


def listed(names: Sequence[str], shown: int = _SHOWN) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def short(value: Json) -> str:
    """A value in a title."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = " ".join(text.split())
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 1]}…"


def moved(one: Classified) -> str:
    """`size 1 → 9`, `tags.team added`; what the program's side wants where the cloud did not move."""
    if one.path == WHOLE:
        return {"add": "to be made", "delete": "gone", "update": "differs, nobody says where"}[one.kind]
    if one.masked:
        return f"{one.path} differs {SECRET}"
    if one.kind != "update":
        return f"{one.path} {'added' if one.kind == 'add' else 'removed'}"
    return f"{one.path} {short(one.last_known)} → {short(one.actual if one.in_cloud else one.desired)}"


def kind_of(one: Classified) -> str:
    """The last part of the type: `Bucket` of `aws:s3/bucket:Bucket`."""
    return one.resource.type.rpartition(":")[2]


def what_differs(found: Sequence[Classified]) -> str:
    """All of it in one line: of one resource what moved, of several how many and which."""
    names = list(dict.fromkeys(one.resource.name for one in found))
    urns = {one.urn for one in found}
    alike = list(dict.fromkeys(moved(one) for one in found))
    if len(urns) == 1:
        return f"{names[0]} ({kind_of(found[0])}): {listed(alike)}"
    if all(one.gone for one in found):
        return f"{len(urns)} resources are gone: {listed(names)}"
    return f"{len(urns)} resources ({listed(names)}): {listed(alike)}"


def changes(found: Sequence[Classified]) -> list[Json]:
    """As evidence, for the page's diff: desired, last known, actual."""
    return [_change(one) for one in found[:_MOST_CHANGES]]


def desired_and_actual(found: Sequence[Classified]) -> tuple[Json, Json]:
    """The finding's own pair: the values of one property, else by `name.path`."""
    if len(found) == 1:
        return _told(found[0], found[0].desired), _told(found[0], found[0].actual)
    shown = found[:_MOST_CHANGES]
    desired: dict[str, Json] = {_name(one): _told(one, one.desired) for one in shown}
    actual: dict[str, Json] = {_name(one): _told(one, one.actual) for one in shown}
    return desired, actual


def by_hand(stack: Stack, *, program: bool = False) -> str:
    """The line with which a person looks again. Pulumi refuses outside of a program's folder."""
    source = stack.source
    where = f"cd {shlex.quote(str(source.path))} && " if source is not None and source.git_url is None else ""
    verb = ["preview", "--refresh"] if program else ["refresh", "--preview-only"]
    argv = ["pulumi", *verb, "--diff", "--non-interactive", "--stack", stack.full_name]
    return f"{where}PULUMI_BACKEND_URL={shlex.quote(shown_url(stack.backend.url))} {shlex.join(argv)}"


def _name(one: Classified) -> str:
    return f"{one.resource.name}.{one.path}".rstrip(".")


def _change(one: Classified) -> dict[str, Json]:
    return {
        "urn": one.urn,
        "name": one.resource.name,
        "type": one.resource.type,
        "path": one.path,
        "kind": one.kind,
        "desired": _told(one, one.desired),
        "last_known": _told(one, one.last_known),
        "actual": _told(one, one.actual),
        "secret": one.masked,
        "why": one.because,
        "in_cloud": one.in_cloud,
    }


def _told(one: Classified, value: Json) -> Json:
    if one.masked:
        return SECRET
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= _VALUE_KEPT else f"{text[:_VALUE_KEPT]}…"
