"""How much of a stack a look can see at all: "94 % of properties observable". Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.drift.sets import WHOLE, Seen
from tasks.model import Json
from tasks.stacks import Look, State, StateResource

# A dynamic provider that does not hand inputs back, and a command, answer every read with what they were told before.
_NEVER_READ = ("pulumi-python:dynamic", "pulumi-nodejs:dynamic", "command:")
_PROVIDERS = "pulumi:providers:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Inputs of resources that have something in a cloud behind them."""

    observable: int
    properties: int
    blind: tuple[str, ...]
    """`URN#path` of what cannot be seen, or the URN of a whole resource."""

    @property
    def fraction(self) -> float:
        return self.observable / self.properties if self.properties else 1.0

    def __str__(self) -> str:
        # Never rounded up to all of it.
        percent = int(self.fraction * 100)
        return f"{percent} % of {self.properties} properties observable"

    def facts(self) -> dict[str, Json]:
        """As evidence."""
        return {
            "observable": self.observable,
            "properties": self.properties,
            "percent": round(self.fraction * 100, 1),
            "blind": list(self.blind[:50]),
            "blind_count": len(self.blind),
        }


def looked_for(state: State) -> tuple[StateResource, ...]:
    """Resources that D reads: no components, no providers, nothing that the stack only refers to."""
    return tuple(one for one in state.resources if one.custom and not one.external and not one.type.startswith(_PROVIDERS))


def blind(state: State) -> Iterator[tuple[StateResource, str, str]]:
    """What no look can see: resource, path, and why."""
    for resource in looked_for(state):
        if resource.type.startswith(_NEVER_READ):
            yield resource, WHOLE, "its provider does not read it back"
        else:
            for path in resource.ignored:
                yield resource, path, "`ignoreChanges` hides it from Pulumi"


def coverage(state: State, d: Look) -> Coverage:
    """Of one look. What D compared by itself under `ignoreChanges` (`hidden`) was observed."""
    seen = Seen.of(d)
    compared = {(change.urn, one.path) for change in d.hidden for one in change.properties}
    hidden = {(resource.urn, path) for resource, path, _ in blind(state)} - compared
    observable = properties = 0
    for resource in looked_for(state):
        names = resource.inputs or (WHOLE,)
        properties += len(names)
        if seen.knows(resource.urn) and (resource.urn, WHOLE) not in hidden:
            observable += sum((resource.urn, name) not in hidden for name in names)
    unread = {resource.urn for resource in looked_for(state) if not seen.knows(resource.urn)}
    told = {f"{urn}#{path}" if path else urn for urn, path in hidden} | unread
    return Coverage(observable=observable, properties=properties, blind=tuple(sorted(told)))


def unread(state: State, d: Look) -> tuple[str, ...]:
    """URNs that the look did not reach, and said nothing of: neither read nor failed."""
    seen = Seen.of(d)
    return tuple(one.urn for one in looked_for(state) if not seen.knows(one.urn) and one.urn not in seen.failed)
