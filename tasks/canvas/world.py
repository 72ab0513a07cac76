"""One workflow as n8n holds it now, and the pins that a plan takes of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tasks.canvas.entry import CanvasEntry
from tasks.context import Context
from tasks.errors import EntryError
from tasks.model import Json, Step
from tasks.providers.n8n.api import N8nApi
from tasks.providers.n8n.checking import Condition
from tasks.providers.n8n.errors import Refused
from tasks.providers.n8n.folder import File, Folder, load_folder
from tasks.providers.n8n.instance import Held, Instance, look, two_of_a_name
from tasks.providers.n8n.workflow import Workflow
from tasks.providers.n8n.writing import as_json

_REASONS: Mapping[Condition, str] = {
    "in sync": "would_fail",
    "moved only": "would_fail",
    "draft differs": "draft_differs",
    "published differs": "published_differs",
    "both differ": "published_differs",
    "not published": "not_published",
    "published against the file": "published_against_the_file",
    "missing": "missing",
    "extra": "not_in_git",
    "two of a name": "two_of_a_name",
}
_BOTH_WAYS = frozenset({"draft_differs", "published_differs", "not_published", "published_against_the_file"})
PUSHABLE = _BOTH_WAYS | {"missing"}
"""Reasons of findings that a push mends. What is not in git is never deleted."""
ADOPTABLE = _BOTH_WAYS | {"not_in_git"}
"""Reasons of findings that an adoption mends."""
DRIFT = PUSHABLE | ADOPTABLE


def reason_of(state: Condition) -> str:
    """The reason code of a finding."""
    return _REASONS[state]


def subject_of(entry: CanvasEntry, slug: str) -> str:
    """With the n8n's name: two of them may hold the same workflows, and each is asked about and mended by itself."""
    return f"{slug} on {entry.name}"


@dataclass(frozen=True, slots=True)
class World:
    """The folder, the n8n, and the one workflow that this is about."""

    entry: CanvasEntry
    slug: str
    folder: Folder
    instance: Instance
    held: Held | None
    """None: n8n has no such workflow."""

    @property
    def file(self) -> File | None:
        return self.folder.files.get(self.slug)

    def alone(self) -> Folder:
        """The folder as if it held this file alone; what it needs must be in n8n already."""
        return replace(self.folder, files={self.slug: self.file} if self.file else {})

    def pins(self) -> dict[str, Json]:
        """Digests of what n8n holds and runs: the value that a step changes."""
        if self.held is None:
            return {"workflow_id": None, "draft": None, "published": None}
        return {"workflow_id": self.held.id, **pins_of(self.held.draft, self.held.published)}

    def versions(self) -> dict[str, Json]:
        """What may move while the content stays the same."""
        held = self.held
        ids = (held.version_id, held.published_version_id) if held else (None, None)
        return {"n8n": self.instance.version, "version_id": ids[0], "published_version_id": ids[1]}


def look_at(ctx: Context, entry: CanvasEntry, slug: str) -> World:
    """With the key that only reads. Raises `ProviderError` and `WorkflowError`."""
    with N8nApi(entry.url, ctx.secrets(entry.api_key), gateway=entry.gateway_url) as api:
        return world_of(entry, slug, look(api))


def world_of(entry: CanvasEntry, slug: str, instance: Instance) -> World:
    """Raises `Refused` if the name does not tell which workflow is meant."""
    found = instance.named(slug)
    if len(found) > 1:
        raise Refused((two_of_a_name(slug, [each.id for each in found]),))
    return World(entry, slug, load_folder(entry.folder), instance, found[0] if found else None)


def pins_of(draft: Workflow, published: Workflow | None) -> dict[str, Json]:
    """Two digests; the second is None for what is not published."""
    return {"draft": digest(draft), "published": digest(published) if published else None}


def digest(workflow: Workflow) -> str:
    """Of all that can differ between a file and n8n, but for whether it is published; n8n's API cannot set descriptions."""
    told = json.dumps(as_json(replace(workflow, description="", published=True)), sort_keys=True)
    # n8n writes 1.0 as 1.
    whole = json.loads(told, parse_float=lambda text: int(float(text)) if float(text).is_integer() else float(text))
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def fingerprint(before: Json) -> str:
    """Of what must still be so just before a step."""
    return hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()


def entry_of(ctx: Context, step: Step) -> CanvasEntry:
    """The entry of a step, if it still speaks of the same n8n and folder."""
    found = next((entry for entry in ctx.entries(CanvasEntry) if entry.name == step.arguments.get("entry")), None)
    if found is None:
        raise EntryError(f"canvas: the estate has no entry {step.arguments.get('entry')!r} any more")
    return found
