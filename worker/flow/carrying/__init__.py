"""Carrying out an approved plan, each chapter one line: everything again, then step by step, then looking again.

A run that was interrupted goes on where its effects in the ledger say; nothing is done twice and nothing unknown is done again.
"""

from worker.flow.carrying.again import plan_again
from worker.flow.carrying.checking import check_again
from worker.flow.carrying.endings import End, Ending, Held, Left, write_ending
from worker.flow.carrying.intents import let_go
from worker.flow.carrying.proving import prove
from worker.flow.carrying.settling import settle_open
from worker.flow.carrying.stepping import take_steps
from worker.flow.carrying.work import Work, opened
from worker.flow.claiming import release
from worker.flow.desk import Desk
from worker.flow.outcome import Outcome
from worker.flow.pulse import Watch
from worker.flow.shift import Shift
from worker.records import Run

__all__ = ["carry_out"]


def carry_out(shift: Shift, run: Run, watch: Watch, desk: Desk) -> Outcome | None:
    """From claim to outcome. None: put back in the queue, or left to its step's own process. Raises `LeaseLost`."""
    try:
        with opened(shift, run, watch, desk) as work:
            end = _through(work) if isinstance(work, Work) else work
    except Exception:
        # Whatever it was: a process that lives and does nothing must not look as if it still did the step.
        let_go(shift, run)
        raise
    match end:
        case Ending():
            return write_ending(shift, run, watch, desk, end)
        case Held(reason, pause):
            release(shift, run, watch, reason, pause=pause)
        case Left(reason):
            desk.log.warning("left_to_its_program", reason=reason)
    return None


def _through(work: Work) -> End:
    for chapter in (settle_open, check_again, plan_again, take_steps):
        end = chapter(work)
        if end is not None:
            return end
    return prove(work)
