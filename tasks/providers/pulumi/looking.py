"""From the events of one command to what was seen."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.providers.pulumi.checkpoint import PROVIDER, ROOT, Deployment
from tasks.providers.pulumi.comparing import OPERATIONS, Comparison
from tasks.providers.pulumi.events import Event, read_events
from tasks.providers.pulumi.masking import Masker
from tasks.providers.pulumi.reasons import reason_of_read
from tasks.stacks import FailedRead, Looked, ResourceChange

MOST_DIAGNOSTICS = 100
_LONGEST_WORDS = 4000
_SAME = {"same", "refresh", "read"}
_REFUSAL = re.compile(r"marked for protection|cannot be deleted.{0,200}protect", re.DOTALL)
_END_OF_A_PREVIEW = re.compile(r"(error: )?preview failed")


@dataclass
class Seen:
    """What the events of one look tell."""

    looked: Looked
    deployment: Deployment
    masker: Masker
    changes: list[ResourceChange] = field(default_factory=list)
    refreshed: list[ResourceChange] = field(default_factory=list)
    hidden: list[ResourceChange] = field(default_factory=list)
    same: int = 0
    urns: dict[str, None] = field(default_factory=dict)
    """In order, each once."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """(URN or empty, Pulumi's words)."""
    stderr: list[str] = field(default_factory=list)
    """What program and plugins wrote there; that they did is no failure."""
    warnings: list[str] = field(default_factory=list)
    failed_urns: dict[str, None] = field(default_factory=dict)
    unreadable: bool = False
    """Some line of the log could not be read: what it was about is not known."""
    summary: str | None = None
    """`succeeded`, `failed`; None: the engine did not come to its end."""

    @cached_property
    def _read(self) -> frozenset[str]:
        """What D can say something about. With `--run-program` Pulumi tells providers and components as `update`, too, and
        nothing of them differs; what waits for its replacement it calls `same` and does not read.
        """
        return frozenset(str(one["urn"]) for one in self.deployment.custom() if not one.get("pendingReplacement"))

    def read(self, log: Path) -> "Seen":
        ignored = self._ignored()
        compare = Comparison(self.deployment, self.masker)

        def wanted(operation: str, urn: str) -> bool:
            return operation != "same" or urn in ignored

        for event in read_events(log, wanted=wanted):
            match event.kind:
                case "resOutputsEvent":
                    self._resource(event, compare, ignored)
                case "resOpFailedEvent":
                    self.failed_urns[event.urn] = None
                case "diagnosticEvent" if event.body:
                    self._diagnostic(event.body)
                case "errorEvent" if event.body:
                    self.errors.append(("", str(event.body.get("error", ""))))
                case "unreadable":
                    self.unreadable = True
                case "summaryEvent" if event.body:
                    self.summary = str(event.body.get("result") or "succeeded")
        return self

    def _ignored(self) -> Mapping[str, Sequence[str]]:
        """Where a difference may hide from Pulumi; only D sees the cloud as it is."""
        if self.looked is not Looked.D:
            return {}
        return {str(one["urn"]): one["ignoreChanges"] for one in self.deployment.custom() if one.get("ignoreChanges")}

    def _resource(self, event: Event, compare: Comparison, ignored: Mapping[str, Sequence[str]]) -> None:
        if _type(event.urn) == ROOT or (self.looked is Looked.D and event.urn not in self._read):
            return
        metadata = (event.body or {}).get("metadata") or {}
        reads = self.looked is Looked.D or event.operation == "refresh"
        if reads and (metadata.get("old") or {}).get("delete"):  # its successor has the same URN, and an event of its own
            return
        if event.operation == "refresh":
            self._refreshed(metadata, compare)
        elif operation := OPERATIONS.get(event.operation):
            self.urns[event.urn] = None
            self.changes.append(compare.change(metadata, operation))
        elif event.operation in _SAME and not _type(event.urn).startswith(PROVIDER):
            self.urns[event.urn] = None
            self.same += 1
            under = ignored.get(event.urn)
            if metadata and under and (found := compare.hidden(event.urn, metadata, under)):
                self.hidden.append(found)

    def _refreshed(self, metadata: Mapping[str, Any], compare: Comparison) -> None:
        """R begins with a refresh: a resource that is gone has no `new`, a changed one has differences."""
        if metadata.get("new") is None:
            self.refreshed.append(compare.change(metadata, "delete"))
        elif metadata.get("detailedDiff") or metadata.get("diffs"):
            self.refreshed.append(compare.change(metadata, "update"))

    def _diagnostic(self, body: Mapping[str, Any]) -> None:
        words = f"{body.get('prefix') or ''}{body.get('message') or ''}".strip()[:_LONGEST_WORDS]
        if not words:
            return
        if body.get("severity") == "error":
            self.errors.append((str(body.get("urn") or ""), words))
        elif body.get("severity") == "info#err":
            self.stderr.append(words)
        elif body.get("severity") == "warning":
            self.warnings.append(words)

    def failed(self) -> list[FailedRead]:
        """Resources that could not be looked at, each once, with Pulumi's words about it."""
        words: dict[str, list[str]] = {urn: [] for urn in self.failed_urns}
        known = self.deployment.by_urn
        for urn, said in self.errors:
            if urn in words or (urn in known and _type(urn) not in {ROOT, ""} and urn not in self.urns):
                words.setdefault(urn, []).append(said)
        return [self._failed(urn, "\n".join(said)) for urn, said in words.items()]

    def refused(self) -> list[FailedRead]:
        """What a preview showed and said that it would not do, such as to replace what is protected, if that alone made it fail:
        then the program came to its end, and everything that was seen counts.
        """
        reached = {urn for urn, _ in self.errors if urn in self.urns}
        told = [(urn, said) for urn, said in self.errors if urn in reached and _REFUSAL.search(said)]
        others = [said for urn, said in self.errors if (urn, said) not in told and not _END_OF_A_PREVIEW.fullmatch(said)]
        if others or self.failed_urns or self.summary is None:
            return []
        return [FailedRead(urn=urn, reason="protected", detail=self.masker.text(said)) for urn, said in told]

    def _failed(self, urn: str, said: str) -> FailedRead:
        return FailedRead(urn=urn, reason=reason_of_read(said), detail=self.masker.text(said))

    def unseen(self, reason: str, detail: str) -> list[FailedRead]:
        """What D should have read and said nothing of. What the stack only refers to is not its own to drift."""
        reached = {*self.urns, *(one.urn for one in self.failed())}
        owned = (str(one["urn"]) for one in self.deployment.custom() if not one.get("external") and not one.get("viewOf"))
        return [FailedRead(urn=urn, reason=reason, detail=detail) for urn in owned if urn not in reached]

    def diagnostics(self) -> tuple[str, ...]:
        """Errors and warnings without secrets."""
        said = [*(words for _, words in self.errors), *self.stderr, *self.warnings]
        return tuple(self.masker.text(words) for words in said[:MOST_DIAGNOSTICS])


def _type(urn: str) -> str:
    """`urn:pulumi:dev::lab::parent:Type$own:Type::name` is of `own:Type`."""
    parts = urn.split("::", 3)
    return parts[2].rpartition("$")[2] if len(parts) > 2 else ""  # noqa: PLR2004 - stack, project, type
