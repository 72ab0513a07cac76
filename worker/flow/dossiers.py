"""All that belongs to one request: what people need to decide on it, and to see what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from tasks.model import Json
from worker.flow.answers import gate_told
from worker.flow.authorizing import deciders
from worker.flow.carried import Carried, carried, unsealed
from worker.flow.shift import Estate
from worker.flow.shown import jsonable, shown
from worker.ledger import approvals, audit_rows, gates, keepings, plans, runs
from worker.records import Approval, ApprovalState, ChainedEntry, Decision, FindingRow, Gate, PlanRow, Run
from worker.redaction import PROCESS
from worker.seal import Sealed, moved

EARLIER_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Earlier:
    """A request for the same that came before, and what the one after it asks for instead."""

    approval: Approval
    moved: Sequence[str]
    """Empty: the very same change set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """One request with all that a person needs to decide on it, or to see what came of it."""

    approval: Approval
    plan: PlanRow
    sealed: Sealed | None
    """None: sealed by a version that wrote another format."""
    simulation: str | None
    """None: kept encrypted, because the same bytes were once kept as a secret."""
    findings: Sequence[FindingRow]
    decisions: Sequence[Decision]
    deciders: Sequence[str]
    earlier: Sequence[Earlier]
    successor: str | None
    gate: Gate | None
    told: Sequence[ChainedEntry]
    """Its audit rows, oldest first."""
    run: Run | None
    carried: Carried | None
    """How it was carried out, once it was approved."""


def dossier(estate: Estate, connection: Connection, approval: Approval) -> Dossier:
    """All about a request. `estate` is handed in: who holds one connection must not wait for another."""
    plan = plans.get(connection, approval.digest)
    assert plan is not None
    run = runs.get(connection, approval.effect_run_id) if approval.effect_run_id else None
    return Dossier(
        approval=approval,
        plan=plan,
        sealed=unsealed(plan),
        simulation=simulation_of(connection, plan),
        findings=plans.findings(connection, approval.digest),
        decisions=approvals.decisions(connection, approval.id),
        deciders=[person.name for person in deciders(estate, approval)],
        earlier=_earlier(connection, approval, plan),
        successor=_successor(connection, approval),
        gate=gates.get(connection, approval.id),
        told=audit_rows.recent(connection, object_id=approval.id, limit=20)[::-1],
        run=run,
        carried=carried(connection, run) if run else None,
    )


def simulation_of(connection: Connection, plan: PlanRow) -> str | None:
    stored = keepings.artifact(connection, plan.simulation_sha256)
    if stored is None or stored.key_id is not None:
        return None
    return PROCESS.redact(stored.content.decode(errors="replace"))


def dossier_shown(found: Dossier) -> dict[str, Json]:
    """The same as JSON, with the addresses of what lies beside it."""
    approval = found.approval
    return {
        **shown(approval),
        "deciders": list(found.deciders),
        "plan": plan_shown(found.plan),
        "simulation": found.simulation,
        "findings": [shown(row) for row in found.findings],
        "decisions": [shown(decision) for decision in found.decisions],
        "earlier": [{**shown(one.approval), "moved": list(one.moved)} for one in found.earlier],
        "superseded_by": found.successor,
        "gate": gate_told(found.gate) if found.gate else None,
        "run": shown(found.run) if found.run else None,
        "effects": [shown(one.effect) for one in found.carried.taken if one.effect] if found.carried else [],
        "seen": [jsonable(seen) for seen in found.carried.seen] if found.carried else [],
        "links": {
            "page": f"/approvals/{approval.id}",
            "plan": f"/v1/plans/{approval.digest}",
            "run": f"/v1/runs/{found.run.id}" if found.run else None,
            "asked_by": f"/v1/runs/{approval.run_id}",
            "seen_by": f"/v1/runs/{approval.seen_run_id}",
        },
    }


def plan_shown(plan: PlanRow) -> dict[str, Json]:
    """The plan without its bytes; its steps are null when another version sealed it."""
    members = {name: member for name, member in shown(plan).items() if name != "content"}
    sealed = unsealed(plan)
    if sealed is None:
        return {**members, "rule": None, "scope": None, "account": None, "steps": None, "rollback": None}
    steps, rollback = jsonable(sealed.plan.steps), jsonable(sealed.plan.rollback)
    return {
        **members,
        "rule": sealed.rule,
        "scope": sealed.plan.scope,
        "account": sealed.plan.account,
        "steps": steps,
        "rollback": rollback,
    }


def _earlier(connection: Connection, approval: Approval, plan: PlanRow) -> list[Earlier]:
    """The newest first, each compared with the one that came after it."""
    found: list[Earlier] = []
    content, before = plan.content, approval.supersedes
    while before is not None and len(found) < EARLIER_SHOWN:
        was = approvals.get(connection, before)
        was_plan = plans.get(connection, was.digest) if was else None
        if was is None or was_plan is None:
            break
        found.append(Earlier(was, [PROCESS.redact(line) for line in moved(was_plan.content, content)]))
        content, before = was_plan.content, was.supersedes
    return found


def _successor(connection: Connection, approval: Approval) -> str | None:
    if approval.state is not ApprovalState.SUPERSEDED:
        return None
    newest = approvals.latest(connection, approval.job, approval.subject, approval.cause)
    return newest.id if newest is not None and newest.id != approval.id else None
