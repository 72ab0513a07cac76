"""States in a folder: `file:///var/lib/pulumi`, `file://~`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from tasks.providers.pulumi.backends.reading import Checkpoint, unreachable


def folder_of(url: str) -> Path:
    """The folder that a `file://` URL names."""
    return Path(unquote(url.removeprefix("file://").partition("?")[0])).expanduser()


@dataclass(frozen=True, slots=True)
class FileBlobs:
    """`Blobs` in `folder`."""

    folder: Path

    def keys(self, prefix: str) -> Sequence[str]:
        start = self.folder / prefix.rpartition("/")[0]
        if not start.is_dir():
            self._reachable()
            return []
        names = (Path(entry.path).relative_to(self.folder).as_posix() for entry in _files(start))
        return sorted(name for name in names if name.startswith(prefix))

    def read(self, key: str) -> Checkpoint | None:
        try:
            with (self.folder / key).open("rb") as file:
                modified = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
                return Checkpoint(content=file.read(), updated_at=modified)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._reachable()
            return None
        except OSError as error:
            raise unreachable(str(self.folder), f"{key}: {error.strerror}") from None

    def _reachable(self) -> None:
        """A folder that is not there is a file system that is not mounted, not a backend without stacks."""
        if not self.folder.is_dir():
            raise unreachable(str(self.folder), "no such folder")


def _files(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise unreachable(str(folder), error.strerror or "cannot be listed") from None
    for entry in entries:
        if entry.is_dir():
            yield from _files(Path(entry.path))
        else:
            yield entry
