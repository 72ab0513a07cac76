"""START HERE: what happens to a run, each step one line.

A request or a schedule becomes a batch of queued runs (`enqueue`), each with a bell in the outbox. A bell brings a worker
to `execute_run`: a check looks, and asks people for what it would mend; their yes queues an effect, which is carried out.
Everything may run twice: the claim and the fence make that harmless. What people decide is in `deciding`, the other verbs
(cancel, acknowledge, mute, resolve, pause, freeze, …) in `verbs`, what the sweeper does about lost runs in `lost`.
"""

from collections.abc import Collection

import structlog

from worker.flow import carrying, looking
from worker.flow.claiming import claim, release, ring_next
from worker.flow.desk import Desk
from worker.flow.drafting import Order
from worker.flow.errors import LeaseLost
from worker.flow.intake import Enqueued, Request, enqueue
from worker.flow.outcome import Outcome, record
from worker.flow.pulse import PULSE, Watch
from worker.flow.shift import Shift
from worker.records import Run, RunKind

__all__ = ["Enqueued", "Order", "Outcome", "Request", "Shift", "enqueue", "execute_run"]

log = structlog.get_logger("nightshift.flow")


def execute_run(
    shift: Shift, run_id: str, job_name: str, worker: str, kinds: Collection[RunKind] = tuple(RunKind)
) -> Outcome | None:
    """Bring a queued run from claim to outcome. None: it was not ours to run, or no longer is.

    `kinds`: what this worker takes; one without write access takes no effects.
    """
    run = claim(shift, run_id, job_name, worker, kinds)
    if run is None:
        return None
    outcome = _run(shift, run)
    ring_next(shift, run)
    return outcome


def _run(shift: Shift, run: Run) -> Outcome | None:
    with PULSE.watching(shift, run) as watch:
        desk = Desk.of(shift, run, watch)
        try:
            match run.kind:
                case RunKind.CHECK:
                    return _check(shift, run, watch, desk)
                case RunKind.EFFECT:
                    return carrying.carry_out(shift, run, watch, desk)
        except LeaseLost:
            log.warning("run_lost_to_another_owner", run_id=run.id, job=run.job, fence=run.fence)
            return None


def _check(shift: Shift, run: Run, watch: Watch, desk: Desk) -> Outcome | None:
    selection, report = looking.look(shift, run, watch, desk)
    if watch.stop == "drained" and not report.whole:
        release(shift, run, watch, "drained")
        return None
    return record(shift, run, selection, report, watch, desk)
