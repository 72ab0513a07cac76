"""The job `drift`: every Pulumi stack looked at every night, and what differs told apart. Knows no Pulumi, only what was seen."""

from datetime import timedelta

from tasks.drift.check import Check, Seen
from tasks.drift.entry import DriftEntry, DriftParams
from tasks.drift.proposing import Proposing
from tasks.job import Job

_SEEN = Seen()
_CHECK = Check(_SEEN)

JOB = Job(
    name="drift",
    summary="Looks whether the cloud, the state and the program of every Pulumi stack agree, and tells why they do not.",
    check=_CHECK,
    params=DriftParams,
    entry=DriftEntry,
    time_limit=timedelta(minutes=30),
    remedy=Proposing(_CHECK, _SEEN),
    examples={"programs, too": '{"full": true}'},
)

__all__ = ["JOB", "DriftEntry", "DriftParams"]
