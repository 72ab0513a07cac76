"""What is left of the real Pulumi CLI when it is interrupted, killed, orphaned, or raced for its lock.

`docs/pulumi-facts.md` tells it in words, numbered alike.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.lab.lab import Lab, LabStack, Running, session_of
from tests.lab.program import Program, Resource
from tests.support.waiting import until

UP = ("up", "--yes", "--skip-preview")
NAMES = ("a", "b", "c", "d")
PARENT = """
import subprocess, sys
output = subprocess.PIPE if sys.argv[1] == "pipes" else open(sys.argv[1], "wb")
child = subprocess.Popen(sys.argv[2:], stdout=output, stderr=output, start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


def servers(size: int) -> Program:
    return Program(resources={name: Resource(properties={"size": size}) for name in NAMES})


@contextmanager
def updating(lab: Lab, *, answer_seconds: float = 6.0) -> Iterator[tuple[LabStack, Running]]:
    """An update whose writes have all begun, and of which none is answered."""
    stack = lab.stack(servers(1))
    lab.write(stack, servers(2))
    lab.cloud.turn(answer_seconds=answer_seconds)
    before = lab.cloud.counts().writes
    running = lab.start(stack, *UP)
    try:
        until("every write has begun", lambda: lab.cloud.counts().writes == before + len(NAMES))
        yield stack, running
    finally:
        running.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_7_one_signal_waits_for_the_writes_in_flight_and_leaves_no_lock(lab: Lab, number: signal.Signals) -> None:
    with updating(lab) as (stack, running):
        assert lab.locks() != []
        running.signal(number)
        done = lab.finish(running)
        assert (done.exit_code, lab.locks(), lab.pending(stack)) == (1, [], [])
        assert lab.sizes(stack) == dict.fromkeys(NAMES, 2)


def test_7b_two_signals_leave_pending_operations_and_no_lock(lab: Lab) -> None:
    with updating(lab, answer_seconds=60) as (stack, running):
        running.signal(signal.SIGINT)
        until("it asks for another", lambda: "again" in running.output.read_text())
        running.signal(signal.SIGINT)
        done = lab.finish(running)
        assert (done.exit_code, lab.locks()) == (8, [])
        assert sorted(lab.pending(stack)) == [f"updating {name}" for name in NAMES]


def test_6_a_killed_cli_leaves_lock_pending_operations_and_providers_in_its_session(lab: Lab) -> None:
    with updating(lab, answer_seconds=60) as (stack, running):
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
        [lock] = lab.locks()
        assert f'"pid":{running.process.pid}' in lock.read_text().replace(" ", "")
        assert sorted(lab.pending(stack)) == [f"updating {name}" for name in NAMES]
        left = running.session()
        assert left != []
        assert [os.getpgid(pid) for pid in left] != [running.process.pid] * len(left), "they lead groups of their own"


@pytest.mark.parametrize("output", ["pipes", "files"])
def test_6b_with_its_parent_dead_the_cli_ends_well_only_if_its_output_is_a_file(lab: Lab, output: str) -> None:
    stack = lab.stack(servers(1))
    lab.write(stack, servers(2))
    lab.cloud.turn(answer_seconds=6.0)
    before = lab.cloud.counts().writes
    with orphaned(lab, stack, output) as running:
        until("every write has begun", lambda: lab.cloud.counts().writes == before + len(NAMES))
        running.process.kill()
        running.process.wait()
        until("the CLI ends", lambda: not alive(running.child))
    if output == "files":
        assert (lab.locks(), lab.pending(stack)) == ([], [])
        assert lab.sizes(stack) == dict.fromkeys(NAMES, 2)
    else:
        assert lab.locks() != []


class Orphan:
    """A CLI and the parent that it is about to lose."""

    def __init__(self, process: subprocess.Popen[str], child: int) -> None:
        self.process = process
        self.child = child


@contextmanager
def orphaned(lab: Lab, stack: LabStack, output: str) -> Iterator[Orphan]:
    target = "pipes" if output == "pipes" else str(lab.folder / "output")
    argv = [sys.executable, "-c", PARENT, target, str(lab.programs.pulumi), *UP, "--stack", stack.name, "--non-interactive"]
    with subprocess.Popen(argv, cwd=stack.folder, env=lab.environment(stack), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield Orphan(process, child)
        finally:
            process.kill()
            for pid in session_of(child):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """A zombie is not: who inherited it may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("rounds", [3, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
def test_8_of_two_updates_that_race_for_the_lock_at_most_one_runs(lab: Lab, rounds: int) -> None:
    stack = lab.stack(servers(0))
    winners = []
    for size in range(1, rounds + 1):
        lab.write(stack, servers(size))
        before = lab.cloud.counts().writes
        both = [lab.finish(one) for one in [lab.start(stack, *UP), lab.start(stack, *UP)]]
        winners.append([one.exit_code for one in both].count(0))
        assert lab.cloud.counts().writes - before in {0, len(NAMES)}
        assert lab.locks() == []
        for loser in (one for one in both if one.exit_code):
            assert "the stack is currently locked by" in loser.output
    assert max(winners) == 1
    sys.stdout.write(f"of {rounds} races {winners.count(0)} had no winner\n")
