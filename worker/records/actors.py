"""Who acts, what the audit keeps of it, and the tokens machines act with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tasks.model import Json


class ActorKind(StrEnum):
    """Who acts."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind of actor
    N8N = "n8n"
    SCHEDULER = "scheduler"
    WORKER = "worker"
    SWEEPER = "sweeper"
    RELAY = "relay"
    FLOWER = "flower"
    CLI = "cli"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, as the audit shows it."""

    kind: ActorKind
    name: str
    on_behalf_of: str | None = None

    def __str__(self) -> str:
        shown = f"{self.kind}:{self.name}"
        return f"{shown} for {self.on_behalf_of}" if self.on_behalf_of else shown


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Actor, verb, object, outcome. `facts` hold ids and digests, never secrets."""

    at: datetime
    actor: str
    verb: str
    object_kind: str
    object_id: str
    facts: Mapping[str, object] = field(default_factory=dict)
    """JSON-ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """An audit row as stored; the chain's members are None until the chainer came by."""

    id: int
    entry: AuditEntry
    number: int | None = None
    payload_hash: str | None = None
    previous_hash: str | None = None
    hash: str | None = None
    mac: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """An API token; only its hash is kept."""

    id: str
    name: str
    family: str
    kind: ActorKind
    grants: list[Mapping[str, Json]]
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
