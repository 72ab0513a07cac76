"""Showing requests and plans."""

from collections.abc import Sequence

from tasks.ask import GATE_ONLY
from worker.cli.carried import show_carried
from worker.cli.opening import shift
from worker.cli.printing import clock, say, show_facts, show_json, show_table
from worker.cli.refusals import Refusal
from worker.cli.work import TAIL
from worker.flow import Shift
from worker.flow.dossiers import Dossier, dossier, dossier_shown
from worker.flow.errors import NotFound
from worker.flow.shown import shown
from worker.ledger import approvals
from worker.records import Approval, ApprovalState, Choice
from worker.redaction import PROCESS

OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)
ALL = "all"
SHOWN_DIGEST = 12
_NEWEST = 10_000


def list_approvals(states: Sequence[str], job: str | None, environment: str | None, limit: int, *, as_json: bool) -> None:
    """Newest first."""
    for state in states:
        if state not in (*ApprovalState, ALL):
            raise Refusal(f"--state {state}: accepted are {', '.join(ApprovalState)} and {ALL}")
    wanted = None if ALL in states else tuple(map(ApprovalState, states)) or OPEN
    places = None if environment is None else (environment,)
    with shift().ledger.read() as connection:
        found = approvals.listing(connection, states=wanted, job=job, environments=places, limit=limit)
    if as_json:
        show_json([shown(approval) for approval in found])
        return
    rows = [
        (row.id[-TAIL:], row.state, row.risk, row.environment, row.title, _nights(row.nights), _quorum(row), row.expires_at)
        for row in found
    ]
    empty = "Nothing waits for anybody; `nightshift approvals --state all` shows what did."
    show_table(["approval", "state", "risk", "environment", "what", "open for", "must agree", "expires"], rows, empty=empty)


def _quorum(row: Approval) -> str:
    return "shown only" if row.mode == "propose" else str(row.quorum)


def show_approval(text: str, *, as_json: bool) -> None:
    """All about one."""
    opened = shift()
    found = dossier_of(opened, approval_named(opened, text))
    if as_json:
        show_json(dossier_shown(found))
        return
    show_request(found)
    _show_course(found)


def dossier_of(opened: Shift, approval: Approval) -> Dossier:
    """The request with all that belongs to it."""
    estate = opened.estate()
    with opened.ledger.read() as connection:
        return dossier(estate, connection, approval)


def show_request(found: Dossier) -> None:
    """What is asked, as people must see it before they decide: digest, steps, simulation, what cannot be undone."""
    approval, plan = found.approval, found.plan
    agreed = sum(decision.choice is Choice.APPROVE for decision in found.decisions)
    facts = {
        "approval": approval.id,
        "state": _state(approval),
        "what": approval.title,
        "where": f"{approval.subject} ({approval.job}/{approval.entry} in {approval.environment}, mode {approval.mode})",
        "why": "; ".join(finding.title for finding in found.findings),
        "risk": f"{approval.risk}: {'; '.join(approval.risk_reasons)}",
        "cannot be undone": "; ".join(plan.irreversible),
        "a yes": GATE_ONLY if found.gate else "",
        "rule": f"{approval.rule}: {approval.quorum} must agree, {agreed} did",
        "may decide": _who(found),
        "asked": f"{clock(approval.asked_at)}, {_nights(approval.nights)}",
        "expires": clock(approval.expires_at) if approval.state in OPEN else "",
        "digest": approval.digest,
    }
    show_facts(facts)
    _show_steps(found)
    if found.simulation is not None:
        say("\nSimulation")
        say(found.simulation)


def _who(found: Dossier) -> str:
    if found.approval.mode == "propose":
        return "nobody: it is only shown (mode propose); `nightshift dismiss` puts it away"
    return ", ".join(found.deciders) or "nobody: see `nightshift people`"


def approval_named(opened: Shift, text: str) -> Approval:
    """By id, or by its end among the newest. Raises `NotFound`."""
    with opened.ledger.read() as connection:
        exact = approvals.get(connection, text)
        near = [] if exact else [row for row in approvals.listing(connection, limit=_NEWEST) if row.id.endswith(text)]
    if exact or len(near) == 1:
        return exact or near[0]
    told = f"no approval {text}: see `nightshift approvals --state all`"
    raise NotFound(told if not near else f"{len(near)} approvals end in {text}: give more of the id")


def _show_steps(found: Dossier) -> None:
    if found.sealed is None:
        say("\nThis plan was sealed by another version, which asks in another format: it is asked anew.")
        return
    plan = found.sealed.plan
    rows = [
        (step.id, step.action, step.target, _told(step.before), _told(step.after), step.reversibility, kind)
        for kind, steps in (("", plan.steps), ("back, if it does not help", plan.rollback))
        for step in steps
    ]
    say("")
    show_table(["step", "does", "to", "from", "to value", "reversible", ""], rows, empty="")


def _show_course(found: Dossier) -> None:
    """What was said and done since."""
    said = [(row.at, row.person, row.choice, row.via, row.reason) for row in found.decisions]
    if said:
        show_table(["at", "who", "said", "via", "why"], said, empty="")
    for earlier in found.earlier:
        moved = "; ".join(earlier.moved) or "the same change set"
        say(f"before: {earlier.approval.id[-TAIL:]}, {earlier.approval.state}; moved since: {moved}")
    if found.run is not None:
        run = found.run
        say(f"run {run.id[-TAIL:]}: {run.state}{f', {run.verdict}' if run.verdict else ''}; {run.summary or run.reason or ''}")
    if found.carried is not None:
        show_carried(found.carried)
    history = [(row.entry.at, row.entry.actor, row.entry.verb, row.entry.facts.get("reason", "")) for row in found.told]
    show_table(["at", "by", "what", "why"], history, empty="")


def _state(approval: Approval) -> str:
    by = f" by {approval.ended_by}: {approval.ended_reason or ''}" if approval.ended_by else ""
    return f"{approval.state}{by}"


def _nights(nights: int) -> str:
    return "new" if nights == 1 else f"{nights} nights"


def _told(value: object) -> object:
    """Plans hold no secret in clear; what this process knows to be one is masked all the same."""
    return PROCESS.redact_all(value)
