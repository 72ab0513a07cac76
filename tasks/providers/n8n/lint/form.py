"""Is it the file that git should keep?"""

from collections.abc import Iterator, Mapping

from tasks.providers.n8n.lint.rule import Find, View, rule
from tasks.providers.n8n.reading import CONDUCT_DEFAULTS, SETTINGS
from tasks.providers.n8n.writing import render

_NODE_KEYS = {"id", "name", "type", "typeVersion", "position", "parameters", "credentials", "webhookId", *CONDUCT_DEFAULTS}
# n8n's own book-keeping inside a node or a setting: gone after fmt, and nobody misses it.
_PASSING = {"createdAt", "updatedAt", "binaryMode", "color", "iconUrl"}


@rule(
    "file-name",
    "warning",
    why="Others refer to a workflow by its name as a slug; a file that is called otherwise is not found by people.",
    mend="nightshift n8n fmt renames it.",
)
def _file_name(view: View) -> Iterator[Find]:
    if view.path.stem != view.workflow.slug:
        yield "", f"should be called {view.workflow.slug}.json"


@rule(
    "normal-form",
    "warning",
    why="Every export orders and fills files otherwise; only one form gives diffs that show what somebody changed.",
    mend="nightshift n8n fmt",
)
def _normal_form(view: View) -> Iterator[Find]:
    if view.text != render(view.workflow):
        yield "", "is not in normal form"


@rule(
    "lost-key",
    "warning",
    why="n8n's public API takes no such key, so it never reaches another n8n.",
    mend="Say it in a way that n8n's API knows, or delete the key; fmt drops it.",
)
def _lost_key(view: View) -> Iterator[Find]:
    for node in view.raw["nodes"]:
        for key in sorted(node.keys() - _NODE_KEYS - _PASSING):
            yield str(node["name"]), f"the key {key!r} cannot be carried"
    settings = view.raw.get("settings") or {}
    for key in sorted(settings.keys() - {*SETTINGS} - _PASSING):
        yield f"settings.{key}", "cannot be carried"


@rule(
    "pinned-data",
    "error",
    why="Pinned data is what a real run returned: names, addresses, tokens; and the editor plays it instead of running the node.",
    mend="Unpin it in the editor; nightshift n8n fmt leaves it out.",
)
def _pinned(view: View) -> Iterator[Find]:
    pinned = view.raw.get("pinData")
    for name in sorted(pinned) if isinstance(pinned, Mapping) else ():
        yield str(name), "has pinned data"


@rule(
    "personal",
    "warning",
    why="Backups of n8n's command line carry the owner's name and e-mail address, and the state of polling triggers.",
    mend="nightshift n8n fmt leaves them out.",
)
def _personal(view: View) -> Iterator[Find]:
    for key in ("shared", "staticData", "homeProject"):
        if view.raw.get(key):
            yield key, "belongs to one n8n and its owner"


@rule(
    "credential-id",
    "error",
    why="n8n links a credential without the key `id` to the first one of its type, whatever its name says.",
    mend="nightshift n8n fmt writes `id: null`, which n8n looks up by name.",
)
def _credential_id(view: View) -> Iterator[Find]:
    for node in view.raw["nodes"]:
        for kind, given in (node.get("credentials") or {}).items():
            if not isinstance(given, Mapping) or "id" not in given:
                yield str(node["name"]), f"its {kind} has no key `id`"
