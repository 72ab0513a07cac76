"""What one n8n holds, read once: drafts and published versions in normal form, with the ids that belong to it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.providers.n8n.api import Credential, N8nApi
from tasks.providers.n8n.errors import N8nError
from tasks.providers.n8n.node_types import NodeTypes
from tasks.providers.n8n.reading import Names, read_workflow
from tasks.providers.n8n.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Held:
    """One workflow as n8n holds it."""

    id: str
    draft: Workflow
    published: Workflow | None
    """What production runs; None: unpublished."""
    version_id: str
    published_version_id: str | None
    updated_at: str
    author: str
    """Who saved the draft, by name; empty if n8n does not say."""
    raw: Mapping[str, Any] = field(repr=False, compare=False)
    """As answered: may hold what somebody typed into a node."""

    @property
    def slug(self) -> str:
        return self.draft.slug


@dataclass(frozen=True, slots=True)
class Instance:
    """One n8n at one moment. Archived workflows are left out."""

    url: str
    version: str | None
    held: tuple[Held, ...]
    credentials: tuple[Credential, ...]
    tags: Mapping[str, str]

    def named(self, slug: str) -> tuple[Held, ...]:
        """Those of that name: n8n accepts a name twice."""
        return tuple(each for each in self.held if each.slug == slug)

    def by_slug(self) -> dict[str, tuple[Held, ...]]:
        found: dict[str, list[Held]] = defaultdict(list)
        for each in self.held:
            found[each.slug].append(each)
        return {slug: tuple(found[slug]) for slug in sorted(found)}

    def tagged(self, tag: str | None) -> "Instance":
        """Only the workflows with this tag; None: all."""
        return self if tag is None else replace(self, held=tuple(each for each in self.held if tag in each.draft.tags))


def look(api: N8nApi, types: NodeTypes | None = None) -> Instance:
    """Four calls for everything, one more for each 250 workflows, and for each draft that nobody published. Raises `N8nError`."""
    try:
        return _look(api, types)
    # An n8n of another time may shape its answers otherwise, anywhere in them.
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"[:200]
        raise N8nError(f"n8n at {api.url} answers in a form that we do not know ({told}): is its version tested?") from error


def _look(api: N8nApi, types: NodeTypes | None) -> Instance:
    version = api.version()
    credentials = api.credentials()
    raws = [raw for raw in api.workflows() if not raw.get("isArchived")]
    names = Names({str(raw["id"]): str(raw["name"]) for raw in raws}, {each.id: each.name for each in credentials}, api.gateway)
    held = tuple(_held(raw, _author(api, raw), names, types) for raw in raws)
    return Instance(api.url, version, held, tuple(credentials), api.tags())


def _held(raw: Mapping[str, Any], author: str, names: Names, types: NodeTypes | None) -> Held:
    where = f"workflow {raw['name']} ({raw['id']})"
    live: Mapping[str, Any] | None = raw.get("activeVersion")
    published = None
    if live is not None:
        both = {**raw, "nodes": live["nodes"], "connections": live["connections"]}
        published = read_workflow(both, where=where, names=names, types=types)
    return Held(
        id=str(raw["id"]),
        draft=read_workflow({**raw, "active": live is not None}, where=where, names=names, types=types),
        published=published,
        version_id=str(raw.get("versionId") or ""),
        published_version_id=str(live["versionId"]) if live else None,
        updated_at=str(raw.get("updatedAt") or ""),
        author=author,
        raw=raw,
    )


def two_of_a_name(slug: str, ids: Sequence[str]) -> str:
    """What to say when a name does not tell which workflow is meant."""
    return f"{slug}: n8n has {len(ids)} workflows of this name ({', '.join(ids)}): rename or archive all but one"


def _author(api: N8nApi, raw: Mapping[str, Any]) -> str:
    version = str(raw.get("versionId") or "")
    live = raw.get("activeVersion") or {}
    shown = live if live.get("versionId") == version else api.saved_version(str(raw["id"]), version)
    said = shown.get("authors") or ""
    return ", ".join(map(str, said)) if isinstance(said, list) else str(said)
