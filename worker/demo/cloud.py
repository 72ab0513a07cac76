"""The demo's cloud: a folder with a JSON file for each object. Whoever edits one of them acts behind Pulumi's back."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

Properties = dict[str, str]


@dataclass(frozen=True, slots=True)
class Cloud:
    """Any number of provider processes share the folder: a file is replaced whole."""

    folder: Path

    def get(self, object_id: str) -> Properties | None:
        """None: there is no such object."""
        try:
            found: Properties = json.loads(self._place(object_id).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def put(self, object_id: str, properties: Properties) -> None:
        """Make it, or make it so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{object_id}.{os.getpid()}"
        beside.write_text(json.dumps(properties), encoding="utf-8")
        beside.replace(self._place(object_id))

    def remove(self, object_id: str) -> None:
        """Also if it is gone already."""
        self._place(object_id).unlink(missing_ok=True)

    def _place(self, object_id: str) -> Path:
        return self.folder / f"{object_id}.json"
