"""`n8n diff` and `n8n check`."""

from pathlib import Path

import typer

from tasks.providers.n8n.checking import Report, State, check_folder
from tasks.providers.n8n.difference import Change, differences
from tasks.providers.n8n.folder import load_folder, read_files
from tasks.providers.n8n.instance import look
from worker.cli.n8n.opening import n8n_api, node_types
from worker.cli.n8n.telling import change_json, say_changes
from worker.cli.printing import say, show_json
from worker.cli.refusals import REFUSED


def diff_files(left: Path, right: Path, nodes: Path | None, *, as_json: bool) -> None:
    """Two files, or two folders by name of the workflow."""
    types = node_types(nodes)
    old = {file.workflow.slug: file.workflow for file in read_files(left, types)}
    new = {file.workflow.slug: file.workflow for file in read_files(right, types)}
    if left.is_file() and right.is_file():
        # Compared although one may have been renamed.
        ((slug, before),), (after,) = old.items(), new.values()
        _show({slug: differences(before, after)}, as_json=as_json)
        return
    found = {slug: differences(old[slug], new[slug]) for slug in sorted(old.keys() & new.keys())}
    found |= {slug: (Change("removed" if slug in old else "added", "workflow"),) for slug in sorted(old.keys() ^ new.keys())}
    _show(found, as_json=as_json)


def diff_with_n8n(folder: Path, nodes: Path | None, tag: str | None, *, published: bool, as_json: bool) -> None:
    """From the files to what n8n holds."""
    report = _report(folder, nodes, tag)
    found: dict[str, tuple[Change, ...]] = {}
    for state in report.states:
        if state.state in ("missing", "extra", "two of a name"):
            found[state.slug] = () if state.state == "extra" and tag is None else (Change("changed", f"workflow: {state.state}"),)
        else:
            found[state.slug] = state.published_changes if published else state.draft_changes
    _show(found, as_json=as_json)


def check(folder: Path, nodes: Path | None, tag: str | None, *, as_json: bool) -> None:
    """Every workflow's state; exit 1 if anything is not as the files say."""
    report = _report(folder, nodes, tag)
    if as_json:
        show_json(_json(report))
    else:
        for state in report.states:
            _say(state)
        say(report.summary())
    if not report.fine:
        raise typer.Exit(REFUSED)


def _report(folder: Path, nodes: Path | None, tag: str | None) -> Report:
    types = node_types(nodes)
    files = load_folder(folder, types)
    with n8n_api() as api:
        return check_folder(files, look(api, types), tag=tag)


def _show(found: dict[str, tuple[Change, ...]], *, as_json: bool) -> None:
    if as_json:
        show_json({slug: [change_json(each) for each in changes] for slug, changes in found.items()})
    else:
        for slug, changes in found.items():
            if changes:
                say(slug)
                say_changes(changes)
        if not any(found.values()):
            say("no difference")
    if any(found.values()):
        raise typer.Exit(REFUSED)


def _say(state: State) -> None:
    told = f", saved {state.updated_at}" if state.updated_at else ""
    told += f" by {state.author}" if state.author else ""
    say(f"{state.slug}: {state.state}{told}")
    for changes, what in ((state.draft_changes, "draft"), (state.published_changes, "published")):
        if changes:
            say(f"  {what}, from the file to n8n:")
            say_changes(changes)
    for trouble in state.troubles:
        say(f"  ! {trouble}")


def _json(report: Report) -> dict[str, object]:
    return {
        "n8n": {"url": report.url, "version": report.version, "tested": report.tested},
        "fine": report.fine,
        "workflows": {
            state.slug: {
                "state": state.state,
                "id": state.id,
                "published": state.published,
                "updated_at": state.updated_at or None,
                "author": state.author or None,
                "draft": [change_json(each) for each in state.draft_changes],
                "published_changes": [change_json(each) for each in state.published_changes],
                "troubles": list(state.troubles),
            }
            for state in report.states
        },
    }
