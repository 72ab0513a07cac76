"""A workflow as git keeps it: what a run depends on and what a person drew, nothing that belongs to one n8n."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tasks.model import Json

REFERENCE = "wf:"
"""Leads the slug of another workflow where n8n has its id."""
STICKY = "n8n-nodes-base.stickyNote"
ERROR_TRIGGER = "n8n-nodes-base.errorTrigger"
SUB_WORKFLOW_TRIGGER = "n8n-nodes-base.executeWorkflowTrigger"
# Start a workflow only by a click in the editor, so that there is nothing to publish.
_BY_HAND = frozenset({"manualTrigger", "evaluationTrigger", "manualChatTrigger"})
_LONGEST = 200
"""Bytes of a slug: file systems take 255 for a name, and ours ends in more than `.json` while it is written."""
_STARTS = frozenset({"webhook", "start", "cron", "interval"})


def slug(name: str) -> str:
    """The file name of a workflow, without `.json`, and what others refer to it by."""
    words = re.sub(r"[\W_]+", "_", unicodedata.normalize("NFC", name).lower()).strip("_")
    if words and len(words.encode()) <= _LONGEST:
        return words
    # Of a name without a letter, or too long for a file system: the same each time, and another one for another name.
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{words.encode()[:_LONGEST].decode(errors='ignore') or 'workflow'}_{mark}"


@dataclass(frozen=True, slots=True)
class Node:
    """One node. Values equal to n8n's defaults are left out."""

    name: str
    id: str
    type: str
    version: float
    position: tuple[int, int]
    parameters: Mapping[str, Json] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    """Credential type to credential name; the id belongs to one n8n."""
    conduct: Mapping[str, Json] = field(default_factory=dict)
    """How it runs: disabled, retryOnFail, maxTries, onError, notes, …"""
    webhook_id: str | None = None

    @property
    def kind(self) -> str:
        """The type without its package: `httpRequest`."""
        return self.type.rpartition(".")[2]

    @property
    def disabled(self) -> bool:
        return self.conduct.get("disabled") is True

    @property
    def starts(self) -> bool:
        """Whether it can start the workflow."""
        return self.kind.endswith("Trigger") or self.kind in _STARTS

    @property
    def starts_in_production(self) -> bool:
        """Whether it can start the published workflow without a click in the editor."""
        return self.starts and self.kind not in _BY_HAND and not self.disabled


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """One line on the canvas."""

    source: str
    kind: str
    output: int
    target: str
    input: int = 0
    target_kind: str = "main"


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow in normal form: nodes by position, links in order, settings without defaults."""

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...] = ()
    settings: Mapping[str, Json] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    description: str = ""
    published: bool = True
    """False: it could be published, and is deliberately not (`"active": false` in the file)."""

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def to_publish(self) -> bool:
        """Whether n8n should have it published: only then do webhooks, schedules, callers and errors reach it."""
        return self.published and self.can_be_published

    @property
    def can_be_published(self) -> bool:
        return any(node.starts_in_production for node in self.nodes)

    def node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)

    def calls(self) -> Iterator[tuple[Node, str]]:
        """Nodes that run another workflow, and its slug, or its id in one n8n when no name is known."""
        for node in self.nodes:
            target = called(node)
            if target:
                yield node, target

    def needs(self) -> frozenset[str]:
        """Slugs of the workflows that must be there, and published, before this one. Itself is no need."""
        wanted = [target for _, target in self.calls()] + [str(self.settings.get("errorWorkflow", ""))]
        return frozenset(name.removeprefix(REFERENCE) for name in wanted if name.startswith(REFERENCE)) - {self.slug}


def called(node: Node) -> str | None:
    """What a node that runs another workflow names: `wf:slug`, or an id; None for an expression or an ordinary node."""
    given = node.parameters.get("workflowId")
    if isinstance(given, Mapping):
        given = given.get("value")
    if not isinstance(given, str) or not given or given.startswith("="):
        return None
    return given
