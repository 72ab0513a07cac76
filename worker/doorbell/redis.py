"""A Redis (or Valkey) of our own: on a private socket, without a port, keeping nothing."""

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from worker.doorbell.broker import Broker, leave_note, take_note_away
from worker.doorbell.home import run_folder
from worker.supervisor import Process

LONGEST_SOCKET_PATH = 107
"""Bytes: `sun_path` of unix(7) has 108, the last one is NUL."""
_READY_SECONDS = 10.0
_ELSEWHERE = "socket-folder"


class DoorbellError(Exception):
    """The embedded broker did not start; the message says why and what else can be done."""


class RedisDoorbell:
    """See `Doorbell`."""

    name = "doorbell"

    def __init__(self, home: Path, program: str) -> None:
        self._home = home
        self._program = program
        self._folder = _socket_folder(home)
        self._socket = self._folder / "redis.sock"
        self._process = Process(self.name, self._argv(), quiet=True)

    @property
    def broker(self) -> Broker:
        """See `Doorbell`."""
        return Broker(f"redis+socket://{quote(str(self._socket))}", "redis")

    @property
    def pid(self) -> int | None:
        """Of the server."""
        return self._process.pid

    def start(self) -> None:
        """Returns once it answers. Raises `DoorbellError`."""
        self._socket.unlink(missing_ok=True)
        self._process.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if not self._process.alive() or time.monotonic() > deadline:
                self._process.stop(0, threading.Event())
                message = (
                    f"{self._program} did not start on the socket {self._socket}; see above for its reason, or name another "
                    "broker: NIGHTSHIFT_BROKER_URL=redis://…"
                )
                raise DoorbellError(message)
            time.sleep(0.01)
        leave_note(self._home, self.broker)

    def alive(self) -> bool:
        """See `Child`."""
        return self._process.alive()

    def stop(self, within_seconds: float, hurry: threading.Event) -> None:
        """See `Child`."""
        take_note_away(self._home)
        self._process.stop(within_seconds, hurry)
        self._socket.unlink(missing_ok=True)
        _forget_socket_folder(self._home)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.settimeout(1.0)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
        return False

    def _argv(self) -> list[str]:
        return [
            self._program,
            *("--port", "0"),
            *("--unixsocket", str(self._socket)),
            *("--unixsocketperm", "700"),
            *("--dir", str(self._folder)),
            *("--databases", "1"),
            # It keeps nothing, and must not throw bells away in secret either.
            *("--save", ""),
            *("--appendonly", "no"),
            *("--maxmemory-policy", "noeviction"),
            *("--loglevel", "warning"),
            # Housekeeping once a second instead of ten times: nothing here expires, and a bell is passed on at once all the same.
            *("--hz", "1"),
        ]


def _socket_folder(home: Path) -> Path:
    """The run folder, or a short private one when the socket's path would be too long there."""
    _forget_socket_folder(home)
    folder = run_folder(home)
    if len(bytes(folder / "redis.sock")) <= LONGEST_SOCKET_PATH:
        return folder
    elsewhere = Path(tempfile.mkdtemp(prefix="nightshift-"))
    (folder / _ELSEWHERE).symlink_to(elsewhere)
    return elsewhere


def _forget_socket_folder(home: Path) -> None:
    link = run_folder(home) / _ELSEWHERE
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
