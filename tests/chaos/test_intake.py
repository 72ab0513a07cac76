"""A process killed while it enqueues: what is in the ledger is whole, and all of it is done."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.chaos.conftest import PAIRS
from tests.support.chaos import Storm
from tests.support.chaos_worker import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KILLS = 5


def enqueue_until_killed(weather: Storm) -> list[str]:
    """The batches that the killed process said were accepted."""
    argv = [sys.executable, "-m", "tests.support.chaos_requester"]
    with subprocess.Popen(argv, cwd=ROOT, env=dict(weather.environ), stdout=subprocess.PIPE, text=True) as requester:
        assert requester.stdout is not None
        said = [requester.stdout.readline()]
        time.sleep(random.uniform(0, 0.1))  # noqa: S311 - another moment each time
        os.kill(requester.pid, signal.SIGKILL)
        said += requester.stdout.readlines()
    return [line.strip() for line in said if line.endswith("\n")]


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_batches_of_a_process_killed_while_enqueueing_are_whole_and_done(weather: Storm) -> None:
    for _ in range(KILLS):
        for batch_id in enqueue_until_killed(weather):
            weather.accepted[batch_id] = 3
    assert weather.accepted
    assert weather.settle().troubles() == []
    assert weather.missing() == []
