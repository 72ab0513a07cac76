"""What a command of the CLI said: its event log, read as it lies there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.resources import PACKAGE

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that ended."""

    exit_code: int
    output: str
    """Both of its streams."""
    log: str
    """The event log as text: for canaries."""

    @property
    def events(self) -> Sequence[dict[str, Json]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def operations(self, event: str = "resOutputsEvent") -> list[tuple[str, str, dict[str, Json]]]:
        """Operation, name and `detailedDiff` of each resource of the fake cloud, by name and then as they came."""
        found = [one[event]["metadata"] for one in self.events if event in one]
        ours = [one for one in found if one["type"].startswith(f"{PACKAGE}:")]
        return sorted(((_op(one), _name(one), one.get("detailedDiff") or {}) for one in ours), key=lambda one: one[1])

    def steps(self) -> dict[str, str]:
        """Name to operation."""
        return {name: operation for operation, name, _ in self.operations()}

    @property
    def summaries(self) -> list[dict[str, Json]]:
        return [one["summaryEvent"] for one in self.events if "summaryEvent" in one]

    @property
    def diagnostics(self) -> list[str]:
        return [one["diagnosticEvent"]["message"] for one in self.events if "diagnosticEvent" in one]


def read_log(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _op(metadata: dict[str, Json]) -> str:
    return str(metadata["op"])


def _name(metadata: dict[str, Json]) -> str:
    return str(metadata["urn"]).split("::")[-1]
