"""Versions of providers: which one the state knows, which one the program runs with. Pure."""

import re
from dataclasses import dataclass

from tasks.stacks import ResourceChange, StateResource

_DEFAULT = re.compile(r"default_(\d+)_(\d+)_(\d+.*)")


@dataclass(frozen=True, slots=True, order=True)
class Upgrade:
    """A provider whose version is another in the program than in the state."""

    package: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.package} {self.old} → {self.new}"


def upgrade_of(change: ResourceChange, known: StateResource | None) -> Upgrade | None:
    """What the look at the program says against the state's word; None: the same, or not known."""
    if change.type.startswith("pulumi:providers:"):
        return None
    if known is None:
        return None
    package, new = _version(change.provider, change.provider_name)
    _, old = _version(known.provider, known.provider_name)
    return Upgrade(package, old, new) if old and new and old != new else None


def _version(provider: str, name: str) -> tuple[str, str]:
    """`fakecloud 1.0.0`, else what the name of a default provider says."""
    package, _, version = provider.partition(" ")
    told = _DEFAULT.fullmatch(name)
    return package, version or (".".join(told.groups()) if told else "")
