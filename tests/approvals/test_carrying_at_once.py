"""What may change between looking at everything again and the first step: other runs, and the time."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.context import Context
from tasks.job import Params
from tasks.model import Finding, Plan, Simulation, Step
from tests.support.effects import ENTRY, RULE, Repair, open_repair
from tests.support.mending import SLOTS, Mending, lines_of
from tests.support.waiting import PATIENCE_SECONDS
from worker.policy import Policy
from worker.records import ApprovalState, RunState

NAMES = ("one", "two", "three", "four", "five")


@dataclass
class Meanwhile(Mending):
    """Something happens after everything was looked at again, and before the first step."""

    happens: list[Callable[[], object]] = field(default_factory=list)

    def plan(self, ctx: Context, params: Params, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        made = super().plan(ctx, params, findings)
        for one in self.happens:
            one()
        return made

    def still(self, ctx: Context, step: Step) -> bool:
        return True


@pytest.fixture
def remedy() -> Meanwhile:
    return Meanwhile()


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path, remedy: Meanwhile) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path, replace(SLOTS, remedy=remedy)) as opened:
        yield opened


def test_a_yes_that_expires_while_it_is_planned_again_begins_nothing(repair: Repair, remedy: Meanwhile) -> None:
    run = repair.approve()
    remedy.happens.append(lambda: repair.rig.clock.advance(timedelta(days=30)))
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason, repair.effects(run)) == (RunState.SKIPPED, "expired", [])
    assert repair.approval(run).state is ApprovalState.EXPIRED
    assert lines_of(str(repair.folder), "a") == []


def test_repairs_that_begin_at_once_stay_within_the_blast_radius_together(repair: Repair, remedy: Meanwhile) -> None:
    repair.set(policy=Policy(rules=(RULE.model_copy(update={"max_percentage": 40}),)))
    folders = {name: repair.folder / name for name in NAMES}
    for folder in folders.values():
        folder.mkdir()
    table = repair.estate.tables["slots"][ENTRY]
    entries = {name: table.model_copy(update={"name": name, "folder": str(folder)}) for name, folder in folders.items()}
    repair.set(tables={"slots": entries})
    runs = [repair.approve(repair.ask(name)) for name in NAMES[:4]]
    all_there = threading.Barrier(len(runs))
    remedy.happens.append(lambda: all_there.wait(PATIENCE_SECONDS))
    with ThreadPoolExecutor(len(runs)) as pool:
        outcomes = [outcome for outcome in pool.map(repair.carry, runs) if outcome is not None]
    assert sorted(outcome.reason or "" for outcome in outcomes) == ["", "", "blast_radius", "blast_radius"]
    assert sum(bool(lines_of(str(folder), "a")) for folder in folders.values()) == 2
