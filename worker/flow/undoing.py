"""Taking back what a run did: a new plan of reverse steps, asked for like any other, and never without a new yes."""

from dataclasses import dataclass, replace
from typing import Any

from tasks.context import Entry
from tasks.job import Job
from worker.flow import asking
from worker.flow.asking import Asked
from worker.flow.carrying.reversing import CAUSE, reverse_plan
from worker.flow.errors import Invalid, NotFound, Refused
from worker.flow.planning import Proposal
from worker.flow.shift import Estate, Shift
from worker.ledger import approvals, audit_rows, effects, plans, runs
from worker.policy import Denied, assess, judge
from worker.records import Actor, Approval, AuditEntry, Effect, PlanRow, Run, RunKind, RunState, Verdict
from worker.seal import OldSeal, seal

_NOT_ASKED = {
    Asked.QUIET: "the same was denied a short while ago",
    Asked.IN_HAND: "another run has the subject in hand, or needs a person",
    Asked.MUTED: "its findings are muted",
}


@dataclass(frozen=True, slots=True)
class _Done:
    """What there is to take back."""

    run: Run
    row: PlanRow
    begun: list[Effect]


def undo(shift: Shift, run_id: str, actor: Actor, reason: str) -> Approval:
    """Ask people to take back what the run did; returns their request, which may have been pending before.

    Raises `NotFound`, `Invalid`, `Refused` (`not_ended`, `rolled_back`, `nothing_to_undo`, `cannot_be_undone`, `old_seal`,
    `not_in_estate`, `not_in_execute`, a code of the policy, `not_asked`).
    """
    if not reason.strip():
        raise Invalid("`reason` is empty: say why, it is kept in the audit", field="reason")
    estate = shift.estate()
    done = _read(shift, run_id)
    proposal = _proposal(shift, estate, done)
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        # A canvas that names people must not be able to take the decision from them, one after the other.
        joins = approvals.hold_pending(tx, done.run.job, done.row.subject, CAUSE) is not None
        wanted = replace(proposal, requesters=asking.people_behind(tx, str(actor), proven=joins))
        [asked] = asking.ask(tx, estate, done.run, [wanted], now)
        if asked in _NOT_ASKED:
            raise Refused(f"run {run_id} is not asked to be taken back: {_NOT_ASKED[asked]}", code="not_asked")
        pending = approvals.hold_pending(tx, done.run.job, done.row.subject, CAUSE)
        assert pending is not None
        facts = {"reason": reason, "approval": pending.id, "digest": pending.digest}
        entry = AuditEntry(at=now, actor=str(actor), verb="run.undo_asked", object_kind="run", object_id=run_id, facts=facts)
        audit_rows.append(tx, entry)
    return pending


def _read(shift: Shift, run_id: str) -> _Done:
    with shift.ledger.read() as connection:
        run = runs.get(connection, run_id)
        if run is None:
            raise NotFound(f"no run {run_id}")
        row = plans.get(connection, run.plan or "")
        begun = effects.of_run(connection, run_id)
    if run.kind is not RunKind.EFFECT or row is None:
        raise Refused(f"run {run_id} is a check: it changed nothing", code="nothing_to_undo")
    if not run.state.terminal or run.state is RunState.NEEDS_ATTENTION:
        raise Refused(f"run {run_id} is {run.state}: it is taken back once it has ended", code="not_ended")
    if run.verdict is Verdict.ROLLED_BACK:
        raise Refused(f"run {run_id} took back by itself what it did", code="rolled_back")
    return _Done(run, row, begun)


def _proposal(shift: Shift, estate: Estate, done: _Done) -> Proposal:
    job = shift.jobs.get(done.run.job)
    entry = _entry(estate, job, done.row)
    assert job is not None
    mode = estate.mode(entry.environment)
    if mode == "observe":
        raise Refused(f"environment {entry.environment!r} is in mode observe: nothing is asked for there", code="not_in_execute")
    try:
        plan, simulation = reverse_plan(job.remedy, done.row, done.run.id, done.begun)  # type: ignore[arg-type]
    except OldSeal as error:
        raise Refused(f"the plan of run {done.run.id} cannot be read any more: {error}", code="old_seal") from error
    assessment = assess(plan, entry.environment)
    verdict = judge(estate.policy, plan, entry.environment, assessment.risk)
    if isinstance(verdict, Denied):
        raise Refused(verdict.why, code=verdict.code)
    return Proposal(
        sealed=seal(plan, subject=done.row.subject, cause=CAUSE, rule=verdict.rule.name),
        simulation=simulation,
        entry=entry,
        mode=mode,
        assessment=assessment,
        rule=verdict.rule,
        params=done.row.params,
    )


def _entry(estate: Estate, job: Job[Any] | None, row: PlanRow) -> Entry:
    entry = estate.table(job).get(row.entry) if job is not None and hasattr(job.remedy, "undo") else None
    if entry is None:
        raise Refused(f"{row.job}: {row.entry} is not in the estate in force, or cannot be undone", code="not_in_estate")
    return entry
