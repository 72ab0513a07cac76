"""`n8n fmt`, `n8n lint`, `n8n rules`: nothing is asked of n8n."""

from pathlib import Path

import typer

from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.folder import File, each_export, read_files, write_workflow
from tasks.providers.n8n.lint import RULES, Remark, lint_folder
from tasks.providers.n8n.writing import render
from worker.cli.n8n.opening import gateway, node_types
from worker.cli.printing import say, show_json, show_table
from worker.cli.refusals import REFUSED


def fmt(paths: list[Path], nodes: Path | None, *, check: bool) -> None:
    """All files are read before the first is written."""
    types = node_types(nodes)
    wanted = [pair for path in paths for pair in each_export(read_files(path, types, gateway()))]
    _require_one_place_each(wanted)
    stale = [(file, place) for file, place in wanted if file.path != place or file.text != render(file.workflow)]
    for file, place in stale:
        say(f"{file.path}{'' if file.path == place else f' → {place.name}'}")
        if not check:
            write_workflow(place, file.workflow)
            if file.path != place:
                file.path.unlink()
    if not stale:
        say(f"{len(wanted)} in normal form")
    elif check:
        raise typer.Exit(REFUSED)


def lint(path: Path, nodes: Path | None, *, strict: bool, as_json: bool) -> None:
    """Exit 1 if anything is an error."""
    remarks = lint_folder(path, node_types(nodes))
    if as_json:
        show_json([_json(remark) for remark in remarks])
    else:
        for remark in remarks:
            where = f"{remark.where}: " if remark.where else ""
            say(f"{remark.file}: {where}{remark.rule.level} {remark.rule.code}: {remark.says}")
            say(f"    why: {remark.rule.why}")
            say(f"    mend: {remark.rule.mend}")
        say(_total(remarks))
    if any(strict or remark.rule.level == "error" for remark in remarks):
        raise typer.Exit(REFUSED)


def rules(*, as_json: bool) -> None:
    """All of them, alphabetically."""
    listed = sorted(RULES.values(), key=lambda rule: rule.code)
    if as_json:
        show_json([{"code": each.code, "level": each.level, "why": each.why, "mend": each.mend} for each in listed])
        return
    show_table(["code", "level", "why", "mend"], [(each.code, each.level, each.why, each.mend) for each in listed], empty="")


def _total(remarks: list[Remark]) -> str:
    errors = sum(remark.rule.level == "error" for remark in remarks)
    return f"{errors} errors, {len(remarks) - errors} warnings" if remarks else "clean"


def _json(remark: Remark) -> dict[str, str]:
    rule = remark.rule
    return {
        "file": str(remark.file),
        "where": remark.where,
        "code": rule.code,
        "level": rule.level,
        "says": remark.says,
        "why": rule.why,
        "mend": rule.mend,
    }


def _require_one_place_each(pairs: list[tuple[File, Path]]) -> None:
    taken: dict[Path, File] = {}
    for file, place in pairs:
        if place in taken:
            raise WorkflowError(
                f"{taken[place].path} and {file.path} are both the workflow {place.stem}: rename one, or delete one"
            )
        if place != file.path and place.exists() and place not in {other.path for other, _ in pairs}:
            raise WorkflowError(f"{file.path} is the workflow of {place.name}, which is there already: delete one of them")
        taken[place] = file
