"""Workflow drift: what n8n holds and runs, against the files in git. Looks only."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from tasks.canvas.entry import CanvasEntry
from tasks.canvas.remedy import Mending
from tasks.canvas.telling import line, short
from tasks.canvas.world import DRIFT, reason_of, subject_of
from tasks.context import Context
from tasks.errors import ProviderError
from tasks.job import Job, Params
from tasks.model import Answer, CannotTell, Finding, Json, Ok, Severity
from tasks.providers.n8n.api import N8nApi
from tasks.providers.n8n.checking import Condition, Report, State, check_folder
from tasks.providers.n8n.difference import Change
from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.folder import load_folder
from tasks.providers.n8n.instance import look

_CHANGES_TOLD = 20
_IN_ORDER: tuple[Condition, ...] = ("in sync", "moved only")


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
            yield Ok(entry=entry.name, subject=subject_of(entry, state.slug), summary=state.state)
        else:
            yield _finding(entry, state)
    if not told:
        yield Ok(entry=entry.name, subject=entry.name, summary="no workflow is in git, none is tagged")


def _finding(entry: CanvasEntry, state: State) -> Finding:
    changes = (*state.published_changes, *(each for each in state.draft_changes if each not in state.published_changes))
    reason = reason_of(state.state)
    by = f", published by {state.author}" if state.author else ""
    return Finding(
        entry=entry.name,
        subject=subject_of(entry, state.slug),
        key=f"{state.slug} {reason}",
        reason=reason,
        # One request at a time about a workflow, however it differs by now.
        cause="drift" if reason in DRIFT else None,
        severity=Severity.LOW if reason == "draft_differs" else Severity.MEDIUM,
        title=f"n8n: {state.slug}: {'a run would fail' if reason == 'would_fail' else state.state}",
        detail="\n".join([f"Saved {state.updated_at or 'never'}{by}.", *state.troubles, *map(line, changes[:_CHANGES_TOLD])]),
        evidence={
            "state": state.state,
            "author": state.author,
            "saved": state.updated_at,
            "workflow_id": state.id,
            "workflow": state.slug,
        },
        recheck=f"nightshift n8n check {entry.folder}",
        desired=_told(state.slug, [_side(each, each.before) for each in changes]),
        actual=_told(state.slug, [_side(each, each.after) for each in changes]),
    )


def _side(change: Change, value: Json) -> str:
    return f"{change.where}: {short(value)}"


def _told(slug: str, lines: Sequence[str]) -> Json:
    return {"workflow": slug, "differs": list(lines[:_CHANGES_TOLD])}


JOB: Job[Params] = Job(
    name="canvas",
    summary="Compares what n8n holds and runs with the workflow files in git.",
    check=check,
    params=Params,
    entry=CanvasEntry,
    time_limit=timedelta(minutes=5),
    remedy=Mending(),
)
