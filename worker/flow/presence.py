"""Who is at work: each process shows itself to the ledger now and then, and takes its leave."""

import os
import socket
from functools import cache
from importlib.metadata import version
from pathlib import Path

from worker.flow.shift import Shift
from worker.ledger import seats

SHOWN_EVERY_SECONDS = 10.0


def seat_of(role: str) -> str:
    """`checks@host:4711`: this process, for as long as it lives."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def show(shift: Shift, role: str) -> None:
    """This process is alive, as `role`."""
    with shift.ledger.transaction() as tx:
        seats.show(
            tx,
            seat=seat_of(role),
            host=socket.gethostname(),
            boot_id=_boot_id(),
            pid=os.getpid(),
            role=role,
            version=version("nightshift"),
        )


def leave(shift: Shift, role: str) -> None:
    """This process ends in order."""
    with shift.ledger.transaction() as tx:
        seats.leave(tx, seat_of(role))


@cache
def _boot_id() -> str:
    """Tells two lives of one host apart; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
