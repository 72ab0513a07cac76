"""Rules for workflow files, offline. Each has a code, says where and why, and how to mend it."""

from pathlib import Path

from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.folder import File, read_files, workflow_paths
from tasks.providers.n8n.lint import form, jobs, practice, shape, together, trust, types, waiting
from tasks.providers.n8n.lint.rule import RULES, Remark, View, rule
from tasks.providers.n8n.node_types import NodeTypes

FAMILIES = (form, shape, types, together, waiting, jobs, trust, practice)

rule(
    "unreadable",
    "error",
    why="n8n could not import it either.",
    mend="Export the workflow from n8n again, or correct the JSON at the place that is named.",
)(lambda _: iter(()))


def lint_folder(path: Path, types: NodeTypes | None = None) -> list[Remark]:
    """A folder, or one file. Raises `WorkflowError` only if there is no such place."""
    files: list[File] = []
    remarks: list[Remark] = []
    for each in [path] if path.is_file() else workflow_paths(path):
        try:
            files += read_files(each, types)
        except WorkflowError as error:
            remarks.append(Remark(each, "", RULES["unreadable"], str(error).removeprefix(f"{each}: ")))
    others = {file.workflow.slug: file.workflow for file in files}
    twice = [file for file in files if sum(other.workflow.slug == file.workflow.slug for other in files) > 1]
    for file in files:
        view = View(file.path, file.raw, file.text, file.workflow, others, types, whole_folder=path.is_dir())
        remarks += [Remark(file.path, where, each, says) for each in RULES.values() for where, says in each.look(view)]
        if file in twice:
            says = f"another file holds a workflow named {file.workflow.name!r}, too"
            remarks.append(Remark(file.path, "", RULES["one-name-twice"], says))
    return sorted(remarks, key=lambda remark: (remark.file, remark.rule.level, remark.rule.code, remark.where))


def errors_in(path: Path, types: NodeTypes | None = None) -> list[str]:
    """The errors alone, one line each: what stops a push."""
    found = [remark for remark in lint_folder(path, types) if remark.rule.level == "error"]
    return [f"{each.file}: {each.where + ': ' if each.where else ''}{each.rule.code}: {each.says}" for each in found]


__all__ = ["FAMILIES", "RULES", "Remark", "errors_in", "lint_folder"]
