"""A night over the stacks of a laboratory, end to end: schedule and n8n, kills, a stack that hangs, one that cannot be read."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.drift.fleet import SCHEDULE, ancestor, command_of, estate, fleet, hanging, looking
from tests.drift.providing import servers
from tests.lab.lab import Lab, LabStack
from tests.support.stack import Flower
from worker.flow.nights import close_night_now
from worker.records import Actor, ActorKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
WHOLE_FLEET = 100
SIX = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}


def stacks(lab: Lab, count: int, account: str = "main", prefix: str = "s") -> list[LabStack]:
    """One by a real `up`, the others as its copies."""
    first = lab.stack(servers(**SIX), f"{prefix}0", account=account)
    return [first, *lab.copies(first, [f"{prefix}{number}" for number in range(1, count)])]


@pytest.mark.parametrize("count", [12, pytest.param(WHOLE_FLEET, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
def test_the_schedule_and_n8n_make_one_night_and_its_report_counts_every_stack(count: int, lab: Lab, tmp_path: Path) -> None:
    [hung] = stacks(lab, 1, account="far", prefix="hung")
    others = stacks(lab, count - 1)
    drifted, failing = others[1:4], others[5]
    for one in drifted:
        lab.cloud.change(one.id("a"), size=99)
    lab.cloud.turn(failing=[failing.id("b")])
    lab.cloud.turn("far", read_seconds=3600)
    text = estate(lab, [hung, *others], {hung.name: {"timeout_seconds": 540}})
    with fleet(tmp_path, lab, text, "--flower", NIGHTSHIFT_CONCURRENCY="3", FLOWER_UNAUTHENTICATED_API="true") as night:
        before = night.fingerprint([hung, *others])
        night.comes_due()
        night.until("the schedule fires", night.nights)
        joined = night.joins()
        made = night.batch(joined["batch"]["id"])
        assert (joined["joined"], made["trigger"], len(made["runs"])) == (True, "schedule", count)

        night.until("all but the one that hangs have ended", lambda: night.going(made["id"]) <= {hung.name}, 50.0 * count)
        # On a slow machine a hundred stacks take longer than a look may hang at most.
        assert count == WHOLE_FLEET or night.going(made["id"]) == {hung.name}
        for cli in hanging(lab):
            os.kill(cli, signal.SIGKILL)
        ended = night.ended(made["id"])
        report = f"looked at {count} of {count}, 3 drifted, 2 cannot tell"
        assert (ended["report"], ended["states"]) == (report, {"succeeded": count})
        assert [one["id"] for one in night.nights()] == [made["id"]]
        said = {run["params"]["entries"][0]: run["verdict"] for run in ended["runs"]}
        findings = {*(one.name for one in drifted)}
        assert {name for name, verdict in said.items() if verdict == "findings"} == findings
        assert {name for name, verdict in said.items() if verdict == "cannot_tell"} == {hung.name, failing.name}

        assert f"{SCHEDULE}: {report}" in night.cli("digest")
        flower = Flower(int(night.instance.facts["flower"].rpartition(":")[2]))
        for run in ended["runs"]:
            cannot_tell = run["verdict"] == "cannot_tell"
            shown = flower.shows(run["id"], "FAILURE" if cannot_tell else "SUCCESS")
            assert shown["name"] == "nightshift.jobs.drift"
            assert run["summary"] in shown["exception" if cannot_tell else "result"]
        assert night.fingerprint([hung, *others]) == before
        assert night.left() == []


def test_a_night_that_n8n_began_completes_through_kills_of_child_worker_and_cli(lab: Lab, tmp_path: Path) -> None:
    every = stacks(lab, 8)
    for one in every:
        lab.cloud.change(one.id("a"), size=99)
    lab.cloud.turn(read_seconds=3600)
    with fleet(tmp_path, lab, estate(lab, every), NIGHTSHIFT_CONCURRENCY="2") as night:
        before = night.fingerprint(every)
        made = night.joins()
        assert (made["joined"], made["batch"]["trigger"]) == (False, "n8n")
        night.comes_due()

        def two_hang() -> list[int]:
            found = list[list[int]]()

            def two() -> bool:
                found.append(hanging(lab))
                return len(found[-1]) == 2

            night.until("two looks hang", two)
            return found[-1]

        # A CLI's parent is its keeper, whose parent is the worker's child that looks, whose parent is the worker.
        for generations in (2, 3):
            cli = two_hang()[0]
            lost = set(looking(lab) if generations == 3 else looking(lab, beside=cli))
            victim = ancestor(cli, generations)
            assert "celery" in command_of(victim)
            os.kill(victim, signal.SIGKILL)
            night.until("its looks are gone", partial(none_of, lost, lab))
        killed = two_hang()
        lab.cloud.reset()
        for cli in killed:
            os.kill(cli, signal.SIGKILL)

        ended = night.ended(made["batch"]["id"])
        assert ended["report"] == "looked at 8 of 8, 6 drifted, 2 cannot tell"
        assert ended["states"] == {"succeeded": 8}
        assert max(run["attempts"] for run in ended["runs"]) > 1, "no run was lost: nothing was killed in a look"
        assert len(night.nights()) == 1, "the scheduler found its night begun"
        night.until("nothing of a look is left", lambda: not looking(lab))
        assert night.fingerprint(every) == before


def none_of(lost: set[int], lab: Lab) -> bool:
    return not lost & set(looking(lab))


def test_the_digest_that_is_sent_has_the_fleet_in_one_line(lab: Lab, tmp_path: Path) -> None:
    every = stacks(lab, 2)
    lab.cloud.change(every[0].id("a"), size=99)
    with fleet(tmp_path, lab, estate(lab, every)) as night:
        night.ended(night.joins()["batch"]["id"])
        closed = close_night_now(night.house.shift, night.house.routing(), "http://127.0.0.1", Actor(ActorKind.CLI, "test"))
        assert closed is not None
        assert (SCHEDULE, "looked at 2 of 2, 1 drifted") in [(one.label, one.value) for one in closed.message.fields]
