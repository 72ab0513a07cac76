"""What a push would do, all of it decided before the first write: pure, from what was read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tasks.providers.n8n.api import TESTED_VERSIONS
from tasks.providers.n8n.binding import cannot_unset, missing_credentials
from tasks.providers.n8n.difference import Change, differences
from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.folder import Folder, Seen, order
from tasks.providers.n8n.instance import Held, Instance, two_of_a_name
from tasks.providers.n8n.workflow import REFERENCE, Workflow

Action = Literal["create", "update", "publish", "unpublish", "same", "archive", "part"]
"""`part`: the draft and what is published become two different things."""


@dataclass(frozen=True, slots=True)
class Write:
    """What happens to one workflow."""

    slug: str
    action: Action
    workflow: Workflow
    held: Held | None = None
    changes: tuple[Change, ...] = ()
    """From what n8n holds to the file."""
    live: Workflow | None = None
    """Of `part`: what is to be published beside the draft `workflow`; None: nothing."""

    @property
    def to_run(self) -> Workflow | None:
        """What production is to run; None: nothing."""
        if self.action == "part":
            return self.live
        return self.workflow if self.workflow.to_publish else None


@dataclass(frozen=True, slots=True)
class Edit:
    """A workflow that somebody changed in n8n since we last saw it."""

    slug: str
    held: Held
    changes: tuple[Change, ...]
    """What was done in n8n, if the base is known; else what a push would do to it."""


@dataclass(frozen=True, slots=True)
class PushPlan:
    """In the order in which it will be carried out. With a refusal, nothing is."""

    writes: tuple[Write, ...]
    new_tags: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()

    @property
    def work(self) -> tuple[Write, ...]:
        """Those that change n8n."""
        return tuple(each for each in self.writes if each.action != "same")


def plan_push(
    folder: Folder, instance: Instance, base: Mapping[str, Seen], *, force: bool = False, prune: bool = False
) -> PushPlan:
    """Raises nothing: whatever forbids the push is a sentence in `refusals`."""
    workflows = folder.workflows
    try:
        slugs = order(workflows)
    except WorkflowError as error:
        return PushPlan((), refusals=(str(error),))
    refusals = [*_version(instance), *(each for slug in slugs for each in _obstacles(workflows[slug], workflows, instance))]
    writes, edits = [], []
    for slug in slugs:
        held = instance.named(slug)
        if len(held) > 1:
            refusals.append(two_of_a_name(slug, [each.id for each in held]))
            continue
        renamed = None if held else _renamed(base.get(slug), instance)
        if renamed:
            refusals.append(f"{slug}: was renamed in n8n to {renamed.draft.name!r} ({renamed.id}): pull, and delete the old file")
        writes.append(_write(workflows[slug], held[0] if held else None))
        edit = _edit(writes[-1], base.get(slug))
        if edit:
            edits.append(edit)
    if not force:
        refusals += [_edited(edit) for edit in edits]
    writes += _archived(folder, instance, base) if prune else ()
    new_tags = sorted({tag for each in workflows.values() for tag in each.tags} - instance.tags.keys())
    return PushPlan(tuple(writes), tuple(new_tags), tuple(refusals), tuple(edits))


def _version(instance: Instance) -> Iterator[str]:
    if instance.version not in TESTED_VERSIONS:
        found = f"is version {instance.version}" if instance.version else "does not say its version"
        yield (
            f"n8n at {instance.url} {found}; push was tested with {', '.join(TESTED_VERSIONS)} only. "
            "fmt, lint, diff, check and pull work; import the files by hand, or use a tested version"
        )


def _write(workflow: Workflow, held: Held | None) -> Write:
    if held is None:
        return Write(workflow.slug, "create", workflow)
    changes = differences(replace(held.draft, published=workflow.published), workflow)
    if changes:
        return Write(workflow.slug, "update", workflow, held, changes)
    if not workflow.to_publish:
        return Write(workflow.slug, "same" if held.published is None else "unpublish", workflow, held)
    live = held.published
    same = live is not None and not differences(replace(live, published=workflow.published), workflow)
    return Write(workflow.slug, "same" if same else "publish", workflow, held)


def _edit(write: Write, seen: Seen | None) -> Edit | None:
    """Only an edit that the push would undo: also to have unpublished it is one."""
    if write.held is None or write.action == "same":
        return None
    if seen is None or seen.id != write.held.id:
        return Edit(write.slug, write.held, write.changes) if write.changes else None
    done = differences(replace(seen.workflow, description=write.held.draft.description), write.held.draft)
    return Edit(write.slug, write.held, done) if done else None


def _edited(edit: Edit) -> str:
    by = f" by {edit.held.author}" if edit.held.author else ""
    return (
        f"{edit.slug}: changed in n8n{by} ({edit.held.updated_at}), and not pulled since: "
        "`n8n pull` joins it with the file, `n8n adopt` makes a commit of it, --force overwrites it and keeps a copy"
    )


def _renamed(seen: Seen | None, instance: Instance) -> Held | None:
    return next((each for each in instance.held if seen and each.id == seen.id), None)


def _obstacles(workflow: Workflow, workflows: Mapping[str, Workflow], instance: Instance) -> Iterator[str]:
    yield from missing_credentials(workflow, instance)
    for node, target in workflow.calls():
        where = f"{workflow.slug}: node {node.name}"
        yield from _unreachable(where, target, workflows, instance, "n8n publishes no caller of an unpublished workflow")
    error = str(workflow.settings.get("errorWorkflow", ""))
    if error:
        where = f"{workflow.slug}: error workflow"
        yield from _unreachable(
            where, error, workflows, instance, "n8n never calls an unpublished error workflow, and says nothing"
        )
    held = instance.named(workflow.slug)
    for key in cannot_unset(workflow.settings, held[0].draft.settings) if len(held) == 1 else ():
        yield f"{workflow.slug}: n8n's API cannot remove the setting {key}: write the value that you want into the file"


def _unreachable(where: str, target: str, workflows: Mapping[str, Workflow], instance: Instance, why: str) -> Iterator[str]:
    slug = target.removeprefix(REFERENCE)
    if slug in workflows:
        if not workflows[slug].to_publish:
            yield f"{where}: {slug} is not to be published (no trigger, or `active: false`): {why}"
        return
    held = instance.named(slug) if target.startswith(REFERENCE) else tuple(each for each in instance.held if each.id == target)
    if not held:
        yield f"{where}: there is no workflow {slug}, neither as a file nor in n8n: add its file, or correct the reference"
    elif len(held) > 1:
        yield f"{where}: {two_of_a_name(slug, [each.id for each in held])}"
    elif held[0].published is None:
        yield f"{where}: {slug} is in n8n only, and not published: {why}; publish it there, or add its file"


def _archived(folder: Folder, instance: Instance, base: Mapping[str, Seen]) -> Iterator[Write]:
    """What we once pushed or pulled and that has no file any more."""
    known = {seen.id: slug for slug, seen in base.items() if slug not in folder.files}
    for held in instance.held:
        if held.id in known and held.slug not in folder.files:
            yield Write(held.slug, "archive", held.draft, held)
