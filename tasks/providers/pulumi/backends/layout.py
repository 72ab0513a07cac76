"""How Pulumi lays out a backend of one's own: `.pulumi/{stacks,locks,history}/…`, the same for files, S3 and PostgreSQL.

`.pulumi/meta.yaml` tells the layout's version: 1 has a folder per project; 0 (no file, or an old one) has none.
"""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.errors import StackError
from tasks.model import Json
from tasks.providers.pulumi.backends.reading import Blobs, Checkpoint, missing
from tasks.stacks import Listed, Lock, Stack

ORGANIZATION = "organization"
_STATE = re.compile(r"\.pulumi/stacks/(?:(?P<project>[\w.-]+)/)?(?P<name>[\w.-]+?)\.json(?:\.gz|\.zst)?")
_HISTORY = (".history.json", ".history.json.gz")
_GZIP = b"\x1f\x8b"
_VERSION = re.compile(rb"^version:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OwnBackend:
    """`StateReader` over blobs. `where` names it in messages, without secrets."""

    blobs: Blobs
    where: str

    def listed(self) -> Sequence[Listed]:
        projects = self._has_projects()
        found = {
            Listed(organization=ORGANIZATION, project=match["project"] or "", name=match["name"])
            for key in self.blobs.keys(".pulumi/stacks/")
            if (match := _STATE.fullmatch(key)) and bool(match["project"]) == projects
        }
        return sorted(found, key=lambda stack: stack.full_name)

    def checkpoint(self, stack: Stack) -> Checkpoint:
        path = f".pulumi/stacks/{_folder(stack)}.json"
        for ending in ("", ".gz", ".zst"):
            if found := self.blobs.read(path + ending):
                return found
        raise missing(stack, self.where)

    def lock(self, stack: Stack) -> Lock | None:
        locks = [lock for key in self.blobs.keys(f".pulumi/locks/{_locked(stack)}/") if (lock := self._lock(key))]
        return min(locks, key=lambda lock: lock.since, default=None)

    def _lock(self, key: str) -> Lock | None:
        found = self.blobs.read(key)
        try:
            said = json.loads(found.content) if found else {}
            return Lock(
                user=str(said["username"]),
                host=str(said["hostname"]),
                pid=int(said["pid"]),
                since=datetime.fromisoformat(said["timestamp"]),
                path=key,
            )
        except (ValueError, KeyError, TypeError):  # just taken, or just gone
            return None

    def last_update(self, stack: Stack) -> Mapping[str, Json]:
        keys = [key for key in self.blobs.keys(f".pulumi/history/{_folder(stack)}/") if key.endswith(_HISTORY)]
        found = self.blobs.read(keys[-1]) if keys else None
        try:
            said = json.loads(unpacked(found.content)) if found else {}
        except (ValueError, OSError, StackError):
            return {}
        return said if isinstance(said, dict) else {}

    def _has_projects(self) -> bool:
        meta = self.blobs.read(".pulumi/meta.yaml")
        version = _VERSION.search(meta.content) if meta else None
        return version is not None and int(version[1]) > 0


def unpacked(content: bytes) -> bytes:
    """As JSON: a state may be compressed. Raises `OSError`, `EOFError` when it is cut."""
    return gzip.decompress(content) if content.startswith(_GZIP) else content


def _folder(stack: Stack) -> str:
    return f"{stack.project}/{stack.name}" if stack.project else stack.name


def _locked(stack: Stack) -> str:
    return f"{stack.organization}/{stack.project}/{stack.name}" if stack.project else stack.name
