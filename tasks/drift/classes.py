"""Why a property differs, as a value. How it is told is in `classify`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tasks.drift.sets import WHOLE, key
from tasks.drift.versions import Upgrade
from tasks.model import Json
from tasks.stacks import ResourceChange


class Class(StrEnum):
    """Why a property differs, or why that cannot be seen."""

    DRIFT = "drift"
    CONFLICT = "conflict"
    ADOPTED = "adopted"
    UNDEPLOYED = "undeployed"
    NOISE = "noise"
    IGNORED = "ignored"
    BLIND = "blind"
    """Nothing differs as far as we know, and we would not see it if it did."""
    RESTORED = "restored"
    """The cloud differed in one look and did not in the next."""
    UNKNOWN = "unknown"


IN_THE_CLOUD = frozenset({Class.DRIFT, Class.CONFLICT, Class.ADOPTED, Class.UNKNOWN})
"""Classes of which the cloud is not as the state has it (an unknown difference may be)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """One property, why it differs, and its three values as far as they are known."""

    resource: ResourceChange
    path: str
    kind: Literal["add", "update", "delete"]
    """In D from the cloud's side: `add` is there and was not. Otherwise from the program's."""
    why: Class
    because: str
    last_known: Json = None
    actual: Json = None
    desired: Json = None
    masked: bool = False
    fingerprint: str = ""
    replaces: bool = False
    in_cloud: bool = False
    """D saw it: the cloud is not as the state has it."""
    upgrade: Upgrade | None = None

    @property
    def urn(self) -> str:
        return self.resource.urn

    @property
    def key(self) -> str:
        return key(self.urn, self.path)

    @property
    def gone(self) -> bool:
        return self.in_cloud and self.path == WHOLE and self.kind == "delete"


def worst_first(found: Sequence[Classified]) -> list[Classified]:
    """Gone resources first, then by URN and path."""
    return sorted(found, key=lambda one: (not one.gone, one.urn, one.path))
