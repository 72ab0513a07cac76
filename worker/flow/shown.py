"""How records look to the outside: the API, `--json`, webhooks and `ctx.ledger` all show the same members."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from tasks.job import Job
from tasks.model import Json

HIDDEN = frozenset({
    "lease_owner", "lease_until", "fence", "callback", "family", "request_digest", "mac", "identity",
    "account_limit", "account_slot", "memory_mb", "worker_slot",
})  # fmt: skip
"""Members of records that are nobody's business outside: locks, slots and bearer tokens."""


def shown(record: Any) -> dict[str, Json]:  # noqa: ANN401 - any dataclass
    """A record as JSON: enums by value, instants in ISO 8601 with Z, hidden members left out."""
    return {f.name: jsonable(getattr(record, f.name)) for f in fields(record) if f.name not in HIDDEN}


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


def jsonable(value: object) -> Json:  # noqa: PLR0911 - one return per kind
    """The nearest JSON value."""
    match value:
        case Enum():
            return jsonable(value.value)
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case bytes():
            return value.decode(errors="replace")
        case Sequence() | set() | frozenset():
            return [jsonable(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return shown(value)
        case _:
            return str(value)
