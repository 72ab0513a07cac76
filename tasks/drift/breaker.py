"""The breaker: when too much of what a provider made is gone, its credentials are to blame until proved otherwise. Pure."""

from collections import Counter
from dataclasses import dataclass

from tasks.drift.coverage import looked_for
from tasks.drift.sets import Seen
from tasks.stacks import Look, State, StateResource

# Of few resources some are soon more than any percentage; that all of a provider's are gone counts from the first.
_LEAST_GONE = 5

Instance = tuple[str, str]
"""A provider with one set of credentials: its name in the program, and its package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tripped:
    """One provider of which too much is gone."""

    instance: Instance
    gone: int
    of: int
    urns: frozenset[str]
    """All that it made."""

    def __str__(self) -> str:
        name, package = self.instance
        return f"{self.gone} of {self.of} resources of {package or name} ({name or 'unnamed'}) are gone"


def tripped(state: State, d: Look, gone_percent: float) -> tuple[Tripped, ...]:
    """Providers of which all, or more than `gone_percent` of what was read, is gone."""
    seen = Seen.of(d)
    gone = {change.urn for change in d.changes if change.operation == "delete"}
    members: dict[Instance, list[StateResource]] = {}
    for resource in looked_for(state):
        if seen.knows(resource.urn) or resource.urn in gone:
            members.setdefault(_instance(resource), []).append(resource)
    lost = Counter(_instance(resource) for resource in looked_for(state) if resource.urn in gone)
    return tuple(
        Tripped(instance=one, gone=lost[one], of=len(made), urns=frozenset(resource.urn for resource in made))
        for one, made in sorted(members.items())
        if lost[one] == len(made) or (lost[one] >= _LEAST_GONE and lost[one] * 100 > gone_percent * len(made))
    )


def _instance(resource: StateResource) -> Instance:
    return resource.provider_name, resource.provider.partition(" ")[0]
