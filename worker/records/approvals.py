"""Plans that were asked for, the requests that people decide on, and what they said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tasks.context import Mode
from tasks.model import Json


class Risk(StrEnum):
    """How much a plan may break, mildest first; `rank` orders them."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        return list(Risk).index(self)


class ApprovalState(StrEnum):
    """pending → approved → carried_out. Pending also ends denied; both may end expired, superseded or revoked."""

    PENDING = "pending"
    APPROVED = "approved"
    CARRIED_OUT = "carried_out"
    DENIED = "denied"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"

    @property
    def terminal(self) -> bool:
        """Nobody can decide any more, and nothing more follows from it."""
        return self not in (ApprovalState.PENDING, ApprovalState.APPROVED)


class Choice(StrEnum):
    """What a person said."""

    APPROVE = "approve"
    DENY = "deny"


class Via(StrEnum):
    """How a decision reached us."""

    LINK = "link"
    PAGE = "page"
    API = "api"
    CLI = "cli"


class LinkPurpose(StrEnum):
    """What a link about a request is good for. Sign-in links have a purpose of their own."""

    DECIDE = "decide"
    RESOLVE = "resolve"
    """To settle the run that carried it out, and needs a person."""


class EffectOutcome(StrEnum):
    """What became of an intent. None of them: nobody knows yet."""

    APPLIED = "applied"
    FAILED = "failed"
    """The step ran and said that it failed; what it left behind is for the verification to see."""
    DID_NOT = "did_not"
    """It never happened, by the probe or a person: the only outcome after which the step may be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A sealed plan, stored once by its digest and never changed."""

    digest: str
    """SHA-256 (hex) of `content`."""
    content: bytes
    """The exact bytes that were sealed; `worker.seal` reads them."""
    job: str
    subject: str
    cause: str
    entry: str
    environment: str
    params: Mapping[str, Json]
    """Of the effect run: the options of the check that led here, and the one entry."""
    summary: str
    simulation_sha256: str
    """An artifact: what would happen, in words."""
    irreversible: Sequence[str]
    """What cannot be undone, in words."""
    reversibility: str
    """The worst of its steps."""
    soft_pins: Mapping[str, Json]
    run_id: str
    """The run that planned it."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A request that people decide on one digest; at most one pending per (job, subject, cause)."""

    id: str
    digest: str
    job: str
    subject: str
    cause: str
    entry: str
    environment: str
    owner: str
    labels: Mapping[str, str]
    mode: Mode
    """`propose`: shown, and without a yes; `execute`."""
    state: ApprovalState
    title: str
    risk: Risk
    risk_reasons: Sequence[str]
    rule: str
    """The rule of policy.toml under which it is asked."""
    quorum: int
    """So many people must agree."""
    people: Sequence[str]
    """Who may decide, by the rule; empty: everybody with the grant."""
    requesters: Sequence[str]
    """People who asked for it, who must not decide on it."""
    run_id: str
    """The check that asked first."""
    seen_run_id: str
    """The check that found the same last."""
    nights: int
    """How often the same was asked for; 1 is new."""
    asked_at: datetime
    seen_at: datetime
    expires_at: datetime
    remind_at: datetime | None
    """When the deciders are reminded; None: they were, or need not be."""
    supersedes: str | None = None
    effect_run_id: str | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    revision: int | None = None
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who said what, when, how, why; one per person and approval."""

    id: str
    approval_id: str
    person: str
    choice: Choice
    reason: str
    via: Via
    digest: str
    """The digest the person saw."""
    revision: int | None
    at: datetime
    identity: str = ""
    """Who the name stood for then: see `flow.authorizing.identity_of`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link token's row: only its hash is kept."""

    sha256: str
    person: str
    purpose: str
    approval_id: str | None
    channel: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PinTries:
    """Wrong PINs of one person since the last right one."""

    person: str
    failures: int
    locked_until: datetime | None = field(default=None)
