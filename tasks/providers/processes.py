"""Which process is which: facts that tell one from every other that ever had its number, and whether it lives."""

import os
import socket
from functools import cache
from pathlib import Path

from tasks.context import Process

_PROC = Path("/proc")


def describe(pid: int) -> Process:
    """Facts about a process of this machine. Raises `ProcessLookupError` when there is none."""
    return Process(host=socket.gethostname(), boot_id=_boot_id(), pid_namespace=_pid_namespace(), pid=pid, started=_started(pid))


def lives(process: Process) -> bool | None:
    """Whether it does; None: it is of another machine, or of another namespace of this one, and cannot be asked."""
    if process.host != socket.gethostname():
        return None
    if process.boot_id != _boot_id():
        return False  # the machine has started anew since
    if process.pid_namespace != _pid_namespace():
        return None
    try:
        return _started(process.pid) == process.started
    except ProcessLookupError:
        return False


@cache
def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@cache
def _pid_namespace() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Field 22 of proc(5)'s stat, ticks since boot; a zombie has ended. Without /proc: the pid alone must do."""
    if not (_PROC / "self").exists():
        os.kill(pid, 0)
        return ""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"no process {pid}") from None
    if fields[0] in {"Z", "X"}:
        raise ProcessLookupError(f"process {pid} has ended")
    return fields[19]
