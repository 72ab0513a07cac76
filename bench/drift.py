"""A night over Pulumi stacks against a serial loop of the bare CLI, in one run, on the same stacks in the same state.

`python -m bench.drift` is the small form; `--stacks 500` the whole. The stacks lie in the laboratory of the tests: the real CLI,
a fake cloud, a file backend. One night before is not counted: it learns what the programs are, as every first night does.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from bench.pulumi_fleet import DRIFTED, Fleet, instance, stacks_of
from bench.table import Row, middle, show
from tasks.providers.pulumi.running import run
from tests.lab.lab import Lab
from tests.servers import RedisServer
from tests.servers.pulumi_install import programs

STACKS, RESOURCES = 24, 50
LOOK, PROGRAM, BOTH = ("refresh", "--preview-only"), ("preview",), ("preview", "--refresh")


def bare(fleet: Fleet) -> float:
    """`pulumi refresh --preview-only`, one stack after the other."""
    began = perf_counter()
    for stack in fleet.stacks:
        fleet.lab.run(stack, *LOOK)
    return perf_counter() - began


def same(fleet: Fleet) -> float:
    """What the night does, one command after the other: D of all; of those that drifted D again, U and R."""
    began = perf_counter()
    for stack in fleet.stacks:
        fleet.lab.run(stack, *LOOK)
        if stack in fleet.drifted:
            for words in (LOOK, PROGRAM, BOTH):
                fleet.lab.run(stack, *words)
    return perf_counter() - began


def keeper_seconds(folder: Path) -> float:
    """Processor seconds of the process of ours that stands between the worker and each command."""
    before = os.times()
    for number in range(20):
        (scratch := folder / f"keeper-{number}").mkdir()
        run(["/bin/true"], cwd=scratch, environment={"PATH": os.defpath}, folder=scratch, deadline=timedelta(seconds=60))
    after = os.times()
    return (after.children_user + after.children_system - before.children_user - before.children_system) / 20


def compare(folder: Path, stacks: int, resources: int, rounds: int) -> Iterator[Row]:
    """Alternating rounds; whoever measures nothing meanwhile has nothing to do."""
    with ExitStack() as stack:
        lab = Lab(folder / "lab", programs())
        every = stacks_of(lab, "s", stacks, resources)
        fleet = Fleet(lab=lab, stacks=every, drifted=every[:: round(1 / DRIFTED)])
        night = stack.enter_context(instance(folder, fleet, stack.enter_context(RedisServer()).url))
        print(f"the night before: {night.run()[1]}")
        first = middle(night.run("s1")[0] for _ in range(5))
        for one in fleet.drifted:
            lab.cloud.change(one.id("r1"), size=99)
        before, cpu = fleet.fingerprint(), night.cpu()
        ours, theirs, whole, weights = [], [], [], []
        for _ in range(rounds):
            with night.weighed() as weights_now:
                seconds, report = night.run()
            weights.append(weights_now[-1])
            print(f"{seconds:.1f} s: {report}")
            ours.append(seconds)
            theirs.append(bare(fleet))
            whole.append(same(fleet))
        own, others = (after - then for after, then in zip(night.cpu(), cpu, strict=True))
        assert fleet.fingerprint() == before, "a look wrote"
    told = f"{middle(ours):.1f} s for {stacks} x {resources}"
    yield _ratio("Pulumi night, bare loop of D", told, middle(theirs), middle(ours), 1.25)
    yield _ratio("Pulumi night, loop of the same looks", told, middle(whole), middle(ours), 1.5)
    keepers = rounds * (stacks + 3 * len(fleet.drifted)) * keeper_seconds(folder)
    share = (own + keepers) / (own + others)
    beside = f"{own + others:.1f} s in all"
    yield Row(what="Pulumi night, our share of the CPU", ours=f"{own + keepers:.1f} s", beside=beside, value=share, goal="<= 0.1")
    yield Row(what="Pulumi night, s for 500 stacks at this pace", ours=told, value=middle(ours) * 500 / stacks, goal="<= 300")
    yield Row(what="Pulumi night, GB at most", ours=f"{stacks} stacks", value=max(weights) / 1e9, goal="<= 4")
    yield Row(what="One Pulumi stack, s to its verdict", ours=f"{resources} resources", value=first, goal="<= 2")


def compare_accounts(folder: Path, stacks: int) -> Iterator[Row]:
    """Two accounts, one of which is slow to answer: together they take as long as the slower one."""
    with ExitStack() as stack:
        lab = Lab(folder / "lab", programs())
        every = [*stacks_of(lab, "quick", stacks, 10), *stacks_of(lab, "slow", stacks, 10, lab_account="slow")]
        fleet = Fleet(lab=lab, stacks=every, drifted=[], accounts=("quick", "slow"))
        night = stack.enter_context(instance(folder, fleet, stack.enter_context(RedisServer()).url))
        night.run()
        lab.cloud.turn("slow", requests_per_second=4)
        names = {name: [one.name for one in every if one.name.startswith(name)] for name in fleet.accounts}
        alone = {name: night.run(*entries)[0] for name, entries in names.items()}
        together = night.run()[0]
    told = f"{together:.1f} s for {stacks} + {stacks} stacks"
    beside = " and ".join(f"{name} alone {seconds:.1f} s" for name, seconds in alone.items())
    slowest = max(alone.values())
    yield Row(what="Pulumi night, a throttling account", ours=told, beside=beside, value=together / slowest, goal="<= 1.25")


def _ratio(what: str, told: str, theirs: float, ours: float, goal: float) -> Row:
    return Row(what=what, ours=told, beside=f"{theirs:.1f} s", value=theirs / ours, goal=f">= {goal:g}")


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.drift", description=__doc__)
    arguments.add_argument("--stacks", type=int, default=STACKS)
    arguments.add_argument("--resources", type=int, default=RESOURCES)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = [*compare(home / "fleet", chosen.stacks, chosen.resources, chosen.rounds), *compare_accounts(home / "accounts", 4)]
        show(rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
