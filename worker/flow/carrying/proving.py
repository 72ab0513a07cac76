"""Looking again: what was done is believed only once it is seen; else it is taken back, if that was approved."""

from dataclasses import dataclass, replace

from tasks.errors import Cancelled
from tasks.model import Json, Plan, Receipt, Step, Verification, VerificationVerdict
from worker.flow.carrying.checking import as_end, stopped
from worker.flow.carrying.endings import End, Ending, needs_attention
from worker.flow.carrying.stepping import in_order, take
from worker.flow.carrying.work import Work
from worker.flow.masking import masked, masked_text
from worker.flow.planning import takes_back
from worker.records import ApprovalState, Effect, EffectOutcome, RunState, Verdict

_STILL_LOOKS = frozenset({"cancelled", "killed"})
"""What stops steps does not stop looking at what they did."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What looking again showed, and of what."""

    of: str
    said: Verification

    @property
    def verified(self) -> bool:
        return self.said.verdict is VerificationVerdict.VERIFIED

    def facts(self) -> dict[str, Json]:
        said = self.said
        rechecks = [masked_text(line) for line in said.rechecks]
        told = {"detail": masked_text(said.detail), "evidence": masked(said.evidence), "rechecks": rechecks}
        return {"of": self.of, "verdict": str(said.verdict), **told}


def prove(work: Work) -> End:
    """The end of the run: verified, rolled back, or a person's."""
    seen = _look(work, "steps", work.plan)
    if not isinstance(seen, Seen):
        return seen
    if seen.verified and not _rolling_back(work):
        return Ending(
            state=RunState.SUCCEEDED,
            reason=None,
            summary=f"verified: {seen.said.detail}",
            verdict=Verdict.VERIFIED,
            approval=ApprovalState.CARRIED_OUT,
            seen=[seen.facts()],
        )
    reverse = _reverse_steps(work)
    if reverse:
        return _roll_back(work, seen, reverse)
    return _not_verified(work, seen)


def _look(work: Work, of: str, plan: Plan) -> Seen | End:
    """Never raises: what cannot be looked at cannot be told."""
    if work.watch.stop not in _STILL_LOOKS and (stop := stopped(work)) is not None:
        return as_end(work, stop)
    receipts = work.receipts(plan.steps)
    try:
        said = _verify(work, plan, receipts)
    except Cancelled:
        stop = None if work.watch.stop in _STILL_LOOKS else stopped(work)
        if stop is not None:
            return as_end(work, stop)
        said = Verification(verdict=VerificationVerdict.CANNOT_TELL, detail="it stopped looking, and nobody had told it to")
    except Exception as error:  # noqa: BLE001 - whatever it was, nothing was seen
        told = masked_text(f"{type(error).__name__}: {error}")
        said = Verification(verdict=VerificationVerdict.CANNOT_TELL, detail=f"looking again failed: {told}")
    return Seen(of, said)


def _verify(work: Work, plan: Plan, receipts: list[Receipt]) -> Verification:
    def must_stop() -> bool:
        return work.watch.must_stop() and work.watch.stop not in _STILL_LOOKS

    return work.remedy.verify(replace(work.ctx, cancelled=must_stop), plan, receipts)


def _rolling_back(work: Work) -> bool:
    return bool(work.outcomes().keys() & {step.id for step in work.plan.rollback})


def _reverse_steps(work: Work) -> list[Step]:
    """Approved with the plan, of steps that happened."""
    outcomes = work.outcomes()
    happened = {step for step, outcome in outcomes.items() if outcome is EffectOutcome.APPLIED}
    return [step for step in in_order(work.plan.rollback) if happened & takes_back(work.plan, step)]


def _left_over(work: Work, reverse: list[Step]) -> list[str]:
    """Steps that may have changed something, and that no reverse step has taken back: each step of its own, or of its target."""
    outcomes = work.outcomes()
    back = [step for step in reverse if outcomes.get(step.id) is EffectOutcome.APPLIED]
    ids, targets = {name for step in back for name in step.depends_on}, {step.target for step in back}

    def harmless(step: Step) -> bool:
        match outcomes.get(step.id, EffectOutcome.DID_NOT):
            case EffectOutcome.DID_NOT:
                return True
            case EffectOutcome.APPLIED:
                return step.id in ids or step.target in targets
            case _:
                return False

    kept = [step.id for step in work.plan.steps if not harmless(step)]
    return kept + [step.id for step in reverse if step not in back]


def _roll_back(work: Work, seen: Seen, reverse: list[Step]) -> End:
    end = take(work, reverse)
    if end is not None:
        return replace(end, seen=[seen.facts(), *end.seen]) if isinstance(end, Ending) else end
    again = _look(work, "rollback", replace(work.plan, steps=tuple(reverse), rollback=()))
    if not isinstance(again, Seen):
        return again
    both = [seen.facts(), again.facts()]
    if not again.verified:
        why = f"{seen.said.verdict}: {seen.said.detail}; taking it back is {again.said.verdict}: {again.said.detail}"
        told = f"{why}; {work.so_far()}"
        return needs_attention(work.run, "rollback_failed", told, verdict=Verdict(seen.said.verdict), seen=both)
    if left := _left_over(work, reverse):
        return _half_back(work, seen, again, left)
    return Ending(
        state=RunState.FAILED,
        reason="rolled_back",
        summary=f"{seen.said.verdict}: {seen.said.detail}; taken back, and verified: {again.said.detail}",
        verdict=Verdict.ROLLED_BACK,
        approval=ApprovalState.CARRIED_OUT,
        seen=both,
    )


def _half_back(work: Work, seen: Seen, again: Seen, left: list[str]) -> Ending:
    """What could be taken back was; of a step that failed nobody knows how much of it is still there."""
    failed = _failed(work)
    why = f"{seen.said.verdict}: {seen.said.detail}; taken back, and verified: {again.said.detail}; but not {', '.join(left)}"
    why = f"step {failed.step} failed: {failed.detail}; {why}" if failed is not None else why
    reason = "step_failed" if failed is not None else "rollback_failed"
    both = [seen.facts(), again.facts()]
    return needs_attention(work.run, reason, f"{why}; {work.so_far()}", verdict=Verdict(seen.said.verdict), seen=both)


def _failed(work: Work) -> Effect | None:
    return next((effect for effect in work.effects() if effect.outcome is EffectOutcome.FAILED), None)


def _not_verified(work: Work, seen: Seen) -> Ending:
    failed = _failed(work)
    why = f"{seen.said.verdict}: {seen.said.detail}; {work.so_far()}"
    if failed is not None:
        why = f"step {failed.step} failed: {failed.detail}; {why}"
    reason = "step_failed" if failed is not None else str(seen.said.verdict)
    return needs_attention(work.run, reason, why, verdict=Verdict(seen.said.verdict), seen=[seen.facts()])
