"""From n8n to files: what changed there is taken, what changed here is kept, what changed in both is joined or refused."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, assert_never

from tasks.providers.n8n.difference import Change, differences
from tasks.providers.n8n.errors import Refused
from tasks.providers.n8n.folder import File, Folder, Seen, write_base, write_workflow
from tasks.providers.n8n.instance import Held, Instance, two_of_a_name
from tasks.providers.n8n.merging import merge
from tasks.providers.n8n.workflow import Workflow

Outcome = Literal["same", "new", "taken", "kept", "merged", "clash", "unpublished", "two of a name"]
Side = Literal["ours", "theirs"]


@dataclass(frozen=True, slots=True)
class Pull:
    """What happens to one file."""

    slug: str
    outcome: Outcome
    path: Path
    changes: tuple[Change, ...] = ()
    """From the file to what n8n holds."""
    clashes: tuple[str, ...] = ()
    held: Held | None = None
    result: Workflow | None = None
    """To write; None: the file stays as it is."""
    seen: Workflow | None = None
    """The new base."""
    replaces: Path | None = None
    """The file by its old name, if it was renamed in n8n."""


def plan_pull(
    folder: Folder, instance: Instance, base: Mapping[str, Seen], *, published: bool = False, clash: Side | None = None
) -> list[Pull]:
    """For each workflow of `instance`. `clash` says who wins where both changed the same thing."""
    slugs = {seen.id: slug for slug, seen in base.items()}
    pulls = []
    for slug, held in instance.by_slug().items():
        # Renamed in n8n: known by its id, and its file by the name that it had.
        known = slugs.get(held[0].id, slug) if slug not in folder.files else slug
        file = folder.files.get(known)
        pulls.append(_one(folder, slug, held, file, base.get(known), clash, published=published))
    return pulls


def carry_out_pull(folder: Folder, url: str, base: Mapping[str, Seen], pulls: list[Pull]) -> None:
    """Writes files and base; nothing at all if one of them clashes. Raises `Refused`."""
    bad = [_refusal(each) for each in pulls if each.outcome in ("clash", "two of a name")]
    if bad:
        raise Refused(("nothing was written:", *bad))
    folder.path.mkdir(parents=True, exist_ok=True)
    for each in pulls:
        if each.result is not None:
            write_workflow(each.path, each.result)
            if each.replaces is not None:
                each.replaces.unlink()
    fresh = {each.slug: Seen(each.held.id, each.seen) for each in pulls if each.held and each.seen}
    known = {seen.id for seen in fresh.values()}
    write_base(folder.path, url, {**{slug: seen for slug, seen in base.items() if seen.id not in known}, **fresh})


def _one(
    folder: Folder,
    slug: str,
    held: tuple[Held, ...],
    file: File | None,
    seen: Seen | None,
    side: Side | None,
    *,
    published: bool,
) -> Pull:
    path = file.path if file and file.workflow.slug == slug else folder.path / f"{slug}.json"
    if len(held) > 1:
        return Pull(slug, "two of a name", path, clashes=tuple(each.id for each in held))
    theirs = held[0].published if published else held[0].draft
    if theirs is None:
        return Pull(slug, "unpublished", path, held=held[0])
    if file is None:
        return Pull(slug, "new", path, held=held[0], result=theirs, seen=theirs)
    # n8n's API neither lists nor sets descriptions: they live in the file.
    theirs = replace(theirs, description=file.workflow.description)
    pull = Pull(slug, "same", path, differences(file.workflow, theirs), held=held[0], seen=theirs)
    pull = pull if path == file.path else replace(pull, replaces=file.path)
    return _three_way(pull, file.workflow, theirs, seen.workflow if seen else None, side) if pull.changes else pull


def _three_way(pull: Pull, ours: Workflow, theirs: Workflow, was: Workflow | None, side: Side | None) -> Pull:
    if was is None:
        return _clashing(pull, theirs, ("never pulled or pushed here",), side)
    if not differences(was, ours):
        return replace(pull, outcome="taken", result=theirs)
    if not differences(was, theirs):
        return replace(pull, outcome="kept")
    merged = merge(was, ours, theirs)
    if merged.workflow is None:
        return _clashing(pull, theirs, merged.clashes, side)
    return replace(pull, outcome="merged", result=merged.workflow)


def _clashing(pull: Pull, theirs: Workflow, clashes: tuple[str, ...], winner: Side | None) -> Pull:
    match winner:
        case "ours":
            return replace(pull, outcome="kept", clashes=clashes)
        case "theirs":
            return replace(pull, outcome="taken", clashes=clashes, result=theirs)
        case None:
            return replace(pull, outcome="clash", clashes=clashes)
        case _:
            assert_never(winner)


def _refusal(pull: Pull) -> str:
    if pull.outcome == "two of a name":
        return two_of_a_name(pull.slug, pull.clashes)
    why = "; ".join(pull.clashes)
    return f"{pull.slug}: changed here and in n8n ({why}): look with `n8n diff`, then pull with --theirs or --ours"
