"""The way out of `needs_attention` for a repair: a person's word settles what nobody knew, and nothing is done twice on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.support.effects import Repair, open_repair
from tests.support.mending import lines_of
from tests.support.shift import ANA
from worker.flow import verbs
from worker.flow.deciding import revoke
from worker.flow.errors import Invalid, Refused
from worker.flow.liveness import ourselves
from worker.ledger.tables import EFFECTS
from worker.records import ApprovalState, EffectOutcome, Run, RunState, Verdict


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def unknown(repair: Repair) -> Run:
    """Its one step happened or not: nobody can tell."""
    repair.entry(behaviour="raises", probes=False)
    run, _ = repair.mend()
    assert run.reason == "outcome_unknown"
    return run


def test_applied_says_that_the_step_happened_and_the_run_worked(repair: Repair, unknown: Run) -> None:
    verbs.resolve(repair.rig.shift, unknown.id, ANA, "applied", "I see it")
    run = repair.rig.run(unknown.id)
    assert (run.state, run.reason) == (RunState.SUCCEEDED, "resolved_applied")
    [effect] = repair.effects(run)
    assert (effect.outcome, effect.detail) == (EffectOutcome.APPLIED, "person:ana said applied: I see it")
    assert repair.approval(run).state is ApprovalState.CARRIED_OUT
    [facts] = [entry.facts for entry in repair.audit(run.id) if entry.verb == "run.resolved"]
    assert facts == {"resolution": "applied", "reason": "I see it", "steps": ["write-a"]}


def test_not_applied_says_that_nothing_of_it_happened(repair: Repair, unknown: Run) -> None:
    verbs.resolve(repair.rig.shift, unknown.id, ANA, "not_applied", "nothing there")
    run = repair.rig.run(unknown.id)
    assert (run.state, repair.outcomes(run)) == (RunState.FAILED, {"write-a": EffectOutcome.DID_NOT})
    assert repair.approval(run).state is ApprovalState.REVOKED


def test_not_applied_after_a_step_that_is_known_to_have_happened_closes_what_was_carried_out(repair: Repair) -> None:
    repair.entry(behaviour="does_nothing")
    run, _ = repair.mend()
    verbs.resolve(repair.rig.shift, run.id, ANA, "not_applied", "it had no effect")
    assert repair.outcomes(run) == {"write-a": EffectOutcome.APPLIED}
    assert repair.approval(run).state is ApprovalState.CARRIED_OUT


def test_retry_does_again_what_a_person_says_did_not_happen(repair: Repair) -> None:
    repair.entry(behaviour="fails")
    run, _ = repair.mend()
    repair.entry()
    verbs.resolve(repair.rig.shift, run.id, ANA, "retry", "the disk was full")
    assert repair.rig.run(run.id).state is RunState.QUEUED
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    assert [key for _, key in lines_of(str(repair.folder), "a")] == [f"{run.id}:write-a"]


def test_retry_never_repeats_a_step_that_is_known_to_have_happened(repair: Repair) -> None:
    repair.entry(behaviour="does_nothing")
    run, _ = repair.mend()
    (repair.folder / "a.slot").write_text("1 somebody\n")
    verbs.resolve(repair.rig.shift, run.id, ANA, "retry", "look again")
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    assert repair.verbs(run.id).count("effect.intended") == 1


def test_a_step_whose_process_lives_cannot_be_resolved(repair: Repair, unknown: Run) -> None:
    with repair.rig.ledger.transaction() as tx:
        tx.execute(update(EFFECTS).where(EFFECTS.c.run_id == unknown.id).values(process=ourselves()))
    for resolution in ("applied", "not_applied", "retry"):
        with pytest.raises(Refused, match=r"step write-a of run .* still goes on: process"):
            verbs.resolve(repair.rig.shift, unknown.id, ANA, resolution, "because")
    assert repair.rig.run(unknown.id).state is RunState.NEEDS_ATTENTION


@pytest.mark.parametrize("resolution", ["not_applied", "retry"])
def test_a_step_on_a_host_that_cannot_be_asked_is_done_again_only_once_somebody_says_that_it_has_ended(
    repair: Repair, unknown: Run, resolution: str
) -> None:
    with repair.rig.ledger.transaction() as tx:
        elsewhere = {**ourselves(), "host": "elsewhere"}
        tx.execute(update(EFFECTS).where(EFFECTS.c.run_id == unknown.id).values(process=elsewhere))
    with pytest.raises(Refused, match=r"on elsewhere cannot be asked from here; .*--process-ended") as refusal:
        verbs.resolve(repair.rig.shift, unknown.id, ANA, resolution, "it is surely dead")
    assert (refusal.value.code, repair.outcomes(unknown)) == ("process_unknown", {"write-a": None})
    assert repair.rig.run(unknown.id).state is RunState.NEEDS_ATTENTION
    verbs.resolve(repair.rig.shift, unknown.id, ANA, resolution, "I pulled its plug", process_ended=True)
    assert repair.outcomes(unknown) == {"write-a": EffectOutcome.DID_NOT}
    [facts] = [entry.facts for entry in repair.audit(unknown.id) if entry.verb == "run.resolved"]
    assert facts["process_ended"] is True


def test_what_is_seen_to_be_there_needs_no_word_about_its_process(repair: Repair, unknown: Run) -> None:
    with repair.rig.ledger.transaction() as tx:
        elsewhere = {**ourselves(), "host": "elsewhere"}
        tx.execute(update(EFFECTS).where(EFFECTS.c.run_id == unknown.id).values(process=elsewhere))
    verbs.resolve(repair.rig.shift, unknown.id, ANA, "applied", "I see it")
    assert repair.outcomes(unknown) == {"write-a": EffectOutcome.APPLIED}


def test_once_the_run_has_called_a_person_nobody_does_its_step_any_more(repair: Repair, unknown: Run) -> None:
    assert [effect.process for effect in repair.effects(unknown)] == [{}]


def test_retry_needs_the_yes_to_hold_still(repair: Repair, unknown: Run) -> None:
    revoke(repair.rig.shift, repair.approval(unknown).id, ANA, "second thoughts")
    with pytest.raises(Refused, match=r"the approval of run .* is revoked"):
        verbs.resolve(repair.rig.shift, unknown.id, ANA, "retry", "because")
    assert repair.outcomes(unknown) == {"write-a": None}
    verbs.resolve(repair.rig.shift, unknown.id, ANA, "applied", "it is there")
    assert repair.rig.run(unknown.id).state is RunState.SUCCEEDED


def test_a_resolution_without_a_reason_or_of_another_name_is_refused(repair: Repair, unknown: Run) -> None:
    with pytest.raises(Invalid, match="`reason` is empty"):
        verbs.resolve(repair.rig.shift, unknown.id, ANA, "applied", " ")
    with pytest.raises(Invalid, match="accepted are applied, not_applied, retry"):
        verbs.resolve(repair.rig.shift, unknown.id, ANA, "shrug", "why not")


def test_only_a_run_that_needs_attention_is_resolved(repair: Repair) -> None:
    run, _ = repair.mend()
    with pytest.raises(Refused, match="only a run that needs attention"):
        verbs.resolve(repair.rig.shift, run.id, ANA, "retry", "once more")
