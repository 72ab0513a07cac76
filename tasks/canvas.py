"""Workflow drift: what n8n holds and runs, against the files in git. Looks only; people push or adopt."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from tasks.context import Context, Entry
from tasks.errors import ProviderError
from tasks.job import Job, Params
from tasks.model import Answer, CannotTell, Finding, Json, Ok, Severity
from tasks.providers.n8n.api import N8nApi
from tasks.providers.n8n.checking import Condition, Report, State, check_folder
from tasks.providers.n8n.difference import Change
from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.folder import load_folder
from tasks.providers.n8n.gateway import IN_FILES
from tasks.providers.n8n.instance import look
from tasks.providers.n8n.secrets import masked

_CHANGES_TOLD = 20
_LONGEST_VALUE = 120
_IN_ORDER: tuple[Condition, ...] = ("in sync", "moved only")
_REASONS: Mapping[Condition, str] = {
    "in sync": "would_fail",
    "moved only": "would_fail",
    "draft differs": "draft_differs",
    "published differs": "published_differs",
    "both differ": "published_differs",
    "not published": "not_published",
    "published against the file": "published_against_the_file",
    "missing": "missing",
    "extra": "not_in_git",
    "two of a name": "two_of_a_name",
}


class CanvasEntry(Entry):
    """One n8n, and the folder of workflows that it should hold."""

    url: str = Field(pattern="^https?://", description="Of the n8n.")
    api_key: str = Field(
        description="An API key of it with the scopes workflow:list, credential:list and tag:list: env:NAME or file:PATH."
    )
    folder: Path = Field(description="Workflow files, as the worker reads them: a checkout of git.")
    tag: str | None = Field(None, description="Workflows with this tag that no file tells of are findings, too.")
    gateway_url: str = Field(IN_FILES, description="How that n8n reaches this gateway.")

    estate_only: ClassVar[frozenset[str]] = frozenset({"api_key", "folder", "url"})


def check(ctx: Context, params: Params) -> Iterator[Answer]:  # noqa: ARG001 - the shape of a check
    """One answer for each workflow that is a file, or should be."""
    for entry in ctx.entries(CanvasEntry):
        ctx.checkpoint()
        try:
            report = _report(ctx, entry)
        except (ProviderError, WorkflowError) as error:
            stage = error.stage if isinstance(error, ProviderError) else "files"
            yield CannotTell(entry=entry.name, subject=entry.name, reason="cannot_compare", stage=stage, detail=str(error))
            continue
        yield from _answers(entry, report)


def _report(ctx: Context, entry: CanvasEntry) -> Report:
    files = load_folder(entry.folder)
    with N8nApi(entry.url, ctx.secrets(entry.api_key), gateway=entry.gateway_url) as api:
        return check_folder(files, look(api), tag=entry.tag)


def _answers(entry: CanvasEntry, report: Report) -> Iterator[Answer]:
    told = [state for state in report.states if state.state != "extra" or report.extra_counts]
    for state in told:
        if state.state in _IN_ORDER and not state.troubles:
            yield Ok(entry=entry.name, subject=state.slug, summary=state.state)
        else:
            yield _finding(entry, state)
    if not told:
        yield Ok(entry=entry.name, subject=entry.name, summary="no workflow is in git, none is tagged")


def _finding(entry: CanvasEntry, state: State) -> Finding:
    changes = (*state.published_changes, *(each for each in state.draft_changes if each not in state.published_changes))
    reason = _REASONS[state.state]
    by = f", published by {state.author}" if state.author else ""
    return Finding(
        entry=entry.name,
        subject=state.slug,
        key=f"{state.slug} {reason}",
        reason=reason,
        severity=Severity.LOW if reason == "draft_differs" else Severity.MEDIUM,
        title=f"n8n: {state.slug}: {'a run would fail' if reason == 'would_fail' else state.state}",
        detail="\n".join([f"Saved {state.updated_at or 'never'}{by}.", *state.troubles, *map(_line, changes[:_CHANGES_TOLD])]),
        evidence={"state": state.state, "author": state.author, "saved": state.updated_at, "workflow_id": state.id},
        recheck=f"nightshift n8n check {entry.folder}",
        desired=_told(state.slug, [_side(each, each.before) for each in changes]),
        actual=_told(state.slug, [_side(each, each.after) for each in changes]),
    )


def _line(change: Change) -> str:
    return f"{change.kind} {change.where}: {_short(change.before)} → {_short(change.after)}"


def _side(change: Change, value: Json) -> str:
    return f"{change.where}: {_short(value)}"


def _told(slug: str, lines: Sequence[str]) -> Json:
    return {"workflow": slug, "differs": list(lines[:_CHANGES_TOLD])}


def _short(value: Json) -> str:
    text = masked(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) if value is not None else "nothing"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


JOB: Job[Params] = Job(
    name="canvas",
    summary="Compares what n8n holds and runs with the workflow files in git.",
    check=check,
    params=Params,
    entry=CanvasEntry,
    time_limit=timedelta(minutes=5),
)
