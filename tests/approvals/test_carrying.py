"""What was approved is carried out: step by step, each with an intent before it, and believed only once it is seen."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tasks.context import Context
from tasks.errors import ProviderError
from tests.support.effects import ENTRY, RULE, Repair, open_repair, person
from tests.support.mending import SLOTS as SLOTS_JOB
from tests.support.mending import Disliked, Mending, lines_of, value_of, write
from tests.support.shift import ANA
from worker.flow import execute_run, verbs
from worker.flow.deciding import revoke
from worker.ledger import approvals, leases, plans, runs
from worker.ledger.approval_tables import APPROVALS, PLANS
from worker.ledger.tables import RUNS
from worker.policy import Freeze, Policy
from worker.records import Approval, ApprovalState, EffectOutcome, Run, RunKind, RunState, Verdict
from worker.seal import HEADER

SLOTS = ("a", "b", "c")


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path, secrets=lambda reference: f"value of {reference}") as opened:
        yield opened


def latest(repair: Repair, run: Run) -> Approval:
    """The newest request for what the run was to mend."""
    before = repair.approval(run)
    with repair.rig.ledger.read() as connection:
        found = approvals.latest(connection, before.job, before.subject, before.cause)
    assert found is not None
    return found


def refused(repair: Repair, run: Run) -> tuple[str | None, ApprovalState]:
    """The run was skipped and nothing was touched; why, and what became of its approval."""
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, repair.effects(run), lines_of(str(repair.folder), "a")) == (RunState.SKIPPED, [], [])
    assert outcome.summary
    return outcome.reason, repair.approval(run).state


def resealed(repair: Repair, run: Run, content: bytes) -> Run:
    """The same approval and run, of a plan whose bytes are these."""
    digest = hashlib.sha256(content).hexdigest()
    with repair.rig.ledger.transaction() as tx:
        row = plans.get(tx, run.plan or "")
        assert row is not None
        plans.keep(tx, replace(row, digest=digest, content=content), [found.id for found in plans.findings(tx, row.digest)])
        tx.execute(update(APPROVALS).where(APPROVALS.c.id == run.approval_id).values(digest=digest))
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(plan=digest))
    return repair.rig.run(run.id)


def test_an_approved_plan_is_carried_out_once_and_verified(repair: Repair) -> None:
    run, outcome = repair.mend()
    assert (outcome.state, outcome.verdict, outcome.reason) == (RunState.SUCCEEDED, Verdict.VERIFIED, None)
    assert lines_of(str(repair.folder), "a") == [(1, f"{run.id}:write-a")]
    assert repair.approval(run).state is ApprovalState.CARRIED_OUT
    assert repair.outcomes(run) == {"write-a": EffectOutcome.APPLIED}
    assert repair.messages("remediation_ended") == [run.id]
    told = ["run.started", "run.planned_again", "effect.intended", "effect.applied", "run.looked_again", "run.succeeded"]
    assert repair.verbs(run.id) == told


def test_the_steps_go_in_their_order_and_each_is_there_before_the_next_begins(repair: Repair) -> None:
    repair.entry(slots=SLOTS)
    run, outcome = repair.mend()
    assert outcome.verdict is Verdict.VERIFIED
    effects = repair.effects(run)
    assert [effect.step for effect in effects] == ["write-a", "write-b", "write-c"]
    marks = [verb for verb in repair.verbs(run.id) if verb.startswith("effect.")]
    assert marks == ["effect.intended", "effect.applied"] * 3


def test_a_second_bell_for_a_run_that_has_ended_does_nothing(repair: Repair) -> None:
    run, _ = repair.mend()
    assert repair.carry(run) is None
    assert len(lines_of(str(repair.folder), "a")) == 1


def test_a_command_is_named_to_the_ledger_before_it_starts(repair: Repair) -> None:
    repair.entry(by_command=True)
    run, outcome = repair.mend()
    assert outcome.verdict is Verdict.VERIFIED
    assert [key for _, key in lines_of(str(repair.folder), "a")] == [f"{run.id}:write-a"]


def test_only_a_step_reads_the_secret_that_only_steps_may_read(repair: Repair) -> None:
    repair.entry(token="env:TOKEN")
    run, outcome = repair.mend()
    assert outcome.verdict is Verdict.VERIFIED
    assert "value of env:TOKEN" not in str(repair.audit(run.id))


@pytest.mark.parametrize("method", ["plan", "verify", "probe"])
def test_whoever_only_reads_is_refused_the_secret_of_the_steps(repair: Repair, method: str) -> None:
    refusals: list[str] = []

    def reading(ctx: Context, *rest: object) -> object:
        with pytest.raises(ProviderError, match="only the step of an approved plan may read it") as refusal:
            ctx.secrets("env:TOKEN")
        refusals.append(refusal.value.stage)
        return getattr(Mending, method)(remedy, ctx, *rest)

    remedy = Mending()
    setattr(remedy, method, reading)
    repair.rig.shift = replace(repair.rig.shift, jobs={"slots": replace(SLOTS_JOB, remedy=remedy)})
    repair.entry(token="env:TOKEN", behaviour="raises" if method == "probe" else "works")
    _, outcome = repair.mend()
    assert outcome.verdict is Verdict.VERIFIED
    assert set(refusals) == {"secret"}


# What is looked at again before the first step.


def test_an_approval_that_was_revoked_is_not_carried_out(repair: Repair) -> None:
    run = repair.approve()
    revoke(repair.rig.shift, repair.approval(run).id, ANA, "second thoughts")
    assert repair.carry(run) is None
    assert repair.rig.run(run.id).state is RunState.CANCELLED
    assert lines_of(str(repair.folder), "a") == []


def test_a_queued_repair_that_is_cancelled_ends_its_approval(repair: Repair) -> None:
    run = repair.approve()
    verbs.cancel(repair.rig.shift, run.id, ANA, "not today")
    assert (repair.rig.run(run.id).state, repair.approval(run).state) == (RunState.CANCELLED, ApprovalState.REVOKED)


def test_an_approver_who_was_removed_since_the_yes_is_no_approver(repair: Repair) -> None:
    run = repair.approve()
    repair.set(people=(person("ben"),))
    assert refused(repair, run) == ("quorum_lost", ApprovalState.REVOKED)


def test_an_approver_who_lost_the_role_since_the_yes_is_no_approver(repair: Repair) -> None:
    run = repair.approve()
    repair.set(people=(person("ana", "viewer"), person("ben")))
    assert refused(repair, run) == ("quorum_lost", ApprovalState.REVOKED)


def test_a_rule_that_now_asks_for_two_is_not_satisfied_by_one(repair: Repair) -> None:
    run = repair.approve()
    repair.set(policy=Policy(rules=(RULE.model_copy(update={"approvers": 2}),)))
    assert refused(repair, run) == ("quorum_lost", ApprovalState.REVOKED)


@pytest.mark.parametrize("mode", ["observe", "propose"])
def test_an_environment_that_left_execute_is_not_touched(repair: Repair, mode: str) -> None:
    run = repair.approve()
    repair.set(modes={"default": mode})
    assert refused(repair, run) == ("not_in_execute", ApprovalState.REVOKED)


def test_an_entry_that_moved_to_another_environment_is_asked_for_anew(repair: Repair) -> None:
    run = repair.approve()
    repair.entry(environment="elsewhere")
    repair.set(modes={"default": "execute", "elsewhere": "execute"})
    assert refused(repair, run) == ("environment_moved", ApprovalState.SUPERSEDED)


def test_an_entry_that_left_the_estate_is_not_touched(repair: Repair) -> None:
    run = repair.approve()
    repair.set(tables={"slots": {}})
    assert refused(repair, run) == ("not_in_estate", ApprovalState.SUPERSEDED)


def test_a_rule_that_is_gone_refuses(repair: Repair) -> None:
    run = repair.approve()
    repair.set(policy=Policy())
    assert refused(repair, run) == ("no_rule", ApprovalState.REVOKED)


def test_a_yes_holds_until_its_expiry(repair: Repair) -> None:
    run = repair.approve()
    repair.rig.clock.now = repair.approval(run).expires_at
    assert refused(repair, run) == ("expired", ApprovalState.EXPIRED)


def test_too_many_subjects_in_a_day_are_over_the_blast_radius(repair: Repair) -> None:
    repair.set(policy=Policy(rules=(RULE.model_copy(update={"max_percentage": 40}),)))
    folders = {name: repair.folder / name for name in ("one", "two", "three", "four", "five")}
    for folder in folders.values():
        folder.mkdir()
    table = repair.estate.tables["slots"][ENTRY]
    entries = {name: table.model_copy(update={"name": name, "folder": str(folder)}) for name, folder in folders.items()}
    repair.set(tables={"slots": entries})
    seen = []
    for name in entries:
        run = repair.approve(repair.ask(name))
        outcome = repair.carry(run)
        assert outcome is not None
        seen.append(outcome.reason)
    assert seen == [None, None, "blast_radius", "blast_radius", "blast_radius"]
    repair.rig.clock.advance(timedelta(hours=25))
    again = repair.carry(repair.approve(repair.ask("three")))
    assert again is not None
    assert again.verdict is Verdict.VERIFIED


# Brakes that come before the first step lose no yes.


def test_a_frozen_repair_waits_in_the_queue_and_goes_on_after_the_thaw(repair: Repair) -> None:
    run = repair.approve()
    verbs.freeze(repair.rig.shift, ANA, "storm")
    assert repair.carry(run) is None
    assert (repair.rig.run(run.id).state, repair.rig.run(run.id).attempts) == (RunState.QUEUED, 0)
    assert repair.approval(run).state is ApprovalState.APPROVED
    verbs.thaw(repair.rig.shift, ANA, "calm")
    assert min(repair.bells(run)) <= repair.rig.clock()
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED


def test_a_yes_that_expires_in_a_freeze_ends_with_it(repair: Repair) -> None:
    run = repair.approve()
    verbs.freeze(repair.rig.shift, ANA, "storm")
    repair.rig.clock.now = repair.approval(run).expires_at
    outcome = repair.carry(run)
    # Frozen comes first: nothing is decided about a run that may not begin, but it waits no longer than its yes.
    assert outcome is None or outcome.reason == "expired"


def test_a_freeze_window_holds_a_repair_back_until_it_is_over(repair: Repair) -> None:
    run = repair.approve()
    begins = repair.rig.clock()
    window = Freeze.model_validate({"name": "fair", "from": begins, "until": begins + timedelta(hours=1)})
    repair.set(policy=Policy(rules=(RULE,), freezes=(window,)))
    assert repair.carry(run) is None
    assert repair.rig.run(run.id).state is RunState.QUEUED
    repair.rig.clock.advance(timedelta(hours=1))
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED


def test_a_worker_of_the_checks_takes_no_effect(repair: Repair) -> None:
    run = repair.approve()
    assert execute_run(repair.rig.shift, run.id, run.job, "checks@here", [RunKind.CHECK]) is None
    assert repair.rig.run(run.id).state is RunState.QUEUED


# A world that moves between yes and run.


def test_a_world_that_moved_since_the_yes_is_refused_and_asked_again_with_the_difference(repair: Repair) -> None:
    run = repair.approve()
    write(str(repair.folder), "a", 7, "somebody")
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.SKIPPED, "world_moved")
    assert "steps.0.before: 0 → 7" in outcome.summary
    fresh = latest(repair, run)
    assert (fresh.state, fresh.supersedes) == (ApprovalState.PENDING, run.approval_id)
    assert repair.approval(run).state is ApprovalState.SUPERSEDED
    assert value_of(str(repair.folder), "a") == 7
    assert repair.messages("approval_requested") == [run.approval_id, fresh.id]


def test_who_approved_the_old_plan_may_approve_the_new_one(repair: Repair) -> None:
    run = repair.approve()
    write(str(repair.folder), "a", 7, "somebody")
    repair.carry(run)
    again = repair.approve(latest(repair, run), "ana")
    outcome = repair.carry(again)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED


def test_a_commit_that_moves_without_the_change_set_runs_and_both_are_recorded(repair: Repair) -> None:
    run = repair.approve()
    (repair.folder / "commit").write_text("c0ffee")
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    [facts] = [entry.facts for entry in repair.audit(run.id) if entry.verb == "run.planned_again"]
    assert (facts["approved_at_pins"], facts["pins"]) == ({"commit": "none"}, {"commit": "c0ffee"})


def test_a_world_that_mended_itself_leaves_nothing_to_do(repair: Repair) -> None:
    run = repair.approve()
    write(str(repair.folder), "a", 1, "somebody")
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.SKIPPED, "nothing_to_do")
    assert repair.approval(run).state is ApprovalState.SUPERSEDED


def test_a_rule_of_another_name_is_another_policy_and_asked_anew(repair: Repair) -> None:
    run = repair.approve()
    repair.set(policy=Policy(rules=(RULE.model_copy(update={"name": "renamed"}),)))
    assert refused(repair, run) == ("world_moved", ApprovalState.SUPERSEDED)
    assert latest(repair, run).rule == "renamed"


def test_a_plan_sealed_by_an_older_version_is_planned_and_asked_anew(repair: Repair) -> None:
    run = resealed(repair, repair.approve(), b"nightshift-plan-v0\n{}")
    assert refused(repair, run) == ("world_moved", ApprovalState.SUPERSEDED)
    assert latest(repair, run).state is ApprovalState.PENDING


def test_a_plan_whose_bytes_are_not_those_that_were_approved_is_not_carried_out(repair: Repair) -> None:
    run = repair.approve()
    with repair.rig.ledger.transaction() as tx:
        tx.execute(update(PLANS).values(content=HEADER + b"{}"))
    assert refused(repair, run) == ("seal_broken", ApprovalState.REVOKED)


def test_a_job_that_cannot_plan_any_more_carries_nothing_out(repair: Repair) -> None:
    run = repair.approve()
    (repair.folder / "a.slot").write_text("no number\n")
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason, repair.effects(run)) == (RunState.FAILED, "plan_error", [])


# What looking again shows.


@pytest.mark.parametrize(
    ("behaviour", "reason", "verdict"),
    [
        ("does_nothing", "unchanged", Verdict.UNCHANGED),
        ("writes_another", "worse", Verdict.WORSE),
        ("fails", "step_failed", Verdict.UNCHANGED),
    ],
)
def test_what_is_not_verified_needs_a_person_who_is_told_what_was_seen(
    repair: Repair, behaviour: str, reason: str, verdict: Verdict
) -> None:
    repair.entry(behaviour=behaviour)
    run, outcome = repair.mend()
    assert (outcome.state, outcome.reason, outcome.verdict) == (RunState.NEEDS_ATTENTION, reason, verdict)
    assert "0 of 1 slots hold what they should" in outcome.summary
    assert f"nightshift resolve {run.id}" in outcome.summary
    assert repair.messages("run_needs_attention") == [run.id]
    assert repair.approval(run).state is ApprovalState.APPROVED


def test_after_a_step_that_failed_no_other_is_begun(repair: Repair) -> None:
    repair.entry(slots=SLOTS, behaviour="fails", behaves_at="b")
    run, outcome = repair.mend()
    assert (outcome.reason, outcome.verdict) == ("step_failed", Verdict.PARTIAL)
    assert repair.outcomes(run) == {"write-a": EffectOutcome.APPLIED, "write-b": EffectOutcome.FAILED}
    assert "slot b takes no 1" in outcome.summary


def test_a_command_that_fails_is_a_step_that_failed(repair: Repair) -> None:
    repair.entry(by_command=True, behaviour="fails")
    run, outcome = repair.mend()
    assert outcome.reason == "step_failed"
    assert "ended with 3" in repair.effects(run)[0].detail


def test_a_step_that_raises_after_its_effect_is_settled_by_the_probe(repair: Repair) -> None:
    repair.entry(behaviour="raises")
    run, outcome = repair.mend()
    assert outcome.verdict is Verdict.VERIFIED
    [effect] = repair.effects(run)
    assert effect.outcome is EffectOutcome.APPLIED
    assert effect.detail == "ValueError: the pen broke; the probe says that it happened"


def test_a_step_that_raises_and_cannot_be_probed_needs_a_person(repair: Repair) -> None:
    repair.entry(behaviour="raises", probes=False)
    run, outcome = repair.mend()
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, "outcome_unknown")
    assert repair.outcomes(run) == {"write-a": None}


def test_what_was_approved_to_be_taken_back_is_taken_back_and_verified(repair: Repair) -> None:
    repair.rig.shift = replace(repair.rig.shift, jobs={"slots": replace(SLOTS_JOB, remedy=Disliked())})
    repair.entry(slots=SLOTS, rolls_back=True)
    run, outcome = repair.mend()
    assert (outcome.state, outcome.verdict, outcome.reason) == (RunState.FAILED, Verdict.ROLLED_BACK, "rolled_back")
    assert [value_of(str(repair.folder), slot) for slot in SLOTS] == [0, 0, 0]
    begun = [entry.facts["step"] for entry in repair.audit(run.id) if entry.verb == "effect.intended"]
    assert begun == ["write-a", "write-b", "write-c", "undo-c", "undo-b", "undo-a"]
    assert repair.messages("remediation_ended") == [run.id]
    assert repair.approval(run).state is ApprovalState.CARRIED_OUT


def test_a_rollback_that_cannot_be_verified_needs_a_person(repair: Repair) -> None:
    repair.entry(behaviour="writes_another", rolls_back=True)
    run = repair.approve()
    # Whoever writes between the step and its reverse makes the reverse impossible.
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, "precondition_failed")


# The lock (job, subject).


def test_two_repairs_of_one_subject_never_run_at_once(repair: Repair) -> None:
    repair.entry(behaviour="does_nothing")
    first, outcome = repair.mend()
    assert outcome.state is RunState.NEEDS_ATTENTION
    second = replace(first, id="second", state=RunState.QUEUED, approval_id=None)
    with repair.rig.ledger.transaction() as tx:
        runs.insert_runs(tx, [second])
        claimed = leases.claim(tx, second.id, job=second.job, owner="me", worker="w", lease_seconds=30)
    assert (claimed, repair.carry(second)) == (None, None)
    assert repair.rig.run("second").state is RunState.QUEUED
    verbs.resolve(repair.rig.shift, first.id, ANA, "applied", "I saw it")
    with repair.rig.ledger.transaction() as tx:
        assert leases.claim(tx, second.id, job=second.job, owner="me", worker="w", lease_seconds=30) is not None
