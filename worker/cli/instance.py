"""The note that a running `nightshift up` leaves in its home and in its ready file."""

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from worker.doorbell.home import run_folder
from worker.settings import Settings

_NOTE = "instance.json"


def console_url(settings: Settings) -> str:
    """How people reach the gateway: as configured, else where the instance of this home listens."""
    if settings.base_url:
        return settings.base_url.rstrip("/")
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((run_folder(settings.home) / _NOTE).read_text(encoding="utf-8"))["url"])
    return url_of(settings.host, settings.port)


def url_of(host: str, port: int) -> str:
    """`http://` and the address, an IPv6 one in brackets; that of all addresses is told as loopback."""
    told = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{told}]:{port}" if ":" in told else f"http://{told}:{port}"


def is_up(home: Path) -> bool:
    """Whether `nightshift up` holds this home, ready or still starting.

    The lock is tried only when its process lives: one that starts just now must not find it taken by us.
    """
    lock = run_folder(home) / "lock"
    try:
        os.kill(int(lock.read_text(encoding="utf-8")), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def leave_note(home: Path, note: Mapping[str, object]) -> None:
    """For the other commands of this home."""
    write_whole(run_folder(home) / _NOTE, json.dumps(note))


def take_note_away(home: Path) -> None:
    (run_folder(home) / _NOTE).unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Whoever sees the file sees all of it; only we may read it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    unfinished.replace(path)
