"""Children are started, restarted, stopped, and gone when their parent is, on real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import until
from worker.supervisor import Process, Supervisor

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_PDEATHSIG")
IGNORES_SIGTERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def runs(pid: int) -> bool:
    """A zombie has ended, even if nobody asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.hurry()
    supervisor.stop({})


def sleeper(name: str = "sleeper") -> Process:
    return Process(name, ["sleep", "600"])


def test_a_child_that_was_killed_is_started_again(supervisor: Supervisor) -> None:
    child = sleeper()
    supervisor.start(child)
    first = child.pid
    assert first
    os.kill(first, signal.SIGKILL)
    until("another is started", lambda: child.pid != first and child.alive())


def test_a_child_that_cannot_start_tells_so_at_once(supervisor: Supervisor) -> None:
    class Broken(Process):
        def start(self) -> None:
            raise FileNotFoundError("no such program")

    with pytest.raises(FileNotFoundError, match="no such program"):
        supervisor.start(Broken("broken", []))


def test_children_are_stopped_in_reverse_order_and_none_is_left(supervisor: Supervisor) -> None:
    stopped = []

    class Noted(Process):
        def stop(self, within_seconds: float, hurry: threading.Event) -> None:
            stopped.append((self.name, within_seconds))
            super().stop(within_seconds, hurry)

    children = [Noted(name, ["sleep", "600"]) for name in ("doorbell", "worker")]
    for child in children:
        supervisor.start(child)
    pids = [child.pid for child in children]
    supervisor.stop({"worker": 30.0})
    assert stopped == [("worker", 30.0), ("doorbell", 5.0)]
    assert [pid for pid in pids if pid and runs(pid)] == []


def test_a_child_that_ignores_sigterm_is_killed_when_its_time_is_over(supervisor: Supervisor) -> None:
    child = Process("stubborn", [sys.executable, "-c", IGNORES_SIGTERM])
    supervisor.start(child)
    supervisor.stop({"stubborn": 0.3})
    assert not child.alive()


def test_a_hurry_ends_the_wait_for_a_child_that_takes_its_time(supervisor: Supervisor) -> None:
    child = Process("stubborn", [sys.executable, "-c", IGNORES_SIGTERM])
    supervisor.start(child)
    supervisor.hurry()
    supervisor.stop({"stubborn": 3600.0})
    assert not child.alive()


@LINUX_ONLY
def test_children_die_when_their_parent_is_killed() -> None:
    code = textwrap.dedent("""
        import time
        from worker.supervisor import Process, Supervisor
        child = Process("sleeper", ["sleep", "600"])
        Supervisor().start(child)
        print(child.pid, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    try:
        assert runs(child)
    finally:
        parent.kill()
        parent.communicate()
    until("it ends with its parent", lambda: not runs(child))
