"""Everything that a yes rests on, looked at again before the first step, and what no step may start without."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from worker.flow.authorizing import still_entitled
from worker.flow.carrying.endings import End, Held, Refusal, happened
from worker.flow.carrying.work import Work
from worker.flow.desk import ask
from worker.flow.errors import LeaseLost
from worker.flow.shift import Estate
from worker.ledger import approvals, effects, revisions
from worker.policy import Allowed, Denied, Rule, assess, judge, within_blast_radius
from worker.records import Approval, ApprovalState, Decision, Effect, EffectOutcome, LedgerState, RunState

BLAST_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _World:
    """What the ledger says now."""

    approval: Approval
    decisions: list[Decision]
    state: LedgerState
    begun: list[Effect]
    changed: set[str]


def check_again(work: Work) -> End | None:
    """None: the yes still holds, and the brakes are off; or nothing is left to do but to look."""
    world = ask(work.shift, lambda connection: _read(work, connection))
    if work.sealed is not None and _all_tried(work, world.begun):
        return None
    estate = work.shift.estate(work.run.revision)
    if (moved := configuration_moved(work, world.state, estate)) is not None:
        return moved
    if (stop := stopped(work)) or (stop := brakes(work, world.state, estate)):
        return as_end(work, stop)
    for question in (_approved, _in_time, _entitled, _in_execute, _covered):
        if (refusal := question(work, world, estate)) is not None:
            return work.refused(refusal)
    return None


def _all_tried(work: Work, begun: list[Effect]) -> bool:
    outcomes = {effect.step: effect.outcome for effect in begun}
    failed = EffectOutcome.FAILED in outcomes.values()
    return failed or all(outcomes.get(step.id) is EffectOutcome.APPLIED for step in work.plan.steps)


def configuration_moved(work: Work, state: LedgerState, estate: Estate) -> Held | None:
    """The run was claimed under one revision: under another everything is looked at again, from the claim on."""
    return None if state.revision == estate.revision == work.run.revision else Held("configuration_moved")


def as_end(work: Work, stop: Refusal | Held) -> End:
    return stop if isinstance(stop, Held) else work.refused(stop)


def stopped(work: Work) -> Refusal | Held | None:
    """What the heartbeat has heard, said at a boundary. Raises `LeaseLost`."""
    work.watch.must_stop()
    match work.watch.stop:
        case "lost":
            raise LeaseLost(f"run {work.run.id}: fence {work.run.fence} has lost its lease")
        case "drained":
            return Held("drained")
        case "cancelled":
            return cancelled(work.watch.stopped_by)
        case "killed":
            return KILLED
        case "time_limit":
            limit = work.job.time_limit
            return Refusal(code="time_limit", why=f"stopped at its time limit of {limit}", state=RunState.FAILED)
        case None:
            return None


KILLED = Refusal(code="killed", why="every effect was stopped by a kill; `nightshift thaw` lets others start again")


def cancelled(by: str | None) -> Refusal:
    return Refusal(code="cancelled", why=f"cancelled by {by}", state=RunState.CANCELLED)


def brakes(work: Work, state: LedgerState, estate: Estate) -> Refusal | Held | None:
    """Kill, freeze by hand and freeze windows. What is merely frozen keeps its yes, and waits."""
    if state.killed:
        return KILLED
    if state.frozen_by is not None:
        return Held("frozen", work.shift.pace.first_ring_again)
    if estate.policy.frozen(work.entry.environment, work.shift.clock()) is not None:
        return Held("freeze_window", work.shift.pace.first_ring_again)
    return None


def mode_refuses(work: Work, estate: Estate) -> Refusal | None:
    """Whether the environment, the one that was approved, is still in `execute`."""
    environment = work.entry.environment
    if environment != work.approval.environment:
        why = f"{work.entry.name} moved from environment {work.approval.environment!r} to {environment!r}; it is asked anew"
        return Refusal(code="environment_moved", why=why, becomes=ApprovalState.SUPERSEDED)
    mode = estate.mode(environment)
    if mode != "execute":
        return Refusal(code="not_in_execute", why=f"environment {environment!r} is in mode {mode}: nothing is carried out there")
    return None


def not_approved(approval: Approval | None) -> Refusal | None:
    if approval is not None and approval.state is ApprovalState.APPROVED:
        return None
    now = f"{approval.state} by {approval.ended_by}: {approval.ended_reason}" if approval is not None else "gone"
    return Refusal(code="not_approved", why=f"its approval is {now}")


def rule_for(work: Work, estate: Estate) -> Rule | Refusal:
    """The rule that covers the approved plan now. Of a seal that cannot be read: whatever rule it was approved under."""
    environment = work.entry.environment
    verdict = judge(estate.policy, work.plan, environment, assess(work.plan, environment).risk)
    match verdict:
        case Allowed(rule):
            return rule
        case Denied(code, why):
            return Refusal(code=code, why=why)


def _read(work: Work, connection: Connection) -> _World:
    approval = approvals.get(connection, work.approval.id)
    assert approval is not None
    since = work.shift.clock() - BLAST_WINDOW
    return _World(
        approval=approval,
        decisions=approvals.decisions(connection, approval.id),
        state=revisions.state(connection),
        begun=effects.of_run(connection, work.run.id),
        changed=effects.subjects_changed(connection, work.run.job, work.entry.environment, since),
    )


Question = Callable[[Work, _World, Estate], Refusal | None]


def _approved(work: Work, world: _World, estate: Estate) -> Refusal | None:  # noqa: ARG001 - the shape of a question
    return not_approved(world.approval)


def _in_time(work: Work, world: _World, estate: Estate) -> Refusal | None:  # noqa: ARG001
    return None if happened(world.begun) else _expired(work, world.approval)


def _expired(work: Work, approval: Approval) -> Refusal | None:
    expires_at = approval.expires_at
    if expires_at > work.shift.clock():
        return None
    why = f"the yes held until {expires_at:%Y-%m-%d %H:%M} UTC, and no step could start before; it is asked again if found again"
    return Refusal(code="expired", why=why, becomes=ApprovalState.EXPIRED)


def _entitled(work: Work, world: _World, estate: Estate) -> Refusal | None:  # noqa: ARG001
    lost = still_entitled(estate, world.approval, world.decisions)
    return None if lost is None else Refusal(code="quorum_lost", why=f"the yes does not hold any more: {lost}")


def _in_execute(work: Work, world: _World, estate: Estate) -> Refusal | None:  # noqa: ARG001
    return mode_refuses(work, estate)


def _covered(work: Work, world: _World, estate: Estate) -> Refusal | None:
    if work.sealed is None:
        return None
    rule = rule_for(work, estate)
    if isinstance(rule, Refusal) or happened(world.begun):
        return rule if isinstance(rule, Refusal) else None
    return _too_many(work, estate, rule, world.changed)


def _too_many(work: Work, estate: Estate, rule: Rule, changed: set[str]) -> Refusal | None:
    entries = [entry for entry in estate.table(work.job).values() if entry.environment == work.entry.environment]
    too_many = within_blast_radius(rule, changed=len(changed | {work.row.subject}), entries=len(entries))
    return None if too_many is None else Refusal(code=too_many.code, why=too_many.why)


def first_refused(work: Work, tx: Connection, approval: Approval, estate: Estate) -> Refusal | None:
    """What time and other runs may have changed since everything was looked at again; asked of a run's first step.

    Until the end of the transaction no other run of the job and environment begins: none is missing in the count.
    """
    if happened(effects.of_run(tx, work.run.id)):
        return None
    rule = rule_for(work, estate)
    if isinstance(rule, Refusal):
        return rule
    effects.hold_radius(tx, work.run.job, work.entry.environment)
    since = work.shift.clock() - BLAST_WINDOW
    changed = effects.subjects_changed(tx, work.run.job, work.entry.environment, since)
    return _expired(work, approval) or _too_many(work, estate, rule, changed)
