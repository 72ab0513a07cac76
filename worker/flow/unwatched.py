"""Findings about what nobody watches any more: an entry taken out of the estate, or a target that was looked at once."""

from datetime import timedelta

from worker.flow.shift import Shift
from worker.flow.verbs import note
from worker.ledger import findings
from worker.records import Actor, ActorKind, FindingRow

OWN_JOB = "nightshift"
"""Findings of the instance about itself."""
_KEPT = timedelta(hours=24)
_WHY = "no longer watched: it is not in the estate, and was not looked at for a day"


def retire(shift: Shift) -> int:
    """Resolve open findings of unwatched entries that were not seen for a day; returns how many.

    They were not mended, and say so.
    """
    now = shift.clock()
    with shift.ledger.read() as connection:
        old = [row for row in findings.listing(connection, limit=10_000) if row.observed_at < now - _KEPT]
    unwatched = [row for row in old if not _watched(shift, row)]
    for row in unwatched:
        with shift.ledger.transaction() as tx:
            if findings.retire(tx, row.id, at=now, reason=_WHY, observed_at=row.observed_at):
                note(tx, now, Actor(ActorKind.SWEEPER, "sweeper"), "finding.retired", "finding", row.id, reason=_WHY)
    return len(unwatched)


def _watched(shift: Shift, row: FindingRow) -> bool:
    if row.job == OWN_JOB:
        return True
    job = shift.jobs.get(row.job)
    # A job that this process does not know may be installed where the checks run.
    return job is None or job.gate or row.entry in shift.estate().table(job)
