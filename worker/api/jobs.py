"""`/v1/jobs`: what can be asked for."""

from typing import Any

from fastapi import APIRouter

from tasks.job import Job
from worker.api.auth import Who
from worker.api.gateway import Here
from worker.api.problems import ProblemError
from worker.problems import did_you_mean

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


def job_shown(job: Job[Any]) -> dict[str, Any]:
    """The job with the JSON Schemas of its parameters and of an entry of its estate table."""
    return {
        "name": job.name,
        "summary": job.summary,
        "params": job.params.model_json_schema(),
        "entry": job.entry.model_json_schema() if job.entry else None,
        "entries_per_run": job.entries_per_run,
        "time_limit_seconds": job.time_limit.total_seconds(),
        "ad_hoc": job.ad_hoc,
        "examples": dict(job.examples),
    }


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
