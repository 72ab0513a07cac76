"""Nights: schedules become batches, each fire once; and in the morning the night is closed and told.

Every fire ends as one batch under its fire key: of queued runs, or of one skipped run that says why not. A verb holds
the schedule's row for its transaction, so schedulers and callers who join come one by one; the unique key of
(schedule, fire key) stands behind that. What a dead process left undone, the cursor still asks for.
"""

from worker.flow.nights.calls import note_missed_calls
from worker.flow.nights.closing import Closed, close_night, close_night_now, digest_due
from worker.flow.nights.firing import fire, join_night, keep_newest, skip
from worker.flow.nights.report import night_so_far

__all__ = [
    "Closed",
    "close_night",
    "close_night_now",
    "digest_due",
    "fire",
    "join_night",
    "keep_newest",
    "night_so_far",
    "note_missed_calls",
    "skip",
]
