"""Planning again under the lease: what was approved is carried out only if it is still what there is to do."""

from collections.abc import Sequence

from sqlalchemy import Connection

from tasks.errors import Cancelled
from tasks.model import Finding, Plan, Severity, Simulation
from worker.flow.carrying.checking import as_end, stopped
from worker.flow.carrying.endings import End, Refusal, happened
from worker.flow.carrying.reversing import UNDO_OF, reverse_plan
from worker.flow.carrying.work import Work
from worker.flow.desk import ask
from worker.flow.masking import masked_text
from worker.flow.planning import Proposal, plan_for
from worker.ledger import audit_rows, effects, plans, runs
from worker.policy import Denied, assess, judge
from worker.records import ActorKind, ApprovalState, AuditEntry, Effect, FindingRow, PlanRow, RunState
from worker.seal import Sealed, moved, seal

_MOST_TOLD = 5


def plan_again(work: Work) -> End | None:
    """None: the change set is the approved one, or a step has happened and the stored plan goes on."""
    begun = work.effects()
    if happened(begun):
        return None if work.sealed is not None else work.refused(_UNREADABLE)
    try:
        made = _made(work)
    except Cancelled:
        stop = stopped(work)
        return as_end(work, stop) if stop else work.refused(_failed("it was told to stop, and nobody did"))
    except Exception as error:  # noqa: BLE001 - whatever a remedy raises, nothing is carried out
        return work.refused(_failed(masked_text(f"{type(error).__name__}: {error}")))
    if made is None:
        why = "there is nothing left to do: what it would mend is as it should be"
        return work.refused(Refusal(code="nothing_to_do", why=why, becomes=ApprovalState.SUPERSEDED))
    return _compare(work, *made)


_UNREADABLE = Refusal(code="old_seal", why="its plan was sealed by another version, and steps of it have happened")


def _failed(why: str) -> Refusal:
    return Refusal(code="plan_error", why=f"it could not be planned again: {why}", state=RunState.FAILED)


def _made(work: Work) -> tuple[Plan, Simulation] | None:
    undone = work.plan.parameters.get(UNDO_OF) if work.sealed is not None else None
    if undone is not None:
        return _reversed(work, str(undone))
    rows = ask(work.shift, lambda connection: plans.findings(connection, work.row.digest))
    return plan_for(work.job, work.params, work.ctx, _findings(rows), work.row.subject, work.row.cause)


def _reversed(work: Work, run_id: str) -> tuple[Plan, Simulation] | None:
    def read(connection: Connection) -> tuple[PlanRow | None, list[Effect]]:
        run = runs.get(connection, run_id)
        row = plans.get(connection, run.plan or "") if run is not None else None
        return row, effects.of_run(connection, run_id)

    row, begun = ask(work.shift, read)
    return None if row is None else reverse_plan(work.remedy, row, run_id, begun)


def _findings(rows: Sequence[FindingRow]) -> list[Finding]:
    """As the check gave them."""
    return [
        Finding(
            entry=row.entry,
            subject=row.subject,
            key=row.key,
            reason=row.reason,
            severity=Severity(row.severity),
            title=row.title,
            detail=row.detail,
            evidence=row.evidence,
            recheck=row.recheck,
            cause=row.cause,
            desired=row.desired,
            actual=row.actual,
        )
        for row in rows
    ]


def _compare(work: Work, plan: Plan, simulation: Simulation) -> End | None:
    estate = work.shift.estate(work.run.revision)
    assessment = assess(plan, work.entry.environment)
    verdict = judge(estate.policy, plan, work.entry.environment, assessment.risk)
    if isinstance(verdict, Denied):
        return work.refused(Refusal(code=verdict.code, why=verdict.why, becomes=ApprovalState.SUPERSEDED))
    again = seal(plan, subject=work.row.subject, cause=work.row.cause, rule=verdict.rule.name)
    if again.digest == work.row.digest:
        _note_pins(work, simulation)
        return None
    proposal = Proposal(
        sealed=again,
        simulation=simulation,
        entry=work.entry,
        mode=estate.mode(work.entry.environment),
        assessment=assessment,
        rule=verdict.rule,
        params=work.row.params,
    )
    why = f"the world moved since the yes: {_difference(work, again)}; it is asked anew"
    superseded = ApprovalState.SUPERSEDED
    return work.refused(Refusal(code="world_moved", why=why, becomes=superseded, proposals=[proposal]))


def _difference(work: Work, again: Sealed) -> str:
    if work.sealed is None:
        return "its plan was sealed by another version"
    lines = moved(work.row.content, again.content)
    more = [f"and {len(lines) - _MOST_TOLD} more"] if len(lines) > _MOST_TOLD else []
    return ", ".join([*lines[:_MOST_TOLD], *more])


def _note_pins(work: Work, simulation: Simulation) -> None:
    """The soft pins of then and of now: what may move as long as the change set stays the same."""
    facts = {"digest": work.row.digest, "approved_at_pins": dict(work.row.soft_pins), "pins": dict(simulation.soft_pins)}
    entry = AuditEntry(
        at=work.shift.clock(),
        actor=f"{ActorKind.WORKER}:{work.run.worker}",
        verb="run.planned_again",
        object_kind="run",
        object_id=work.run.id,
        facts=facts,
    )
    with work.shift.ledger.transaction() as tx:
        audit_rows.append(tx, entry)
