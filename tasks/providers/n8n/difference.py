"""What makes two workflows different, told as a person would: a node moved is not a node changed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.model import Json
from tasks.providers.n8n.workflow import STICKY, Link, Node, Workflow

Kind = Literal["added", "removed", "changed", "renamed", "moved", "reordered"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `cosmetic`: no run can tell (a move that keeps the order of branches, a note)."""

    kind: Kind
    where: str
    before: Json = None
    after: Json = None
    cosmetic: bool = False


def differences(old: Workflow, new: Workflow) -> tuple[Change, ...]:
    """From `old` to `new`; empty if they are the same to the byte. Descriptions are left out: n8n's API cannot set them."""
    pairs = _pairs(old, new)
    names = {before.name: after.name for before, after in pairs}
    return (
        *_facts(old, new),
        *_nodes(old, new, pairs),
        *_links(old, new, names),
        *_order(old, new, names),
    )


def matters(changes: Sequence[Change]) -> bool:
    """Whether a run could tell."""
    return any(not change.cosmetic for change in changes)


def branch_order(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    """For nodes with several targets: the order in which execution order v1 runs them, top to bottom, then left to right."""
    places = {node.name: (node.position[1], node.position[0]) for node in workflow.nodes}
    targets: dict[str, list[str]] = defaultdict(list)
    for link in workflow.links:
        if link.kind == "main":
            targets[link.source].append(link.target)
    if workflow.settings.get("executionOrder") == "v1":
        return {
            source: tuple(sorted(set(each), key=lambda name: (places.get(name, (0, 0)), name)))
            for source, each in targets.items()
        }
    return {source: tuple(each) for source, each in targets.items()}


def _pairs(old: Workflow, new: Workflow) -> list[tuple[Node, Node]]:
    """The same node on both sides: by id, else by name (an import makes new ids)."""
    by_id = {node.id: node for node in new.nodes}
    matched = [(node, by_id[node.id]) for node in old.nodes if node.id in by_id and by_id[node.id].type == node.type]
    known, taken = {before.id for before, _ in matched}, {after.id for _, after in matched}
    by_name = {node.name: node for node in new.nodes if node.id not in taken}
    return matched + [(node, by_name[node.name]) for node in old.nodes if node.id not in known and node.name in by_name]


def _facts(old: Workflow, new: Workflow) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("renamed", "workflow", old.name, new.name)
    if old.published != new.published:
        yield Change("changed", "published", old.published, new.published)
    for tag in sorted({*old.tags} ^ {*new.tags}):
        yield Change("added" if tag in new.tags else "removed", f"tag {tag}")
    yield from _values("settings", old.settings, new.settings)


def _nodes(old: Workflow, new: Workflow, pairs: Sequence[tuple[Node, Node]]) -> Iterator[Change]:
    before, after = {a.id for a, _ in pairs}, {b.id for _, b in pairs}
    for node in old.nodes:
        if node.id not in before:
            yield Change("removed", f"node {node.name}", node.type, cosmetic=node.type == STICKY)
    for node in new.nodes:
        if node.id not in after:
            yield Change("added", f"node {node.name}", None, node.type, cosmetic=node.type == STICKY)
    for one, other in pairs:
        yield from _node(one, other)


def _node(old: Node, new: Node) -> Iterator[Change]:
    where, note = f"node {new.name}", new.type == STICKY
    if old.name != new.name:
        yield Change("renamed", where, old.name, new.name, cosmetic=note)
    if old.id != new.id:
        yield Change("changed", f"{where}: id", old.id, new.id, cosmetic=True)
    if old.position != new.position:
        yield Change("moved", where, list(old.position), list(new.position), cosmetic=True)
    for name, one, other in (
        ("type", old.type, new.type),
        ("typeVersion", old.version, new.version),
        ("webhookId", old.webhook_id, new.webhook_id),
    ):
        if one != other:
            yield Change("changed", f"{where}: {name}", one, other)
    for change in _values(where, old.conduct, new.conduct):
        yield _as_note(change) if change.where.rpartition(".")[2] in {"notes", "notesInFlow"} else change
    yield from _values(f"{where}: credentials", old.credentials, new.credentials)
    for change in _values(f"{where}: parameters", old.parameters, new.parameters):
        yield _as_note(change) if note else change


def _as_note(change: Change) -> Change:
    return Change(change.kind, change.where, change.before, change.after, cosmetic=True)


def _links(old: Workflow, new: Workflow, names: Mapping[str, str]) -> Iterator[Change]:
    before = {_renamed(link, names) for link in old.links}
    for link in sorted(before - {*new.links}):
        yield Change("removed", _told(link))
    for link in sorted({*new.links} - before):
        yield Change("added", _told(link))


def _renamed(link: Link, names: Mapping[str, str]) -> Link:
    source, target = names.get(link.source, link.source), names.get(link.target, link.target)
    return Link(source, link.kind, link.output, target, link.input, link.target_kind)


def _told(link: Link) -> str:
    output = f" (output {link.output})" if link.output else ""
    arrives = f" (input {link.input})" if link.input else ""
    return f"link {link.source}{output} → {link.target}{arrives}" + ("" if link.kind == "main" else f" [{link.kind}]")


def _order(old: Workflow, new: Workflow, names: Mapping[str, str]) -> Iterator[Change]:
    before = {
        names.get(source, source): [names.get(each, each) for each in targets] for source, targets in branch_order(old).items()
    }
    for source, targets in branch_order(new).items():
        was = before.get(source, [])
        both = [each for each in targets if each in was]
        if both != [each for each in was if each in targets]:
            yield Change("reordered", f"branches of {source}", was, list(targets))


def _values(where: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Change]:
    before, after = dict(_flat(old)), dict(_flat(new))
    for path in sorted({*before, *after}):
        if path not in after:
            yield Change("removed", f"{where}.{path}", before[path])
        elif path not in before:
            yield Change("added", f"{where}.{path}", None, after[path])
        elif not _same(before[path], after[path]):
            yield Change("changed", f"{where}.{path}", before[path], after[path])


def _same(one: Json, other: Json) -> bool:
    # In Python True equals 1; in JSON it does not.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _flat(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _flat(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from _flat(each, f"{path}[{index}]")
    elif path:
        yield path, value
