"""What we know of a request when we speak of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Literal

from notifications.render import shortened

# Counted as HTML spells them, so that a mail's HTML stays under 30 KB whatever stands in a plan.
OUTPUT_BYTES = 8_000
"""So much of a simulation goes into a message."""
OUTPUT_REST = "see the page of the request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One person's decision."""

    person: str
    choice: str
    """`approve` or `deny`."""
    at: datetime
    via: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """The run that carried it out, once it has ended."""

    run_id: str
    verdict: str
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFacts:
    """One request as it stands now."""

    id: str
    title: str
    job: str
    entry: str
    subject: str
    cause: str
    root: str = ""
    """What it has in common with the findings that it would mend: see `notifications.findings.root`."""
    environment: str
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    mode: Literal["observe", "propose", "execute"] = "execute"
    state: str = "pending"
    risk: str
    risk_reasons: Sequence[str] = ()
    irreversible: Sequence[str] = ()
    """What cannot be undone, a sentence each."""
    simulation: str = ""
    rule: str
    quorum: int = 1
    deciders: Sequence[str] = ()
    """Names of those who may decide."""
    asked_at: datetime
    expires_at: datetime
    zone: tzinfo = UTC
    """Of the deciders' working hours."""
    nights: int = 1
    said: Sequence[Said] = ()
    findings: Sequence[str] = ()
    """What it would mend, a line each."""
    moved: Sequence[str] = ()
    """What differs from the request whose place it took, a line each."""
    supersedes: str | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    digest: str
    run_id: str
    """The check that asked."""
    mended: Mended | None = None
    gate: str = ""
    """Of a gate: what a yes to it does not mean, in words."""
    code: str | None = None
    """The reason code of how it ended, if there is a runbook for it."""

    @property
    def severity(self) -> str:
        """For routes and colours, which know severities: the risk, by its name."""
        return self.risk

    @property
    def reason(self) -> str:
        """For routes: the reason code of what it would mend."""
        return self.cause


def page_url(approval_id: str, console_url: str) -> str:
    """Its page on the console."""
    return f"{console_url.rstrip('/')}/approvals/{approval_id}"


def facts(request: ApprovalFacts, console_url: str) -> dict[str, object]:
    """The same for machines."""
    return {
        "id": request.id,
        "title": request.title,
        "state": request.state,
        "mode": request.mode,
        "job": request.job,
        "entry": request.entry,
        "subject": request.subject,
        "cause": request.cause,
        "environment": request.environment,
        "owner": request.owner,
        "labels": dict(request.labels),
        "risk": request.risk,
        "risk_reasons": list(request.risk_reasons),
        "irreversible": list(request.irreversible),
        "simulation": shortened(request.simulation, OUTPUT_BYTES, OUTPUT_REST),
        "rule": request.rule,
        "quorum": request.quorum,
        "deciders": list(request.deciders),
        "asked_at": _iso(request.asked_at),
        "expires_at": _iso(request.expires_at),
        "nights": request.nights,
        "decisions": [
            {"person": one.person, "choice": one.choice, "at": _iso(one.at), "via": one.via, "reason": one.reason}
            for one in request.said
        ],
        "moved": list(request.moved),
        "supersedes": request.supersedes,
        "ended_by": request.ended_by,
        "ended_reason": request.ended_reason,
        "digest": request.digest,
        "run_id": request.run_id,
        "effect_run_id": request.mended.run_id if request.mended else None,
        "verdict": request.mended.verdict if request.mended else None,
        "gate": request.gate or None,
        "url": page_url(request.id, console_url),
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
