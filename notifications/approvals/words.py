"""What a message on a request says, by its kind. Pure."""

from collections.abc import Sequence
from typing import Literal

from notifications.approvals.facts import ApprovalFacts, page_url
from notifications.message import Button, Field, Line, MessageKind, Section
from notifications.render import short, when

ApprovalKind = Literal[
    MessageKind.APPROVAL_REQUESTED,
    MessageKind.APPROVAL_REMINDER,
    MessageKind.APPROVAL_DECIDED,
    MessageKind.APPROVAL_CLOSED,
    MessageKind.REMEDIATION_ENDED,
]

_LINES = 8
_LINE = 240
_VALUE = 400
_TITLE = 300
_WHAT = 200


def title(kind: ApprovalKind, request: ApprovalFacts) -> str:
    return short(_whole_title(kind, request), _TITLE)


def _whole_title(kind: ApprovalKind, request: ApprovalFacts) -> str:
    what = short(request.title, _WHAT)
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
            return f"{_closed(request)}: {what}"
        case MessageKind.REMEDIATION_ENDED:
            return f"{_mended(request)}: {what}"


def _closed(request: ApprovalFacts) -> str:
    if request.state == "revoked":
        return "Not carried out" if (request.ended_by or "").startswith("run:") else "Withdrawn"
    return request.state.capitalize()


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


def body(kind: ApprovalKind, request: ApprovalFacts) -> str:
    lines: list[str] = []
    match kind:
        case MessageKind.APPROVAL_REQUESTED if request.mode == "propose":
            lines += [f"Nothing will be done: {request.environment} only proposes. Dismiss it, or mute the finding."]
        case MessageKind.APPROVAL_REQUESTED:
            lines += [f"Nothing is done without a yes. Without an answer until {_until(request)} it is a no."]
            lines += [f"{request.gate}."] if request.gate else []
        case MessageKind.APPROVAL_REMINDER:
            lines += [f"Nobody has decided yet. Without an answer until {_until(request)} it is a no."]
            lines += [f"{request.gate}."] if request.gate else []
        case MessageKind.APPROVAL_DECIDED | MessageKind.APPROVAL_CLOSED:
            lines += _how_it_ended(request)
        case MessageKind.REMEDIATION_ENDED if request.mended:
            lines += [short(request.mended.summary, _VALUE)]
        case MessageKind.REMEDIATION_ENDED:
            pass
    if request.nights > 1 and kind is not MessageKind.REMEDIATION_ENDED:
        lines.append(f"Open for {request.nights} nights.")
    return "\n".join(line for line in lines if line)


def _how_it_ended(request: ApprovalFacts) -> list[str]:  # noqa: PLR0911 - one per state
    said = [
        f"{'Approved' if one.choice == 'approve' else 'Denied'} by {one.person} on {when(one.at, request.zone)}, by {one.via}"
        f"{f': {short(one.reason, _LINE)}' if one.reason else ''}"
        for one in request.said
    ]
    match request.state:
        case "pending":
            return [*said, f"{request.quorum - len(said)} more must agree. Without that until {_until(request)} it is a no."]
        case "approved" if request.gate:
            return [*said, f"{request.gate}. Whoever asked may use this yes once, until {_until(request)}."]
        case "expired" if request.gate and said:
            return [*said, f"The yes was not used until {_until(request)}: it is void.", f"{request.gate}."]
        case "approved" | "carried_out":
            return [*said, "It is carried out now, and looked at again after that."]
        case "denied":
            return [*said, "Nothing was done."]
        case "expired":
            return [*said, f"Nobody decided until {_until(request)}: that is a no. Nothing was done."]
        case _:
            by = f" by {request.ended_by}" if request.ended_by else ""
            why = f": {short(request.ended_reason, _LINE)}" if request.ended_reason else ""
            return [*said, f"{_closed(request)}{by}{why}"]


def _until(request: ApprovalFacts) -> str:
    return when(request.expires_at, request.zone)


def severity(kind: ApprovalKind, request: ApprovalFacts) -> str:
    match kind:
        case MessageKind.REMEDIATION_ENDED:
            return "ok" if request.mended and request.mended.verdict == "verified" else "high"
        case MessageKind.APPROVAL_REQUESTED | MessageKind.APPROVAL_REMINDER:
            return request.severity
        case _:
            return "info"


def fields(request: ApprovalFacts, *, asks: bool) -> list[Field]:
    shown = {
        "What": request.title,
        "Where": f"{request.subject} in {request.environment}",
        "Why": f"{request.findings[0]} ({request.cause})" if request.findings else request.cause,
    }
    if asks:
        shown |= {
            "Risk": request.risk,
            "Cannot be undone": "see below" if request.irreversible else "nothing",
            "Who may decide": _who(request),
            "Until": _until(request),
        }
    elif request.mended:
        shown |= {"Verdict": request.mended.verdict.replace("_", " "), "Run": request.mended.run_id}
    shown |= {
        "Job": request.job,
        "Owner": request.owner or "nobody",
        "Labels": ", ".join(f"{name}={value}" for name, value in sorted(request.labels.items())),
        "Rule": request.rule,
        "Digest": request.digest[:12],
    }
    return [Field(label, short(value, _VALUE)) for label, value in shown.items() if value]


def _who(request: ApprovalFacts) -> str:
    if request.mode != "execute":
        return "nobody: a proposal"
    needed = f" ({request.quorum} of them must agree)" if request.quorum > 1 else ""
    return f"{_named(request.deciders) or 'nobody'}{needed}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LINES} more" if len(names) > _LINES else ""
    return ", ".join(names[:_LINES]) + more


def sections(request: ApprovalFacts, *, asks: bool) -> list[Section]:
    if not asks:
        return []
    listed = [
        ("Cannot be undone", request.irreversible, "high"),
        ("How the risk was reached", request.risk_reasons, request.severity),
        ("What moved since it was asked before", request.moved, "medium"),
        ("It would mend", request.findings if len(request.findings) > 1 else (), None),
    ]
    return [Section(heading, _bounded(lines), severity) for heading, lines, severity in listed if lines]


def _bounded(lines: Sequence[str]) -> list[Line]:
    shown = [Line(short(line, _LINE)) for line in lines[:_LINES]]
    return [*shown, Line(f"and {len(lines) - _LINES} more: see the page of the request")] if len(lines) > _LINES else shown


def buttons(kind: ApprovalKind, request: ApprovalFacts, console_url: str) -> list[Button]:
    asks = kind in (MessageKind.APPROVAL_REQUESTED, MessageKind.APPROVAL_REMINDER)
    label = "Look and decide" if asks and request.mode == "execute" else "Open the request"
    buttons = [Button(label, page_url(request.id, console_url))]
    if request.mended:
        buttons.append(Button("Open the run", f"{console_url.rstrip('/')}/runs/{request.mended.run_id}"))
    return [*buttons, runbook(request.code, console_url)] if request.code and not asks else buttons


def runbook(code: str, console_url: str) -> Button:
    """What to do about a reason code."""
    return Button(f"Runbook: {code}", f"{console_url.rstrip('/')}/runbooks#{code}")
