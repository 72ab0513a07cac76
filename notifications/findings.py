"""What we know of a finding when we speak of it, and the message that says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, assert_never

from notifications import render
from notifications.differences import diff_text, differences
from notifications.message import Button, Field, Message, MessageKind

FindingKind = Literal[MessageKind.FINDING_OPENED, MessageKind.FINDING_REMINDED, MessageKind.FINDING_RESOLVED]

_TITLE_LIMIT = 160
_VALUE_LIMIT = 120
_MOST_DIFFERENCES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFacts:
    """One finding as it stands now."""

    id: str
    job: str
    entry: str
    subject: str
    reason: str
    cause: str = ""
    """What it has in common with others of one root; empty: the reason alone, which is nothing in common."""
    severity: str
    """One of `SEVERITIES`."""
    title: str
    detail: str = ""
    environment: str
    owner: str
    labels: Mapping[str, str] = field(default_factory=dict)
    state: Literal["open", "acknowledged", "muted", "resolved"] = "open"
    state_by: str | None = None
    """Who acknowledged or muted it."""
    opened_at: datetime
    """When it was opened last: a finding that comes back is told anew."""
    resolved_at: datetime | None = None
    recheck: str | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    run_id: str | None = None
    """The run that saw it last."""


def finding_message(kind: FindingKind, finding: FindingFacts, console_url: str, *, now: datetime) -> Message:
    """What to say of `finding`.

    The same opening at the same severity and the same resolution have the same id, whenever this is called; a reminder's
    id carries `now`, so keep the message (or `now`) with the delivery.
    """
    match kind:
        case MessageKind.FINDING_OPENED:
            prefix, at = finding.severity.upper(), finding.opened_at
        case MessageKind.FINDING_REMINDED:
            prefix, at = f"STILL OPEN, {finding.severity.upper()}", now
        case MessageKind.FINDING_RESOLVED:
            prefix, at = "RESOLVED", finding.resolved_at or now
        case _:
            assert_never(kind)
    return Message(
        id=f"{finding.id}-{kind.value}-{finding.severity}-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        kind=kind,
        title=f"{prefix}: {render.one_line(finding.title, _TITLE_LIMIT)}",
        body=finding.detail,
        severity="ok" if kind is MessageKind.FINDING_RESOLVED else finding.severity,
        fields=_fields(finding),
        output="" if kind is MessageKind.FINDING_RESOLVED else _diff(finding),
        buttons=_buttons(finding, console_url),
        at=at,
        thread=f"finding-{finding.id}",
        cause=root(finding.job, finding.subject, finding.reason, finding.cause),
        data=facts(finding, console_url),
    )


def root(job: str, subject: str, reason: str, cause: str) -> str:
    """What findings of one root have in common. A cause that the job knows goes across subjects; its reason code does not."""
    return f"{job}: {cause}" if cause not in ("", reason) else f"{job}: {subject}: {reason}"


def finding_url(finding_id: str, console_url: str) -> str:
    """Its page on the console."""
    return f"{console_url.rstrip('/')}/findings/{finding_id}"


def facts(finding: FindingFacts, console_url: str) -> dict[str, object]:
    """The same for machines."""
    return {
        "id": finding.id,
        "job": finding.job,
        "entry": finding.entry,
        "subject": finding.subject,
        "reason": finding.reason,
        "cause": finding.cause or finding.reason,
        "severity": finding.severity,
        "title": finding.title,
        "environment": finding.environment,
        "owner": finding.owner,
        "labels": dict(finding.labels),
        "state": finding.state,
        "opened_at": finding.opened_at.astimezone(UTC).isoformat(),
        "resolved_at": finding.resolved_at.astimezone(UTC).isoformat() if finding.resolved_at else None,
        "recheck": finding.recheck,
        "evidence": dict(finding.evidence),
        "run_id": finding.run_id,
        "url": finding_url(finding.id, console_url),
    }


def _diff(finding: FindingFacts) -> str:
    """What differs, if the finding is of that kind."""
    return diff_text(differences(None, None, finding.evidence, _VALUE_LIMIT), _MOST_DIFFERENCES)


def _fields(finding: FindingFacts) -> list[Field]:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(finding.labels.items()))
    shown = {
        "Subject": finding.subject,
        "Reason": finding.reason,
        "Job": finding.job,
        "Environment": finding.environment,
        "Owner": finding.owner or "nobody",
        "Labels": labels,
        "Open since": render.instant(finding.opened_at),
        "Resolved": render.instant(finding.resolved_at) if finding.resolved_at else "",
        "Check again by hand": finding.recheck or "",
    }
    return [Field(label, value) for label, value in shown.items() if value]


def _buttons(finding: FindingFacts, console_url: str) -> list[Button]:
    return [Button("Open the finding", finding_url(finding.id, console_url))]
