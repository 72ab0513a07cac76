"""Watching a run that changes the world until it ended."""

import sys
import time

from worker.cli.printing import clean
from worker.flow import Shift
from worker.ledger import effects, revisions, runs
from worker.records import Run, RunState, Verdict

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
        state = revisions.state(connection)
    assert run is not None
    lines = [f"step {effect.step}: begun" for effect in begun]
    lines += [f"step {effect.step}: {effect.outcome} {effect.detail}".rstrip() for effect in begun if effect.outcome]
    if run.state is RunState.QUEUED and state.frozen_by is not None:
        lines.append(f"frozen by {state.frozen_by}: {state.frozen_reason}; `nightshift thaw --reason …` lets it start")
    elif run.state is RunState.QUEUED and waited > _PATIENCE_SECONDS:
        lines.append("still queued: no worker took it. Is `nightshift up` (or `nightshift worker`) running?")
    return run, lines


def _ended(run: Run) -> str:
    end = run.summary or f"{run.verdict or run.state}: {run.reason or ''}"
    if run.state is RunState.NEEDS_ATTENTION:
        return f"{end}\nsee `nightshift runs {run.id}`, then `nightshift resolve {run.id} --reason …`"
    return end
