"""What the looks say about one property: it differs, it does not, or nobody knows. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.model import Json
from tasks.stacks import Look, PropertyChange, ResourceChange

WHOLE = ""
"""The path of a resource as a whole: it is to be made, or it is gone; or nobody says which of its properties differ."""
THERE, GONE = "there", "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One property of one resource in one look; `path` is `WHOLE` for the resource itself."""

    resource: ResourceChange
    change: PropertyChange

    @property
    def urn(self) -> str:
        return self.resource.urn

    @property
    def path(self) -> str:
        return self.change.path

    @property
    def key(self) -> str:
        return key(self.urn, self.path)

    @property
    def fingerprint(self) -> str:
        """Of the values: two looks agree on a difference if it is the same in both."""
        change = self.change
        told: Json = [self.resource.operation, change.kind, change.before, change.after, change.masked, change.fingerprint]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def key(urn: str, path: str) -> str:
    return f"{urn}#{path}"


def differences(changes: Iterable[ResourceChange]) -> tuple[Difference, ...]:
    """One for each property that differs; one for a resource that is made, gone, or differs nobody says where."""
    return tuple(found for change in changes for found in _of(change))


def by_key(found: Iterable[Difference]) -> dict[str, str]:
    """Fingerprints by key."""
    return {one.key: one.fingerprint for one in found}


def _of(resource: ResourceChange) -> Iterator[Difference]:
    match resource.operation:
        case "create":
            yield Difference(resource=resource, change=PropertyChange(path=WHOLE, kind="add", before=GONE, after=THERE))
        case "delete":
            yield Difference(resource=resource, change=PropertyChange(path=WHOLE, kind="delete", before=THERE, after=GONE))
        case _ if not resource.properties:
            yield Difference(resource=resource, change=PropertyChange(path=WHOLE, kind="update"))
        case _:
            yield from (Difference(resource=resource, change=change) for change in resource.properties)


def overlap(one: str, other: str) -> bool:
    """Whether a difference at one path says something about the other: the same, or one within the other."""
    short, long = sorted((one, other), key=len)
    return not short or long == short or long.startswith((f"{short}.", f"{short}["))


@dataclass(frozen=True, slots=True)
class Seen:
    """One look, asked about one property at a time. No look, a failed read, or a look cut short: unknown."""

    look: Look | None
    found: Mapping[str, Sequence[Difference]]
    failed: frozenset[str]
    seen: frozenset[str]

    @classmethod
    def of(cls, look: Look | None) -> "Seen":
        grouped: dict[str, list[Difference]] = {}
        for one in differences(look.changes) if look else ():
            grouped.setdefault(one.urn, []).append(one)
        failed = frozenset(failure.urn for failure in look.failed) if look else frozenset[str]()
        return cls(look, grouped, failed, frozenset(look.seen) if look else frozenset())

    def knows(self, urn: str) -> bool:
        """Whether the resource was looked at to the end."""
        if self.look is None or urn in self.failed:
            return False
        return self.look.complete or urn in self.seen or urn in self.found

    def at(self, urn: str, path: str) -> Difference | None:
        """The difference that says most about `path`."""
        fitting = [one for one in self.found.get(urn, ()) if overlap(one.path, path)]
        return min(fitting, key=lambda one: abs(len(one.path) - len(path)), default=None)

    def differs(self, urn: str, path: str) -> bool | None:
        """None: unknown."""
        if self.at(urn, path) is not None:
            return True
        return False if self.knows(urn) else None
