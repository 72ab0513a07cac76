"""How carrying out comes to an end, and the one transaction that writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import Connection

from tasks.model import Json
from worker.flow import asking
from worker.flow.desk import Desk
from worker.flow.errors import LeaseLost
from worker.flow.masking import masked_text
from worker.flow.outcome import Outcome, close_if_last, commit_once, ended
from worker.flow.planning import Proposal
from worker.flow.pulse import Watch
from worker.flow.rechecking import check_again
from worker.flow.shift import Shift
from worker.ledger import approvals, audit_rows, effects, keepings, leases
from worker.records import (
    ActorKind,
    ApprovalState,
    AuditEntry,
    Effect,
    EffectOutcome,
    Run,
    RunState,
    Verdict,
)

_LONGEST_SUMMARY = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What becomes of the run, and of its approval (None: stays as it is, for a run that a person may put back)."""

    state: RunState
    reason: str | None
    summary: str
    verdict: Verdict | None = None
    approval: ApprovalState | None = None
    proposals: Sequence[Proposal] = ()
    """Asked anew in the place of what was approved."""
    seen: Sequence[Mapping[str, Json]] = ()
    """What looking again showed, in order; each becomes an audit row."""


@dataclass(frozen=True, slots=True)
class Held:
    """Back in the queue, to be rung again after `pause`: nothing is decided yet, and the yes still holds."""

    reason: str
    pause: timedelta = field(default=timedelta(0))


@dataclass(frozen=True, slots=True)
class Left:
    """Nothing is written: a step's own process goes on without us, and the sweeper waits for its end."""

    reason: str


End: TypeAlias = Ending | Held | Left


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no step may start any more: a stable code, the reason with what to do next, and what the approval becomes."""

    code: str
    why: str
    becomes: ApprovalState = ApprovalState.REVOKED
    state: RunState = RunState.SKIPPED
    """Of the run, if nothing has happened yet."""
    proposals: Sequence[Proposal] = ()

    def ending(self, run: Run, begun: Sequence[Effect], planned: Sequence[str] = ()) -> Ending:
        """Harmless before the first step; after it, a person must see what is done and what is not."""
        if not happened(begun):
            return Ending(state=self.state, reason=self.code, summary=self.why, approval=self.becomes, proposals=self.proposals)
        return needs_attention(run, self.code, f"{self.why}; {so_far(begun, planned)}")


def happened(begun: Sequence[Effect]) -> list[Effect]:
    """Steps that changed something, or may have."""
    return [effect for effect in begun if effect.outcome is not EffectOutcome.DID_NOT]


def so_far(begun: Sequence[Effect], planned: Sequence[str]) -> str:
    """`done: a; failed: b; nobody knows: c; not begun: d`."""
    said = {
        EffectOutcome.APPLIED: "done",
        EffectOutcome.FAILED: "failed",
        EffectOutcome.DID_NOT: "not done",
        None: "nobody knows",
    }
    by_outcome = {words: [e.step for e in begun if e.outcome is outcome] for outcome, words in said.items()}
    by_outcome["not begun"] = [step for step in planned if step not in {effect.step for effect in begun}]
    return "; ".join(f"{words}: {', '.join(steps)}" for words, steps in by_outcome.items() if steps)


def needs_attention(
    run: Run, reason: str, why: str, *, verdict: Verdict | None = None, seen: Sequence[Mapping[str, Json]] = ()
) -> Ending:
    """A person is called; the approval stays, so that they may put the run back."""
    summary = f"{why}: look, then `nightshift resolve {run.id} --applied | --not-applied | --retry`"
    return Ending(state=RunState.NEEDS_ATTENTION, reason=reason, summary=summary, verdict=verdict, seen=seen)


def write_ending(shift: Shift, run: Run, watch: Watch, desk: Desk, end: Ending) -> Outcome:
    """Commit it, once. Raises `LeaseLost` when somebody else took the run over."""
    summary = masked_text(end.summary)[:_LONGEST_SUMMARY]
    outcome = Outcome(run_id=run.id, state=end.state, verdict=end.verdict, reason=end.reason, summary=summary)

    def write(tx: Connection) -> None:
        now = shift.clock()
        # Always the approval first, then the run: so does whoever revokes.
        approvals.hold(tx, run.approval_id or "")
        if not _finish(tx, run, outcome, watch):
            raise LeaseLost(f"run {run.id}: the lease of fence {run.fence} is over; its end is not written")
        for step in [effect.step for effect in effects.of_run(tx, run.id) if effect.outcome is None]:
            # Of an intent of our own: nobody does the step any more, and a person may say what became of it.
            effects.witness(tx, run, step, {})
        _keep(tx, run, watch, desk, now)
        audit_rows.append(tx, *_told(run, end, now), ended(run, outcome, now, by=_worker(run)))
        _end_approval(shift, tx, run, end, summary, now)
        _tell(tx, run, end, now)
        close_if_last(tx, run, now)

    commit_once(shift, run, write)
    return outcome


def _finish(tx: Connection, run: Run, outcome: Outcome, watch: Watch) -> bool:
    return leases.finish(
        tx,
        run,
        state=outcome.state,
        verdict=outcome.verdict,
        reason=outcome.reason,
        summary=outcome.summary,
        counts={},
        progress=watch.progress,
    )


def _keep(tx: Connection, run: Run, watch: Watch, desk: Desk, now: datetime) -> None:
    for (subject, name), (value, at) in desk.history.recorded.items():
        keepings.add_fact(tx, job=run.job, subject=subject, name=name, value=value, run_id=run.id, at=at)
    for name, artifact in desk.artifacts.kept:
        keepings.keep_artifact(tx, artifact, run_id=run.id, name=name)
    keepings.add_lines(tx, run.id, run.fence, watch.last_lines(now))


def _told(run: Run, end: Ending, now: datetime) -> list[AuditEntry]:
    return [
        AuditEntry(at=now, actor=_worker(run), verb="run.looked_again", object_kind="run", object_id=run.id, facts=facts)
        for facts in end.seen
    ]


def _end_approval(shift: Shift, tx: Connection, run: Run, end: Ending, summary: str, now: datetime) -> None:
    if end.approval is None or run.approval_id is None:
        return
    if end.approval is ApprovalState.CARRIED_OUT:
        carried_out(tx, run.approval_id, by=f"run:{run.id}", reason=summary, now=now)
        return
    approval = approvals.get(tx, run.approval_id)
    if approval is not None:
        asking.close(tx, approval, end.approval, by=f"run:{run.id}", reason=summary, now=now)
    if end.proposals:
        asking.ask(tx, shift.estate(run.revision), run, end.proposals, now)


def carried_out(tx: Connection, approval_id: str, *, by: str, reason: str, now: datetime) -> None:
    """approved → carried_out: its run has ended after a step."""
    values = {"state": ApprovalState.CARRIED_OUT, "ended_at": now, "ended_by": by, "ended_reason": reason}
    if approvals.change(tx, approval_id, from_states=(ApprovalState.APPROVED,), **values):
        approval = approvals.get(tx, approval_id)
        assert approval is not None
        asking.note(tx, now, by, "approval.carried_out", approval, reason=reason)


def _tell(tx: Connection, run: Run, end: Ending, now: datetime) -> None:
    if end.state is RunState.NEEDS_ATTENTION:
        asking.tell(tx, run.id, "run_needs_attention", now)
    elif end.verdict in (Verdict.VERIFIED, Verdict.ROLLED_BACK):
        asking.tell(tx, run.id, "remediation_ended", now)
        check_again(tx, run, now, by=_worker(run))


def _worker(run: Run) -> str:
    return f"{ActorKind.WORKER}:{run.worker}"
