"""The job of the failure tests: notes each start where everybody can see it, works a while, and finds one thing."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tasks.context import Context, Entry
from tasks.errors import Cancelled
from tasks.job import Job, Params
from tasks.model import Answer, Finding, Severity

STARTS = "CHAOS_STARTS"
"""Environment variable that names the file of starts: one line `run pid` each."""


class Patient(Entry):
    """What a run is to do before it answers."""

    sleep_ms: int = 100
    deaf: bool = False
    """Does not look whether it is to stop."""
    hangs_first: bool = False
    """The first start of the run never ends."""


def check(ctx: Context, params: Params) -> Iterator[Answer]:
    first = note_start(Path(os.environ[STARTS]), ctx.run_id)
    for patient in ctx.selected:
        assert isinstance(patient, Patient)
        _work(ctx, patient, first=first)
        ctx.history.record(patient.name, "before", ctx.history.latest(patient.name, "looks") is not None)
        ctx.history.record(patient.name, "looks", ctx.run_id)
        ctx.artifacts.put("report.txt", ctx.run_id.encode())
        yield Finding(
            entry=patient.name,
            subject=patient.name,
            key="seen",
            reason="seen",
            severity=Severity.LOW,
            title=f"saw {patient.name}",
        )


def note_start(starts: Path, run_id: str) -> bool:
    """Whether it is the run's first. One short append: lines of several processes never mix."""
    first = run_id not in starts.read_text()
    with starts.open("a") as file:
        file.write(f"{run_id} {os.getpid()}\n")
    return first


def _work(ctx: Context, patient: Patient, *, first: bool) -> None:
    until = time.monotonic() + patient.sleep_ms / 1000
    while time.monotonic() < until or (patient.hangs_first and first):
        if not patient.deaf and ctx.cancelled():
            raise Cancelled
        time.sleep(0.01)
    ctx.log.info("worked", entry=patient.name)


JOB = Job(name="chaos", summary="Works a while", check=check, params=Params, entry=Patient, entries_per_run=1, ad_hoc=True)
