"""After a death: what became of the step that was under way."""

from tasks.errors import Cancelled
from worker.flow.carrying.checking import stopped
from worker.flow.carrying.endings import End, Held, needs_attention
from worker.flow.carrying.stepping import settle
from worker.flow.carrying.work import Work
from worker.flow.liveness import alive, told
from worker.records import Effect, EffectOutcome


def settle_open(work: Work) -> End | None:
    """None: every step that was ever begun has an outcome."""
    for effect in work.effects():
        if effect.outcome is None and (end := _settle(work, effect)) is not None:
            return end
    return None


def _settle(work: Work, effect: Effect) -> End | None:
    match alive(effect.process):
        case True:
            return Held("step_goes_on", work.shift.pace.first_ring_again)
        case None:
            why = f"nobody knows what became of {effect.step}: {told(effect.process)} cannot be asked from here"
            return needs_attention(work.run, "outcome_unknown", why)
        case False:
            pass
    steps = {step.id: step for step in (*work.plan.steps, *work.plan.rollback)} if work.sealed is not None else {}
    if effect.step not in steps:
        why = f"nobody knows what became of {effect.step}: its plan was sealed by another version"
        return needs_attention(work.run, "old_seal", why)
    try:
        done = settle(work, steps[effect.step], "its worker died before it could tell; the probe says that it")
    except Cancelled:
        if isinstance(stop := stopped(work), Held):
            return stop
        why = f"nobody knows what became of {effect.step}: the probe was told to stop"
        return needs_attention(work.run, "outcome_unknown", why)
    return None if isinstance(done, EffectOutcome) else done
