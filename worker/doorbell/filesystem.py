"""A doorbell without a server: kombu's filesystem transport on folders of our own, kept small."""

import contextlib
import shutil
import threading
import time
from pathlib import Path

from worker.doorbell.broker import FILESYSTEM_URL, Broker, filesystem_folders, leave_note, take_note_away

_TIDY_SECONDS = 5.0
_TAKEN_SECONDS = 30.0
_UNHEARD_SECONDS = 600.0
"""A message that nobody took for so long is for a queue that is gone, or for a run that was rung again since."""


class FolderDoorbell:
    """See `Doorbell`."""

    name = "doorbell"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folders = filesystem_folders(home)
        self._over = threading.Event()

    @property
    def broker(self) -> Broker:
        """See `Doorbell`."""
        return Broker(FILESYSTEM_URL, "filesystem")

    def start(self) -> None:
        """What a dead instance left is thrown away: every queued run is rung again."""
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)
        leave_note(self._home, self.broker)
        threading.Thread(target=self._tidy, name="doorbell", daemon=True).start()

    def alive(self) -> bool:
        """Folders do not die."""
        return True

    def stop(self, within_seconds: float, hurry: threading.Event) -> None:  # noqa: ARG002 - nothing to wait for
        """See `Child`."""
        self._over.set()
        take_note_away(self._home)

    def _tidy(self) -> None:
        while not self._over.wait(_TIDY_SECONDS):
            # The transport leaves what it took, and what was sent to listeners that died; both slow it down.
            remove_older(self._folders["taken"], _TAKEN_SECONDS)
            remove_older(self._folders["messages"], _UNHEARD_SECONDS)


def remove_older(folder: Path, seconds: float) -> None:
    """Remove the files in `folder` that were last written longer ago than that."""
    before = time.time() - seconds
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()
