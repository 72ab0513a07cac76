"""What can be asked for."""

import json
from typing import Any

from tasks.job import Job
from worker.cli.opening import loaded
from worker.cli.printing import show_json, show_table
from worker.flow.shown import job_shown
from worker.wiring import House

_OPTIONS = frozenset({"entries", "targets"})
"""Parameters of every job that `run` has options for."""


def list_jobs(*, as_json: bool) -> None:
    """By name, those of plug-ins and of the settings too."""
    jobs = sorted(House(loaded().settings).jobs.items())
    if as_json:
        show_json([job_shown(job) for _, job in jobs])
        return
    rows = [(name, job.summary, _parameters(job)) for name, job in jobs]
    show_table(["job", "what it does", "parameters"], rows, empty="No jobs.")


def _parameters(job: Job[Any]) -> str:
    schema = job.params.model_json_schema()
    required = set(schema.get("required", ()))
    named = {name: facts for name, facts in schema.get("properties", {}).items() if name not in _OPTIONS}
    return ", ".join(
        f"{name}=…" if name in required else f"{name}={json.dumps(facts.get('default'))}" for name, facts in named.items()
    )
