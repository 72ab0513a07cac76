"""Watching a run that changes the world until it ended."""

import sys
import time

from worker.cli.printing import clean
from worker.flow import Shift
from worker.ledger import effects, revisions, runs
from worker.records import Effect, Run, RunState, Verdict

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0


def follow(opened: Shift, run_id: str, *, quiet: bool) -> bool:
    """Tell each step on standard error as it goes; True when the world was looked at again and is as approved."""
    began, told = time.monotonic(), set[str]()
    while True:
        run, lines = _look(opened, run_id, waited=time.monotonic() - began)
        for line in lines:
            if line not in told and not quiet:
                sys.stderr.write(f"{clean(line)}\n")
            told.add(line)
        if run.state.terminal:
            break
        time.sleep(_LOOK_SECONDS)
    verified = run.state is RunState.SUCCEEDED and run.verdict is Verdict.VERIFIED
    if not quiet:
        sys.stderr.write(clean(_ended(run)) + "\n")
    return verified


def _look(opened: Shift, run_id: str, *, waited: float) -> tuple[Run, list[str]]:
    with opened.ledger.read() as connection:
        run = runs.get(connection, run_id)
        begun = effects.of_run(connection, run_id)
    assert run is not None
    lines = [line for effect in begun for line in _told(effect)]
    if run.state is RunState.QUEUED and (why := why_queued(opened, run, waited=waited)):
        lines.append(why)
    return run, lines


def _told(effect: Effect) -> list[str]:
    ended = f"step {effect.step}: {effect.outcome} {effect.detail}".rstrip()
    return [f"step {effect.step}: begun", *([ended] if effect.outcome else [])]


def why_queued(opened: Shift, run: Run, *, waited: float) -> str | None:
    """What keeps a queued run from beginning; None: nothing, it is only a moment."""
    with opened.ledger.read() as connection:
        state = revisions.state(connection)
        other = effects.in_hand(connection, run.job, run.subject or "", besides=run.id)
    if state.frozen_by is not None:
        brake = "killed" if state.killed else "frozen"
        return f"{brake} by {state.frozen_by}: {state.frozen_reason}; `nightshift thaw --reason …` lets it start"
    window = opened.estate().policy.frozen(run.environment, opened.clock())
    if window is not None:
        return f"freeze {window} of policy.toml holds: it starts when that ends, if the yes holds so long"
    if other is not None:
        settle = f", then `nightshift resolve {other.id} --reason …`" if other.state is RunState.NEEDS_ATTENTION else ""
        return f"waits for run {other.id}, which has {run.subject} in hand: see `nightshift runs {other.id}`{settle}"
    if waited > _PATIENCE_SECONDS:
        return "still queued: no worker took it. Is `nightshift up` (or `nightshift worker`) running?"
    return None


def _ended(run: Run) -> str:
    end = run.summary or f"{run.verdict or run.state}: {run.reason or ''}"
    if run.state is RunState.NEEDS_ATTENTION:
        return f"{end}\nsee `nightshift runs {run.id}`, then `nightshift resolve {run.id} --reason …`"
    return end
