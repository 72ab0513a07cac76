"""The values jobs hand back: answers of a check, and the plan that would mend them. All frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""Anything JSON can say. Instants are ISO 8601 strings in UTC."""


class Severity(StrEnum):
    """How bad a finding is, mildest first; `rank` orders them."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ok:
    """The job looked at `subject` and found it as it should be."""

    entry: str
    """Name of the estate entry this answer belongs to."""
    subject: str
    """The one thing looked at, e.g. `www.example.com:443 at 192.0.2.7`; stable over nights."""
    reason: str = "ok"
    summary: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    recheck: str | None = None
    """A shell line with which a person checks again by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The job looked and something is wrong.

    `key` is stable for the same trouble over nights and unique within (job, entry): it decides new, seen again, gone.
    `reason` is a stable snake_case code. `cause` groups findings with one root; it is the reason unless the job knows
    better. `desired` and `actual` are given together, for drift.
    """

    entry: str
    subject: str
    key: str
    reason: str
    severity: Severity
    title: str
    """One line a person reads in a digest, no final dot, no secrets."""
    detail: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    recheck: str | None = None
    cause: str | None = None
    desired: Json = None
    actual: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CannotTell:
    """The job could not look: never green, never a finding about the subject itself."""

    entry: str
    subject: str
    reason: str
    """Stable snake_case code, e.g. `connect_timeout`."""
    stage: str
    """Where it stopped, e.g. `resolve`, `connect`, `handshake`."""
    detail: str
    """What happened, with the time spent: `no answer to the TLS hello from 192.0.2.7:443 after 5.0 s`."""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    recheck: str | None = None


Answer: TypeAlias = Ok | Finding | CannotTell
"""What a check says about one subject. A subject may have several findings; every entry gets at least one answer."""


class Reversibility(StrEnum):
    """R1: undone in place. R2: re-creatable under a new identity. R3: not reversible."""

    R1 = "R1"
    R2 = "R2"
    R3 = "R3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One outside change of a plan; see DESIGN `The plan` for which members the digest covers (all of these)."""

    id: str
    action: str
    target: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    before: Json = None
    after: Json = None
    precondition: str = ""
    """Fingerprint of what must still be true just before the step."""
    reversibility: Reversibility = Reversibility.R3
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The ordered changes that would mend findings of one subject and cause; immutable.

    The digest that people approve covers all of it: no clock values and no prose; a secret as its reference and a keyed hash.
    """

    job: str
    scope: str
    """What it may touch, e.g. a host, a zone, a stack."""
    account: str
    """As whom it acts there, e.g. a cloud account, a user of this machine."""
    finding_keys: tuple[str, ...]
    steps: tuple[Step, ...]
    rollback: tuple[Step, ...] = ()
    """Reverse steps, approved beforehand; `depends_on` names the step that each takes back. Applied only when the
    verification does not say `verified`; only those of steps that happened."""
    parameters: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a plan would do, for people: kept beside the plan, outside its digest."""

    summary: str
    """One line: `renew the certificate of www.example.com:443 with certbot, then reload nginx`."""
    text: str
    """As long as need be; lines that begin with `+`, `-` or `~` are coloured. No secrets."""
    irreversible: tuple[str, ...] = ()
    """What cannot be undone, a sentence each."""
    soft_pins: Mapping[str, Json] = field(default_factory=dict)
    """Commit, state hash, tool versions: what may move between the yes and the run as long as the change set stays the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A provider's proof that a step happened."""

    step: str
    at: datetime
    proof: Mapping[str, Json] = field(default_factory=dict)


class VerificationVerdict(StrEnum):
    """What looking again after apply showed."""

    VERIFIED = "verified"
    PARTIAL = "partial"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The verdict of looking again, with what was seen."""

    verdict: VerificationVerdict
    detail: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    rechecks: tuple[str, ...] = ()
    """Shell lines with which a person checks by hand what is not as it should be, the worst first."""


class ProbeVerdict(StrEnum):
    """Whether a step whose outcome is not recorded took place."""

    HAPPENED = "happened"
    DID_NOT = "did_not"
    UNKNOWN = "unknown"
