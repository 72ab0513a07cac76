"""The doorbell: the broker that wakes workers. One of our own (`redis-server`, `valkey-server`, else a folder), or one by URL.

What is lost with it is rung again: the ledger is the truth.
"""

import shutil
from pathlib import Path
from typing import Protocol

from worker.doorbell.broker import Broker, broker_of, transport_options
from worker.doorbell.filesystem import FolderDoorbell
from worker.doorbell.home import HomeTaken, hold_home
from worker.doorbell.redis import DoorbellError, RedisDoorbell
from worker.supervisor import Child

__all__ = [
    "Broker",
    "Doorbell",
    "DoorbellError",
    "FolderDoorbell",
    "HomeTaken",
    "RedisDoorbell",
    "broker_of",
    "choose",
    "hold_home",
    "transport_options",
]

PROGRAMS = ("redis-server", "valkey-server")


class Doorbell(Child, Protocol):
    """An embedded broker: a child of `nightshift up`, found by the other processes of this home through `broker_of`."""

    @property
    def broker(self) -> Broker:
        """Where it answers; known before it is started."""
        ...


def choose(home: Path) -> Doorbell:
    """The best that can be had here. The caller holds the home."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return RedisDoorbell(home, program) if program else FolderDoorbell(home)
