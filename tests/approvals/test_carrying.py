"""What was approved is carried out: step by step, each with an intent before it, and believed only once it is seen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.effects import Repair, open_repair
from tests.support.mending import lines_of
from worker.records import ApprovalState, EffectOutcome, RunState, Verdict


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path) as opened:
        yield opened


def test_an_approved_plan_is_carried_out_once_and_verified(repair: Repair) -> None:
    run, outcome = repair.mend()
    assert (outcome.state, outcome.verdict, outcome.reason) == (RunState.SUCCEEDED, Verdict.VERIFIED, None)
    assert lines_of(str(repair.folder), "a") == [(1, f"{run.id}:write-a")]
    assert repair.approval(run).state is ApprovalState.CARRIED_OUT
    assert repair.outcomes(run) == {"write-a": EffectOutcome.APPLIED}
    assert repair.messages("remediation_ended") == [run.id]
