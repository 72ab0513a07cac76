"""What the three servers share: a program in a folder of its own that cannot outlive us."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from tests.support.waiting import until

READY_SECONDS = 180.0
STOP_SECONDS = 60.0


class Missing(Exception):  # noqa: N818 - a state of the machine, not a fault
    """The server's program is not on this machine."""


def find(program: str, *elsewhere: str) -> Path:
    """The program on PATH, else the newest match of the glob patterns `elsewhere` (absolute)."""
    on_path = shutil.which(program)
    if on_path:
        return Path(on_path)
    for pattern in elsewhere:
        matches = sorted(Path("/").glob(pattern.lstrip("/")))
        if matches:
            return matches[-1]
    message = f"{program} is not on PATH"
    raise Missing(message)


def free_port() -> int:
    """A port of 127.0.0.1 that was free just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1:`port`."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """One server process. `start` returns when it is ready; `user` is who runs it if we are root."""

    name: str
    user: str | None = None
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"nightshift-{self.name}-"))
        if self._other_user():
            # Only the way to it is open to others; what lies in it stays the server's own.
            shutil.chown(self.folder, self.user, pwd.getpwnam(str(self.user)).pw_gid)
        self.folder.chmod(0o700)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def argv(self) -> Sequence[str]:
        """The program in the foreground."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def start(self) -> None:
        """Start it and wait until it serves; raises with its own last words when it does not."""
        assert not self.running, f"{self.name} runs already"
        self._process = self.spawn(self.argv())
        self.wait_for(self.ready)

    def stop(self) -> None:
        """End it as its operator would."""
        self._end(self.stop_signal)

    def kill9(self) -> None:
        """End it in mid-sentence; what it wrote stays."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same address with what it had kept."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """End it and take its folder away."""
        self.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self) -> str:
        log = self.folder / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def spawn(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program as the server's user; the kernel ends it when we die, however that happens."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self._leash(), *argv],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.folder), **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, argv: Sequence[str]) -> None:
        """Run a program of the server to its end; raises with its log when it fails."""
        if self.spawn(argv).wait(READY_SECONDS) != 0:
            message = f"{argv[0]} failed:\n{self.log_tail()}"
            raise RuntimeError(message)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until(f"{self.name} is ready", lambda: condition() or self._ended(), READY_SECONDS, more=self.log_tail)

    def _ended(self) -> Literal[False]:
        if not self.running:
            message = f"{self.name} ended; its last words:\n{self.log_tail()}"
            raise RuntimeError(message)
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _other_user(self) -> bool:
        return self.user is not None and os.geteuid() == 0

    def _leash(self) -> list[str]:
        # setpriv is part of every Debian (util-linux); without Linux there is no such leash and no other user either.
        if not sys.platform.startswith("linux"):
            return []
        leash = ["setpriv", "--pdeathsig", "KILL"]
        if self._other_user():
            entry = pwd.getpwnam(str(self.user))
            leash += [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        return leash
