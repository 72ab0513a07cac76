"""The scratch folder of one attempt at a run, and what dead attempts left of theirs."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

FORGOTTEN_AFTER = timedelta(days=1)
"""Longer than any run: what is older was left by a worker that was killed, and may hold secrets in clear."""


class NoScratch(Exception):  # noqa: N818 - states a condition
    """The run's scratch folder cannot be made."""


@dataclass(slots=True)
class Scratch:
    """A folder of this attempt's own, made when the job asks for it: most never do, and each costs two writes to the disk."""

    root: Path
    run_id: str
    fence: int
    made: bool = False

    @property
    def folder(self) -> Path:
        return self.root / f"{self.run_id}-{self.fence}"

    def __call__(self) -> Path:
        """Raises `NoScratch`."""
        if not self.made:
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                for left in list(self._left()):
                    shutil.rmtree(left, ignore_errors=True)
            except OSError as error:
                raise NoScratch(f"scratch folder: {error}") from error
            self.made = True
        return self.folder

    def remove(self) -> None:
        if self.made:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _left(self) -> Iterator[Path]:
        """Of earlier attempts at this run, whose fence is gone, and of runs that nobody tried again here."""
        forgotten = time.time() - FORGOTTEN_AFTER.total_seconds()
        for folder in self.root.iterdir():
            run_id, _, fence = folder.name.rpartition("-")
            earlier = run_id == self.run_id and fence.isdigit() and int(fence) < self.fence
            if earlier or (run_id != self.run_id and folder.stat().st_mtime < forgotten):
                yield folder
