"""What we know of a request when we speak of it, and the messages that say so. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Literal

from notifications import render
from notifications.message import Button, Field, Line, Message, MessageKind, Recipient, Section

ApprovalKind = Literal[
    MessageKind.APPROVAL_REQUESTED,
    MessageKind.APPROVAL_REMINDER,
    MessageKind.APPROVAL_DECIDED,
    MessageKind.APPROVAL_CLOSED,
    MessageKind.REMEDIATION_ENDED,
]

OUTPUT_BYTES = 9_000
"""So much of a simulation, counted as HTML spells it, goes into a message: a mail's HTML stays well under 30 KB."""
_LINES = 10
_LINE = 300
_VALUE = 1_000
_TITLE = 160


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

    @property
    def severity(self) -> str:
        """For routes and colours, which know severities: the risk, by its name."""
        return self.risk

    @property
    def reason(self) -> str:
        """For routes: the reason code of what it would mend."""
        return self.cause


def approval_message(kind: ApprovalKind, request: ApprovalFacts, console_url: str, *, message_id: str, now: datetime) -> Message:
    """What to say of `request`; links lead to its bare page. See `for_person` for a decider's own message."""
    asks = kind in (MessageKind.APPROVAL_REQUESTED, MessageKind.APPROVAL_REMINDER)
    return Message(
        id=message_id,
        kind=kind,
        title=_title(kind, request),
        body=_body(kind, request),
        severity=_severity(kind, request),
        fields=_fields(request, asks=asks),
        output=shortened(request.simulation, OUTPUT_BYTES) if asks else "",
        sections=_sections(request, asks=asks),
        buttons=_buttons(kind, request, console_url),
        at=now,
        thread=f"approval-{request.id}",
        data=facts(request, console_url),
    )


def for_person(message: Message, to: Recipient) -> Message:
    """`message` for one person: under an id of its own, for mail servers drop the second of two mails with one Message-ID."""
    return replace(message, id=f"{message.id}-{to.name}", to=to)


def with_link(message: Message, url: str) -> Message:
    """`message` whose first button opens `url`, the person's own link. Keep the result nowhere."""
    first, *others = message.buttons
    note = "The link is yours alone: do not pass it on. It asks for your PIN."
    return replace(message, body=f"{message.body}\n{note}", buttons=[replace(first, url=url), *others])


def page_url(approval_id: str, console_url: str) -> str:
    """Its page on the console."""
    return f"{console_url.rstrip('/')}/approvals/{approval_id}"


def runbook(code: str, console_url: str) -> Button:
    """What to do about a reason code."""
    return Button(f"Runbook: {code}", f"{console_url.rstrip('/')}/runbooks#{code}")


def shortened(text: str, most_bytes: int) -> str:
    """As many whole lines of `text` as fit, and how many there are more. A line that is longer than all of it is cut."""
    lines, kept, room = render.plain(text).rstrip().splitlines(), [], most_bytes
    for line in lines:
        room -= _weight(line) + 1
        if room < 0:
            break
        kept.append(line)
    if lines and not kept:
        kept = [_cut(lines[0], most_bytes)]
        return "\n".join([*kept, f"… the rest of this line and {len(lines) - 1} more: see the page of the request"])
    more = len(lines) - len(kept)
    return "\n".join([*kept, f"… and {more} more lines: see the page of the request"] if more else kept)


def _cut(line: str, most_bytes: int) -> str:
    kept = line[:most_bytes]
    while _weight(kept) > most_bytes:
        kept = kept[: len(kept) * most_bytes // _weight(kept)]
    return kept


def _weight(text: str) -> int:
    return len(escape(text).encode("utf-8", "replace"))


def when(at: datetime, zone: tzinfo) -> str:
    """`Mon 23 Nov 2026 17:00 CET (16:00 UTC)`: in the deciders' zone, and in everybody's."""
    local, utc = at.astimezone(zone), at.astimezone(UTC)
    told = f"{local:%a} {local.day} {local:%b %Y %H:%M} {local.tzname()}"
    if local.utcoffset() == utc.utcoffset():
        return told
    other_day = f"{utc:%a} " if utc.date() != local.date() else ""
    return f"{told} ({other_day}{utc:%H:%M} UTC)"


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
        "simulation": shortened(request.simulation, OUTPUT_BYTES),
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
        "url": page_url(request.id, console_url),
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _title(kind: ApprovalKind, request: ApprovalFacts) -> str:
    what = render.one_line(request.title, _TITLE)
    match kind:
        case MessageKind.APPROVAL_REQUESTED if request.mode == "propose":
            return f"Proposed: {what}"
        case MessageKind.APPROVAL_REQUESTED:
            return f"Approve? {what} ({request.environment}, {request.risk} risk)"
        case MessageKind.APPROVAL_REMINDER:
            return f"Still to decide: {what} ({request.environment}, {request.risk} risk)"
        case MessageKind.APPROVAL_DECIDED:
            return f"{_verdict(request)}: {what}"
        case MessageKind.APPROVAL_CLOSED:
            return f"{_ENDS.get(request.state, request.state.capitalize())}: {what}"
        case MessageKind.REMEDIATION_ENDED:
            return f"{_mended(request)}: {what}"


_ENDS = {"revoked": "Withdrawn"}


def _verdict(request: ApprovalFacts) -> str:
    if request.state == "pending":
        return f"{len(request.said)} of {request.quorum} agreed"
    wanted = "deny" if request.state == "denied" else "approve"
    names = [one.person for one in request.said if one.choice == wanted]
    word = "Denied" if wanted == "deny" else "Approved"
    return f"{word} by {_all_of(names)}" if names else word


def _mended(request: ApprovalFacts) -> str:
    verdict = request.mended.verdict if request.mended else "ended"
    return verdict.replace("_", " ").capitalize()


def _all_of(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _body(kind: ApprovalKind, request: ApprovalFacts) -> str:
    lines: list[str] = []
    match kind:
        case MessageKind.APPROVAL_REQUESTED if request.mode == "propose":
            lines += [f"Nothing will be done: {request.environment} only proposes. Dismiss it, or mute the finding."]
        case MessageKind.APPROVAL_REQUESTED:
            lines += [f"Nothing is done without a yes. Without an answer until {_until(request)} it is a no."]
        case MessageKind.APPROVAL_REMINDER:
            lines += [f"Nobody has decided yet. Without an answer until {_until(request)} it is a no."]
        case MessageKind.APPROVAL_DECIDED | MessageKind.APPROVAL_CLOSED:
            lines += _how_it_ended(request)
        case MessageKind.REMEDIATION_ENDED if request.mended:
            lines += [render.one_line(request.mended.summary, _VALUE)]
        case MessageKind.REMEDIATION_ENDED:
            pass
    if request.nights > 1 and kind is not MessageKind.REMEDIATION_ENDED:
        lines.append(f"Open for {request.nights} nights.")
    return "\n".join(line for line in lines if line)


def _how_it_ended(request: ApprovalFacts) -> list[str]:
    said = [
        f"{'Approved' if one.choice == 'approve' else 'Denied'} by {one.person} on {when(one.at, request.zone)}, by {one.via}"
        f"{f': {render.one_line(one.reason, _LINE)}' if one.reason else ''}"
        for one in request.said
    ]
    match request.state:
        case "pending":
            return [*said, f"{request.quorum - len(said)} more must agree. Without that until {_until(request)} it is a no."]
        case "approved" | "carried_out":
            return [*said, "It is carried out now, and looked at again after that."]
        case "denied":
            return [*said, "Nothing was done."]
        case "expired":
            return [*said, f"Nobody decided until {_until(request)}: that is a no. Nothing was done."]
        case _:
            by = f" by {request.ended_by}" if request.ended_by else ""
            why = f": {render.one_line(request.ended_reason, _LINE)}" if request.ended_reason else ""
            return [*said, f"{_ENDS.get(request.state, request.state.capitalize())}{by}{why}."]


def _until(request: ApprovalFacts) -> str:
    return when(request.expires_at, request.zone)


def _severity(kind: ApprovalKind, request: ApprovalFacts) -> str:
    match kind:
        case MessageKind.REMEDIATION_ENDED:
            return "ok" if request.mended and request.mended.verdict == "verified" else "high"
        case MessageKind.APPROVAL_REQUESTED | MessageKind.APPROVAL_REMINDER:
            return request.severity
        case _:
            return "info"


def _fields(request: ApprovalFacts, *, asks: bool) -> list[Field]:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(request.labels.items()))
    shown = {
        "What": request.title,
        "Where": f"{request.subject} in {request.environment}",
        "Why": request.cause,
        "Job": request.job,
        "Owner": request.owner or "nobody",
        "Labels": labels,
    }
    if asks:
        shown["Who may decide"] = _who(request)
        shown |= {
            "Risk": request.risk,
            "Cannot be undone": "see below" if request.irreversible else "nothing",
            "Until": _until(request),
            "Rule": request.rule,
            "Digest": request.digest[:12],
        }
    elif request.mended:
        shown |= {"Verdict": request.mended.verdict.replace("_", " "), "Run": request.mended.run_id}
    return [Field(label, render.one_line(value, _VALUE)) for label, value in shown.items() if value]


def _who(request: ApprovalFacts) -> str:
    if request.mode != "execute":
        return "nobody: a proposal"
    needed = f" ({request.quorum} of them must agree)" if request.quorum > 1 else ""
    return f"{_named(request.deciders) or 'nobody'}{needed}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LINES} more" if len(names) > _LINES else ""
    return ", ".join(names[:_LINES]) + more


def _sections(request: ApprovalFacts, *, asks: bool) -> list[Section]:
    if not asks:
        return []
    listed = [
        ("Cannot be undone", request.irreversible, "high"),
        ("How the risk was reached", request.risk_reasons, request.severity),
        ("What moved since it was asked before", request.moved, "medium"),
        ("Would mend", request.findings, None),
    ]
    return [Section(heading, _bounded(lines), severity) for heading, lines, severity in listed if lines]


def _bounded(lines: Sequence[str]) -> list[Line]:
    shown = [Line(render.one_line(line, _LINE)) for line in lines[:_LINES]]
    return [*shown, Line(f"and {len(lines) - _LINES} more: see the page of the request")] if len(lines) > _LINES else shown


def _buttons(kind: ApprovalKind, request: ApprovalFacts, console_url: str) -> list[Button]:
    asks = kind in (MessageKind.APPROVAL_REQUESTED, MessageKind.APPROVAL_REMINDER)
    label = "Look and decide" if asks and request.mode == "execute" else "Open the request"
    buttons = [Button(label, page_url(request.id, console_url))]
    if request.mended:
        buttons.append(Button("Open the run", f"{console_url.rstrip('/')}/runs/{request.mended.run_id}"))
    code = _code(kind, request)
    return [*buttons, runbook(code, console_url)] if code else buttons


def _code(kind: ApprovalKind, request: ApprovalFacts) -> str | None:
    """The reason code that this message is about, which has a section in the runbooks."""
    match kind:
        case MessageKind.APPROVAL_CLOSED:
            return request.state
        case MessageKind.REMEDIATION_ENDED if request.mended and request.mended.verdict != "verified":
            return request.mended.verdict
        case _:
            return None
