"""What the program of a stack is now, so that a night knows whether it moved since the last one."""

import hashlib
import os
from pathlib import Path

from tasks.stacks import Stack

_NOT_SOURCE = frozenset({".git", ".hg", "node_modules", "venv", ".venv", "__pycache__", ".pulumi", "bin", "obj"})
_MOST_FILES = 5000


def fingerprint(stack: Stack) -> str | None:
    """Of the names, sizes and times of the program's files; None: unknown, so that it counts as moved.

    A commit says it for good, a branch does not: what it points to is known to whoever fetches it.
    """
    source = stack.source
    if source is None:
        return ""
    if source.git_url is not None:
        ref = source.git_ref or ""
        return ref if len(ref) in (40, 64) and not set(ref) - set("0123456789abcdef") else None
    return _of_files(source.path)


def _of_files(folder: Path) -> str | None:
    told = hashlib.sha256()
    count = 0
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _NOT_SOURCE)
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                return None
            try:
                stat = (Path(where) / name).stat()
            except OSError:
                return None
            told.update(f"{where}/{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return told.hexdigest() if count else None
