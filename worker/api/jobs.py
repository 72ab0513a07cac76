"""`/v1/jobs`: what can be asked for."""

from typing import Any

from fastapi import APIRouter

from worker.api.auth import Who
from worker.api.gateway import Here
from worker.api.problems import ProblemError
from worker.flow.shown import job_shown
from worker.problems import did_you_mean

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("")
def list_jobs(here: Here, _: Who) -> dict[str, Any]:
    """All jobs, by name."""
    return {"jobs": [job_shown(job) for _, job in sorted(here.shift.jobs.items())]}


@router.get("/{name}")
def get_job(name: str, here: Here, who: Who) -> dict[str, Any]:
    """One job, and the entries of its estate table that the caller may read."""
    job = here.shift.jobs.get(name)
    if job is None:
        known = sorted(here.shift.jobs)
        raise ProblemError(404, "unknown_job", f"no job is called {name!r}: {did_you_mean(name, known)}", accepted=known)
    entries = [entry for entry in here.shift.estate().table(job).values() if who.may("read", name, entry.environment)]
    return {**job_shown(job), "entries": [entry.name for entry in entries]}
