"""The home of an embedded instance: one `nightshift up` at a time, with sockets and messages where nobody else can see them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class HomeTaken(Exception):  # noqa: N818 - states a condition
    """Another `nightshift up` works on this home; the message names its process."""


def run_folder(home: Path) -> Path:
    """Where what lives only as long as `up` lies: locks, sockets, messages."""
    return home / "run"


@contextmanager
def hold_home(home: Path) -> Iterator[Path]:
    """Make the home and its run folder (0700) and hold them for the block. Raises `HomeTaken`.

    The kernel lets go when the process ends, however it ends.
    """
    folder = run_folder(home)
    for path in (home, folder):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, home)
        yield folder
    finally:
        os.close(descriptor)


def _lock(descriptor: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        message = (
            f"{home} is in use: `nightshift up` runs there already (pid {pid}); end it, or give this one a home of its own: "
            "NIGHTSHIFT_HOME=…"
        )
        raise HomeTaken(message) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
