"""A folder of workflow files, and beside them what was last seen in each n8n."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.gateway import IN_FILES
from tasks.providers.n8n.node_types import NodeTypes
from tasks.providers.n8n.reading import Names, read_workflow
from tasks.providers.n8n.workflow import Workflow
from tasks.providers.n8n.writing import as_json, render

BASE_FILE = ".n8n-base.json"
_BASE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class File:
    """One file as it lies there."""

    path: Path
    raw: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)
    workflow: Workflow


@dataclass(frozen=True, slots=True)
class Folder:
    """All workflow files of a folder, by slug."""

    path: Path
    files: Mapping[str, File]

    @property
    def workflows(self) -> dict[str, Workflow]:
        return {slug: file.workflow for slug, file in self.files.items()}

    def place(self, workflow: Workflow) -> Path:
        """Where it lies, or would."""
        known = self.files.get(workflow.slug)
        return known.path if known else self.path / f"{workflow.slug}.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a workflow was in one n8n when we last pulled or pushed it: the base of a three-way comparison."""

    id: str
    workflow: Workflow


def read_files(path: Path, types: NodeTypes | None = None, gateway: str = IN_FILES) -> list[File]:
    """One file, or every `*.json` of a folder, from an n8n that reaches us at `gateway`. Raises `WorkflowError`.

    Exports of one n8n know each other by their ids, and what was pulled or pushed in this folder by the base.
    """
    paths = [path] if path.is_file() else workflow_paths(path)
    texts = {each: _text(each) for each in paths}
    raws = {each: _json(each, text) for each, text in texts.items()}
    told = {str(raw["id"]): str(raw["name"]) for raw in raws.values() if raw.get("id") and raw.get("name")}
    names = Names({**_seen_ids(path.parent if path.is_file() else path), **told}, gateway=gateway)
    return [
        File(each, raw, texts[each], read_workflow(raw, where=str(each), names=names, types=types)) for each, raw in raws.items()
    ]


def workflow_paths(folder: Path) -> list[Path]:
    """Its `*.json`, hidden ones and folders beneath left out. Raises `WorkflowError` if there is no such folder."""
    if not folder.is_dir():
        raise WorkflowError(f"{folder}: no such file or folder")
    return sorted(each for each in folder.glob("*.json") if each.is_file() and not each.name.startswith("."))


def load_folder(path: Path, types: NodeTypes | None = None) -> Folder:
    """Raises `WorkflowError`, also when two files hold workflows of one name."""
    files: dict[str, File] = {}
    for file in read_files(path, types):
        slug = file.workflow.slug
        if slug in files:
            raise WorkflowError(
                f"{file.path} and {files[slug].path} both hold the workflow {slug}: others refer to it by that name; rename one"
            )
        files[slug] = file
    return Folder(path, files)


def write_workflow(path: Path, workflow: Workflow) -> None:
    """Replaces the file in one step: nobody reads half of it."""
    _replace(path, render(workflow))


def read_base(folder: Path, url: str) -> dict[str, Seen]:
    """What was last seen in the n8n at `url`; empty before the first pull or push."""
    path = folder / BASE_FILE
    if not path.exists():
        return {}
    told = _json(path, _text(path))
    if told.get("format") != _BASE_FORMAT:
        raise WorkflowError(f"{path}: of another version of Nightshift; delete it and pull again")
    return {slug: Seen(each["id"], read_workflow(each["workflow"], where=str(path))) for slug, each in _of(told, url).items()}


def write_base(folder: Path, url: str, seen: Mapping[str, Seen]) -> None:
    """Keeps what is known of other n8ns."""
    path = folder / BASE_FILE
    told: dict[str, Any] = _json(path, _text(path)) if path.exists() else {"format": _BASE_FORMAT, "instances": {}}
    told["instances"][url] = {slug: {"id": seen[slug].id, "workflow": as_json(seen[slug].workflow)} for slug in sorted(seen)}
    _replace(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def order(workflows: Mapping[str, Workflow]) -> list[str]:
    """Slugs, what others need first. Raises `WorkflowError` naming the circle if there is one."""
    done: list[str] = []

    def visit(slug: str, path: tuple[str, ...]) -> None:
        if slug in path:
            circle = " → ".join([*path[path.index(slug) :], slug])
            raise WorkflowError(f"workflows need each other in a circle: {circle}; n8n publishes none of them before the others")
        if slug in done or slug not in workflows:
            return
        for need in sorted(workflows[slug].needs()):
            visit(need, (*path, slug))
        done.append(slug)

    for slug in sorted(workflows):
        visit(slug, ())
    return done


def _seen_ids(folder: Path) -> dict[str, str]:
    base = folder / BASE_FILE
    told = _json(base, _text(base)).get("instances", {}) if base.exists() else {}
    return {each["id"]: str(each["workflow"]["name"]) for seen in told.values() for each in seen.values()}


def _of(told: Mapping[str, Any], url: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = told.get("instances", {}).get(url, {})
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise WorkflowError(f"{path}: not UTF-8 text") from error


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_no_key_twice)
    except ValueError as error:
        raise WorkflowError(f"{path}: not JSON: {error}") from error
    except RecursionError as error:
        raise WorkflowError(f"{path}: something in it is nested too deep") from error
    if isinstance(found, list):
        raise WorkflowError(f"{path}: holds a list of {len(found)}; export one file each: `n8n export:workflow --separate`")
    if not isinstance(found, dict):
        raise WorkflowError(f"{path}: not a workflow: the file must hold one JSON object")
    return found


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key in found if sum(key == each for each, _ in pairs) > 1)
        raise ValueError(f"the key {twice!r} stands there twice")
    return found


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def each_export(files: list[File]) -> Iterator[tuple[File, Path]]:
    """With the place where its normal form belongs: beside it, named by its slug."""
    for file in files:
        yield file, file.path.with_name(f"{file.workflow.slug}.json")
