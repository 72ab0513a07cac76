"""SIGKILL of the CLI, of its keeper, of the worker, in mid-look: nothing is left running, no lock, the state as it was."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.errors import StackError
from tasks.providers.pulumi.orphans import end_orphans
from tests.drift.providing import PROVIDER, Looker, left_of, looker, servers
from tests.lab.lab import Lab, LabStack
from tests.support.waiting import PATIENCE_SECONDS, until

KEEPER = "process_keeper.py"
WORKER = """
import sys
from pathlib import Path
from tests.drift.providing import looker, servers
from tests.lab.lab import Lab, LabStack
from tests.servers.pulumi_install import programs

lab = Lab(Path(sys.argv[1]), programs())
looker(lab).look(LabStack(program=servers(a=1), name="dev", folder=lab.folder / "programs" / "lab" / "dev"))
"""


@contextmanager
def looking(lab: Lab) -> Iterator[tuple[LabStack, Looker, list[StackError]]]:
    """A look that hangs in a read, in a thread; the error that it ends with."""
    stack = lab.stack(servers(a=1))
    lab.cloud.turn(read_seconds=600)
    look, ended = looker(lab), list[StackError]()

    def run() -> None:
        try:
            look.look(stack)
        except StackError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until("it reads", lambda: reading(lab))
        yield stack, look, ended
    finally:
        thread.join(PATIENCE_SECONDS)


def reading(lab: Lab) -> bool:
    return any(PROVIDER in line for line in left_of(lab))


def pids(words: str, lab: Lab) -> list[int]:
    """Of the processes of this laboratory with these words in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            ours = str(lab.folder).encode() in (process / "environ").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if words in line and ours:
            found.append(int(process.name))
    return found


def keeper_of(lab: Lab) -> int:
    """The parent of the CLI."""
    [cli] = pids("refresh --preview-only", lab)
    return int(Path(f"/proc/{cli}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_cli_is_killed(lab: Lab) -> None:
    with looking(lab) as (stack, _, ended):
        state = lab.state_hash(stack)
        os.kill(pids("refresh --preview-only", lab)[0], signal.SIGKILL)
        until("the look ends", lambda: ended)
        assert left_of(lab) == []
    assert (ended[0].reason, ended[0].retryable) == ("failed", True)
    assert (lab.state_hash(stack), lab.locks()) == (state, [])


def test_the_keeper_is_killed(lab: Lab) -> None:
    with looking(lab) as (stack, _, ended):
        state = lab.state_hash(stack)
        os.kill(keeper_of(lab), signal.SIGKILL)
        until("the look ends", lambda: ended)
        assert left_of(lab) == []
    assert (ended[0].reason, ended[0].retryable) == ("failed", True)
    assert (lab.state_hash(stack), lab.locks()) == (state, [])


@pytest.mark.parametrize("keeper_too", [False, True], ids=["alone", "with its keeper"])
def test_the_worker_is_killed(lab: Lab, keeper_too: bool) -> None:  # noqa: FBT001
    stack = lab.stack(servers(a=1))
    state = lab.state_hash(stack)
    lab.cloud.turn(read_seconds=600)
    root = str(Path(__file__).parents[2])
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(lab.folder)], cwd=root, env={**os.environ, "PYTHONPATH": root})
    until("it reads", lambda: reading(lab))

    if keeper_too:
        os.kill(keeper_of(lab), signal.SIGSTOP)  # so that it does not end the rest before it is killed itself
        keeper = keeper_of(lab)
        worker.kill()
        os.kill(keeper, signal.SIGKILL)
        until("the CLI is gone", lambda: not pids("refresh --preview-only", lab))
        end_orphans_now()
    else:
        worker.kill()
    worker.wait()

    until("nothing is left", lambda: left_of(lab) == [])
    assert (lab.state_hash(stack), lab.locks()) == (state, [])
    lab.cloud.reset()
    assert looker(lab).look(stack).complete


def end_orphans_now() -> None:
    """What the next look of any worker does first, without waiting for its turn. Another one on this machine may be quicker."""
    from tasks.providers.pulumi import orphans  # noqa: PLC0415

    orphans._looked_at[0] = float("-inf")
    end_orphans()


def test_the_processes_of_a_living_look_are_nobodys_orphans(lab: Lab) -> None:
    with looking(lab) as (_, _, ended):
        from tasks.providers.pulumi import orphans  # noqa: PLC0415

        orphans._looked_at[0] = float("-inf")
        before = left_of(lab)
        end_orphans()
        assert sorted(left_of(lab)) == sorted(before)
        os.kill(keeper_of(lab), signal.SIGKILL)
        until("the look ends", lambda: ended)
