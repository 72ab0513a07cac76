"""What the fake cloud offers: its types, their properties, and what differs between two of an object's property maps. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Any
PACKAGE = "fakecloud"
VERSIONS = ("1.0.0", "1.1.0")
OUTPUTS = ("endpoint", "lastSeen", "etag")
"""Made by the cloud; the last two are the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One input property of every type."""

    name: str
    kind: str | Mapping[str, Json] = "string"
    replaces: bool = False
    """The object must be made anew to change it."""
    secret: bool = False
    """The provider knows that it is one."""
    write_only: bool = False
    """The cloud never gives it back: a change of it is blind."""
    since: str = VERSIONS[0]
    default: Json = None
    """Filled in by Check of the provider of version `since` and later."""

    def schema(self) -> dict[str, Json]:
        kind = {"type": self.kind} if isinstance(self.kind, str) else dict(self.kind)
        return {**kind, **({"secret": True} if self.secret else {}), **({"willReplaceOnChanges": True} if self.replaces else {})}


RULE = "#/types/fakecloud:index:Rule"
PROPERTIES = {
    one.name: one
    for one in (
        Property(name="size", kind="number"),
        Property(name="label"),
        Property(name="enabled", kind="boolean"),
        Property(name="zone", replaces=True),
        Property(name="tags", kind={"type": "object", "additionalProperties": {"type": "string"}}),
        Property(name="rules", kind={"type": "array", "items": {"$ref": RULE}}),
        Property(name="password", secret=True),
        Property(name="note", write_only=True),
        Property(name="tier", since=VERSIONS[1], default="standard"),
    )
}
TYPES = tuple(f"{PACKAGE}:index:{name}" for name in ("Server", "Database", "Firewall", "Bucket", "Queue"))


def known(version: str) -> list[Property]:
    """The properties that a provider of that version knows."""
    return [one for one in PROPERTIES.values() if one.since <= version]


def schema(version: str) -> str:
    """What `GetSchema` answers."""
    inputs = {one.name: one.schema() for one in known(version)}
    one_type = {"inputProperties": inputs, "properties": {**inputs, **{name: {"type": "string"} for name in OUTPUTS}}}
    rule = {"type": "object", "properties": {"port": {"type": "number"}, "cidr": {"type": "string"}}}
    account, token = {"type": "string"}, {"type": "string", "secret": True}
    return json.dumps(
        {
            "name": PACKAGE,
            "version": version,
            "config": {"variables": {"account": account, "token": token}},
            "provider": {"inputProperties": {"account": account, "token": token}},
            "types": {"fakecloud:index:Rule": rule},
            "resources": dict.fromkeys(TYPES, one_type),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One property path whose value is another in `news`."""

    path: str
    kind: Literal["add", "delete", "update"]
    replaces: bool


def differences(olds: Mapping[str, Json], news: Mapping[str, Json], version: str, ignored: Sequence[str]) -> list[Difference]:
    """What differs among the properties that `version` knows; `ignored` are the paths of `ignoreChanges`."""
    found: list[Difference] = []
    for one in known(version):
        for path, kind in walk(one.name, olds.get(one.name), news.get(one.name)):
            if not any(path == left or path.startswith((f"{left}.", f"{left}[")) for left in ignored):
                found.append(Difference(path=path, kind=kind, replaces=one.replaces))
    return found


def walk(path: str, old: Json, new: Json) -> Iterator[tuple[str, Literal["add", "delete", "update"]]]:
    """The paths at which two values differ, and how."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from walk(f"{path}.{key}" if key.isidentifier() else f'{path}["{key}"]', old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from walk(f"{path}[{index}]", *(side[index] if index < len(side) else None for side in (old, new)))
    else:
        yield path, "add" if old is None else "delete" if new is None else "update"
