"""Does n8n hold and run what the files say: draft and published, by whom, since when, and what a run would miss."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tasks.providers.n8n.api import TESTED_VERSIONS
from tasks.providers.n8n.binding import missing_credentials
from tasks.providers.n8n.difference import Change, differences, matters
from tasks.providers.n8n.folder import Folder
from tasks.providers.n8n.instance import Held, Instance, two_of_a_name
from tasks.providers.n8n.workflow import REFERENCE, Workflow

Condition = Literal[
    "in sync", "moved only", "draft differs", "published differs", "both differ", "not published", "published against the file",
    "missing", "extra", "two of a name",
]  # fmt: skip
_FINE = ("in sync", "moved only")


@dataclass(frozen=True, slots=True)
class State:
    """One workflow."""

    slug: str
    state: Condition
    id: str = ""
    published: bool = False
    updated_at: str = ""
    author: str = ""
    draft_changes: tuple[Change, ...] = ()
    """From the file to the draft in n8n."""
    published_changes: tuple[Change, ...] = ()
    """From the file to what production runs."""
    troubles: tuple[str, ...] = ()
    """What a run would miss, whatever the files say: credentials, published callees, the error workflow."""


@dataclass(frozen=True, slots=True)
class Report:
    """All of them."""

    url: str
    version: str | None
    states: tuple[State, ...]
    extra_counts: bool
    """Whether a workflow that no file tells of is a difference: only if a tag says which are ours."""

    @property
    def tested(self) -> bool:
        return self.version in TESTED_VERSIONS

    @property
    def fine(self) -> bool:
        return not any(self._wrong(state) for state in self.states)

    def summary(self) -> str:
        ours = [state for state in self.states if state.state != "extra"]
        wrong = sum(map(self._wrong, self.states))
        extra = len(self.states) - len(ours)
        told = f"{len(ours)} workflows, {wrong} not as the files say" if wrong else f"{len(ours)} workflows, all as the files say"
        version = self.version or "an unknown version"
        tested = "" if self.tested else " (not tested: push refuses)"
        return f"{told}; {extra} in n8n only; n8n {version}{tested}"

    def _wrong(self, state: State) -> bool:
        return bool(state.troubles) or (state.state not in _FINE and (state.state != "extra" or self.extra_counts))


def check_folder(folder: Folder, instance: Instance, *, tag: str | None = None) -> Report:
    """Every file, and every workflow of n8n (with `tag`: of those that carry it)."""
    files = folder.workflows
    states = [_state(slug, workflow, instance) for slug, workflow in files.items()]
    ours = {held.id for slug in files for held in instance.named(slug)}
    states += [_extra(held) for held in instance.tagged(tag).held if held.id not in ours]
    return Report(instance.url, instance.version, tuple(sorted(states, key=lambda state: state.slug)), tag is not None)


def _extra(held: Held) -> State:
    return State(held.slug, "extra", held.id, held.published is not None, held.updated_at, held.author)


def _state(slug: str, workflow: Workflow, instance: Instance) -> State:
    found = instance.named(slug)
    if not found:
        return State(slug, "missing")
    if len(found) > 1:
        return State(slug, "two of a name", troubles=(two_of_a_name(slug, [each.id for each in found]),))
    held = found[0]
    draft = differences(workflow, replace(held.draft, published=workflow.published))
    live = differences(workflow, replace(held.published, published=workflow.published)) if held.published else ()
    return State(
        slug,
        _condition(workflow, held, draft, live),
        held.id,
        held.published is not None,
        held.updated_at,
        held.author,
        draft,
        live,
        tuple(dict.fromkeys(_troubles(held, instance))),
    )


def _condition(workflow: Workflow, held: Held, draft: tuple[Change, ...], live: tuple[Change, ...]) -> Condition:
    match matters(draft), matters(live):
        case True, True:
            return "both differ"
        case True, False:
            return "draft differs"
        case False, True:
            return "published differs"
    if workflow.to_publish and held.published is None:
        return "not published"
    if held.published is not None and not workflow.to_publish:
        return "published against the file"
    return "moved only" if draft or live else "in sync"


def _troubles(held: Held, instance: Instance) -> Iterator[str]:
    running = held.published or held.draft
    yield from missing_credentials(running, instance)
    yield from _dangling_ids(held, {each.id: each.type for each in instance.credentials})
    by_id = {each.id: each for each in instance.held}
    for node, target in running.calls():
        if not _reachable(target, instance, by_id):
            yield f"node {node.name} calls {target.removeprefix(REFERENCE)}, which n8n does not have, or not published"
    error = str(running.settings.get("errorWorkflow", ""))
    if error and not _reachable(error, instance, by_id):
        yield f"error workflow {error.removeprefix(REFERENCE)} is not in n8n, or not published: n8n will not call it, nor say so"


def _dangling_ids(held: Held, known: Mapping[str, str]) -> Iterator[str]:
    """Nodes whose credential was deleted: n8n keeps its id and name, and fails at the next run."""
    for node in held.raw["nodes"]:
        for kind, given in (node.get("credentials") or {}).items():
            if isinstance(given, Mapping) and known.get(str(given.get("id"))) != kind and not node.get("disabled"):
                name = given.get("name")
                yield f"node {node['name']} is not linked to the credential {name!r} of type {kind}: choose it in n8n, or push"


def _reachable(target: str, instance: Instance, by_id: Mapping[str, Held]) -> bool:
    if target.startswith(REFERENCE):
        return any(held.published is not None for held in instance.named(target.removeprefix(REFERENCE)))
    return target in by_id and by_id[target].published is not None
