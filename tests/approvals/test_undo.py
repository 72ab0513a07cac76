"""What a run did is taken back by reverse steps that are asked for like any other plan, and never without a new yes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.effects import RULE, Repair, open_repair
from tests.support.mending import SLOTS as SLOTS_JOB
from tests.support.mending import Disliked, value_of, write
from tests.support.shift import ANA
from worker.flow import verbs
from worker.flow.deciding import Statement, decide
from worker.flow.errors import Forbidden, Invalid, NotFound, Refused
from worker.flow.undoing import undo
from worker.ledger import keepings, plans
from worker.policy import Policy
from worker.records import Actor, ActorKind, Approval, ApprovalState, Choice, RunState, Verdict, Via
from worker.seal import unseal

BEN = Actor(ActorKind.PERSON, "ben")
SLOTS = ("a", "b")


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path) as opened:
        opened.entry(slots=SLOTS)
        yield opened


def steps_of(repair: Repair, approval: Approval) -> list[str]:
    with repair.rig.ledger.read() as connection:
        row = plans.get(connection, approval.digest)
    assert row is not None
    return [step.id for step in unseal(row.content).plan.steps]


def test_a_repair_is_taken_back_last_step_first_after_a_new_yes(repair: Repair) -> None:
    run, _ = repair.mend()
    asked = undo(repair.rig.shift, run.id, BEN, "it was the wrong shelf")
    assert (asked.state, asked.cause, asked.rule) == (ApprovalState.PENDING, "undo", "slots")
    assert steps_of(repair, asked) == ["undo-b", "undo-a"]
    assert [value_of(str(repair.folder), slot) for slot in SLOTS] == [1, 1], "nothing yet"
    outcome = repair.carry(repair.approve(asked, "ana"))
    assert outcome is not None
    assert (outcome.state, outcome.verdict) == (RunState.SUCCEEDED, Verdict.VERIFIED)
    assert [value_of(str(repair.folder), slot) for slot in SLOTS] == [0, 0]
    [facts] = [entry.facts for entry in repair.audit(run.id) if entry.verb == "run.undo_asked"]
    assert (facts["reason"], facts["approval"]) == ("it was the wrong shelf", asked.id)


def test_the_request_shows_what_is_taken_back(repair: Repair) -> None:
    run, _ = repair.mend()
    asked = undo(repair.rig.shift, run.id, BEN, "wrong shelf")
    with repair.rig.ledger.read() as connection:
        row = plans.get(connection, asked.digest)
        assert row is not None
        simulation = keepings.artifact(connection, row.simulation_sha256)
    assert simulation is not None
    text = simulation.content.decode()
    assert text.startswith(f"takes back what run {run.id} did: write 2 slots\n- write ")
    assert asked.title == "take back: write 2 slots"


def test_who_wants_it_taken_back_does_not_decide_on_it(repair: Repair) -> None:
    run, _ = repair.mend()
    asked = undo(repair.rig.shift, run.id, BEN, "wrong shelf")
    with pytest.raises(Forbidden, match="ben asked for the run"):
        repair.approve(asked, "ben")


def test_asked_twice_it_is_one_request(repair: Repair) -> None:
    run, _ = repair.mend()
    first = undo(repair.rig.shift, run.id, BEN, "wrong shelf")
    assert undo(repair.rig.shift, run.id, ANA, "indeed").id == first.id


def test_only_what_happened_is_taken_back(repair: Repair) -> None:
    repair.entry(slots=SLOTS, behaviour="fails", behaves_at="b")
    run, _ = repair.mend()
    verbs.resolve(repair.rig.shift, run.id, ANA, "not_applied", "b is full")
    asked = undo(repair.rig.shift, run.id, BEN, "then not a either")
    assert steps_of(repair, asked) == ["undo-a"]


def test_a_world_that_moved_since_is_not_overwritten(repair: Repair) -> None:
    run, _ = repair.mend()
    again = repair.approve(undo(repair.rig.shift, run.id, BEN, "wrong shelf"), "ana")
    write(str(repair.folder), "b", 9, "somebody")
    outcome = repair.carry(again)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.SKIPPED, "precondition_failed")
    assert value_of(str(repair.folder), "b") == 9
    assert repair.approval(again).state is ApprovalState.SUPERSEDED


def test_an_undo_can_be_undone(repair: Repair) -> None:
    run, _ = repair.mend()
    back = repair.approve(undo(repair.rig.shift, run.id, BEN, "wrong shelf"), "ana")
    repair.carry(back)
    forth = repair.approve(undo(repair.rig.shift, back.id, BEN, "it was the right one"), "ana")
    outcome = repair.carry(forth)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    assert [value_of(str(repair.folder), slot) for slot in SLOTS] == [1, 1]


def test_a_step_that_cannot_be_undone_refuses_the_whole(repair: Repair) -> None:
    repair.entry(slots=SLOTS, undoable=False)
    run, _ = repair.mend()
    with pytest.raises(Refused, match=r"write-b .* cannot be undone") as refusal:
        undo(repair.rig.shift, run.id, BEN, "wrong shelf")
    assert refusal.value.code == "cannot_be_undone"


def test_what_there_is_nothing_to_take_back_of_is_refused(repair: Repair) -> None:
    with pytest.raises(NotFound):
        undo(repair.rig.shift, "nowhere", BEN, "why not")
    approval = repair.ask()
    with pytest.raises(Refused, match="is a check"):
        undo(repair.rig.shift, approval.run_id, BEN, "why not")
    queued = repair.approve(approval)
    with pytest.raises(Refused, match="once it has ended"):
        undo(repair.rig.shift, queued.id, BEN, "why not")
    repair.carry(queued)
    with pytest.raises(Invalid, match="`reason` is empty"):
        undo(repair.rig.shift, queued.id, BEN, "")


def test_a_run_that_took_itself_back_is_not_taken_back_again(repair: Repair) -> None:
    repair.rig.shift = replace(repair.rig.shift, jobs={"slots": replace(SLOTS_JOB, remedy=Disliked())})
    repair.entry(slots=SLOTS, rolls_back=True)
    run, _ = repair.mend()
    assert run.verdict is Verdict.ROLLED_BACK
    with pytest.raises(Refused, match="took back by itself"):
        undo(repair.rig.shift, run.id, BEN, "wrong shelf")


def test_the_policy_decides_on_an_undo_as_on_any_plan(repair: Repair) -> None:
    run, _ = repair.mend()
    repair.set(policy=Policy())
    with pytest.raises(Refused, match=r"no rule of policy\.toml covers slots") as refusal:
        undo(repair.rig.shift, run.id, BEN, "wrong shelf")
    assert refusal.value.code == "no_rule"
    repair.set(policy=Policy(rules=(RULE,)), modes={"default": "observe"})
    with pytest.raises(Refused, match="in mode observe"):
        undo(repair.rig.shift, run.id, BEN, "wrong shelf")


def test_an_undo_that_was_denied_is_not_asked_for_again_at_once(repair: Repair) -> None:
    run, _ = repair.mend()
    asked = undo(repair.rig.shift, run.id, BEN, "wrong shelf")
    said = {"approval_id": asked.id, "person": "ana", "digest": asked.digest, "pin": "271828"}
    decide(repair.rig.shift, Statement(choice=Choice.DENY, reason="it was not", via=Via.API, **said))
    with pytest.raises(Refused, match="denied a short while ago"):
        undo(repair.rig.shift, run.id, BEN, "but it was")
