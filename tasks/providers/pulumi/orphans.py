"""Finds and ends what a killed keeper left behind: a provider whose CLI is gone lives on, with its credentials.

Every process of a look carries `NIGHTSHIFT_KEEPER` in its environment, which children inherit: the keeper by pid, start time
and PID namespace, so that no other process that ever had its number is taken for it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tasks.context import Process
from tasks.providers.processes import describe, lives

MARK = "NIGHTSHIFT_KEEPER"
LOOK_AGAIN_SECONDS = 30.0
GIVE_UP_AFTER_SECONDS = 5.0
_PROC = Path("/proc")
_looked_at = [float("-inf")]
"""When this process last looked, on the monotonic clock. Two threads that look at once do no harm."""


def mark_of(keeper: Process) -> str:
    """What the keeper's processes carry."""
    return f"{keeper.pid}.{keeper.started}.{keeper.pid_namespace}"


def end_orphans(mark: str | None = None) -> int:
    """Kill every process of ours whose keeper is dead; how many there were.

    Without `mark` at most twice a minute: what an earlier death left has no haste, and a look at /proc takes some milliseconds.
    """
    now = time.monotonic()
    if mark is None and now - _looked_at[0] < LOOK_AGAIN_SECONDS:
        return 0
    _looked_at[0] = now
    ended = 0
    # Until none is left: one that is ended may have started another. One in an uninterruptible sleep is left to the next look.
    while (found := list(_orphans(mark))) and time.monotonic() < now + GIVE_UP_AFTER_SECONDS:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                ended += 1
        time.sleep(0.01)
    return ended


def _orphans(mark: str | None) -> Iterator[int]:
    if not _PROC.is_dir():
        return
    own = describe(os.getpid())
    for folder in os.scandir(_PROC):
        if not folder.name.isdigit():
            continue
        carried = _carried(int(folder.name))
        if carried and (mark is None or carried == mark) and _is_dead(carried, own):
            yield int(folder.name)


def _carried(pid: int) -> str | None:
    """The mark of a process of ours that has not ended."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - hundreds of them, and pathlib is slow
            found = file.read()
    except OSError:  # it ended, or is another user's
        return None
    name = MARK.encode() + b"="
    if not found.startswith(name):
        _, _, found = found.partition(b"\0" + name)
    return found.removeprefix(name).partition(b"\0")[0].decode(errors="replace") or None


def _is_dead(mark: str, own: Process) -> bool:
    pid, _, rest = mark.partition(".")
    started, _, namespace = rest.partition(".")
    if not pid.isdigit() or namespace != own.pid_namespace:
        return False
    return lives(replace(own, pid=int(pid), started=started)) is False
