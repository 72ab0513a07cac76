"""Executions that failed in n8n: the error workflow tells of each, and it stays a finding for a day."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from pydantic import Field

from tasks.context import Context
from tasks.job import Job, Params
from tasks.model import Answer, Finding, Json, Ok, Severity

NAME = "workflow_failures"
KEPT = timedelta(days=1)
"""A workflow that did not fail again for so long is no finding any more."""
_FACT = "failures"
_ADDRESS = re.compile(r"https?://\S+")


class WorkflowFailuresParams(Params):
    """One failure, as n8n tells it; none: look at those that are known."""

    workflow: str = Field("", max_length=200, description="Name of the workflow that failed.")
    execution: str = Field("", max_length=40, description="Its execution's id.")
    node: str = Field("", max_length=200, description="The node that ran last.")
    message: str = Field("", max_length=300, description="What it said; addresses are left out.")


def check(ctx: Context, params: WorkflowFailuresParams) -> Iterator[Answer]:
    """Each workflow that failed within a day is a finding."""
    now = ctx.clock()
    known: dict[str, Mapping[str, Json]] = {name: told for name, told in _known(ctx).items() if now - _at(told) < KEPT}
    if params.workflow:
        # An address may hold a token: of a webhook, of a Wait, or typed into a query.
        message = _ADDRESS.sub("(an address)", params.message)
        at = now.isoformat()
        known[params.workflow] = {"at": at, "execution": params.execution, "node": params.node, "message": message}
    ctx.history.record(NAME, _FACT, known)
    for name, told in sorted(known.items()):
        yield _finding(name, told)
    if not known:
        yield Ok(entry=NAME, subject=NAME, summary="no workflow failed within a day")


def _finding(name: str, told: Mapping[str, Json]) -> Finding:
    message = told["message"] or "without a word"
    return Finding(
        entry=NAME,
        subject=name,
        key=name,
        reason="workflow_failed",
        severity=Severity.MEDIUM,
        title=f"n8n: {name} failed",
        detail=f"At node {told['node'] or '(none)'}: {message}. Look at execution {told['execution']} in n8n.",
        evidence=told,
    )


def _known(ctx: Context) -> dict[str, Mapping[str, Json]]:
    fact = ctx.history.latest(NAME, _FACT)
    value = fact.value if fact else {}
    return {str(name): told for name, told in value.items() if isinstance(told, Mapping)} if isinstance(value, Mapping) else {}


def _at(told: Mapping[str, Json]) -> datetime:
    return datetime.fromisoformat(str(told["at"]))


JOB: Job[WorkflowFailuresParams] = Job(
    name=NAME,
    summary="Keeps what failed in n8n as findings; n8n's error workflow tells it.",
    check=check,
    params=WorkflowFailuresParams,
    time_limit=timedelta(minutes=1),
    examples={"a failure": '{"workflow": "Nightshift / Hello", "execution": "7", "node": "Look", "message": "no answer"}'},
)
