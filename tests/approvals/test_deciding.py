"""What people may say to a request, what they may not, and that one decision wins whatever comes at once."""

import dataclasses
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.approvals.ward import PIN, PROD, Ward, person, rule
from tests.support.shift import ANA
from worker.flow.authorizing import TRIES, deciders, still_entitled
from worker.flow.deciding import revoke
from worker.flow.errors import FlowError, Forbidden, Invalid, NotFound, Refused
from worker.flow.linking import mint, open_link, read_link
from worker.ledger import outbox, revisions, runs
from worker.policy import Policy
from worker.records import ApprovalState, Choice, RunKind, RunState, Topic, Via
from worker.tokens import hash_token


def test_one_yes_approves_and_queues_exactly_one_run_of_the_plan(ward: Ward) -> None:
    asked = ward.ask()
    approved = ward.say(asked)
    (run,) = ward.effect_runs()
    assert (approved.state, approved.effect_run_id) == (ApprovalState.APPROVED, run.id)
    assert (run.kind, run.plan, run.subject, run.approval_id, run.parent_id) == (
        RunKind.EFFECT,
        asked.digest,
        "door",
        asked.id,
        asked.run_id,
    )
    assert run.state is RunState.QUEUED
    assert ward.rig.rung[-1] == run.id
    (said,) = ward.decisions(asked)
    assert (said.person, said.choice, said.via, said.digest) == ("bo", Choice.APPROVE, Via.PAGE, asked.digest)
    assert [entry.actor for entry in ward.audit("approval.approved")] == ["person:bo", "person:bo"]


def test_one_no_ends_it_and_nothing_runs(ward: Ward) -> None:
    denied = ward.say(ward.ask(), choice=Choice.DENY, reason="not on a Friday")
    assert (denied.state, denied.ended_by, denied.ended_reason) == (ApprovalState.DENIED, "person:bo", "not on a Friday")
    assert ward.effect_runs() == []


def test_a_no_says_why(ward_here: Ward) -> None:
    asked = ward_here.ask()
    with pytest.raises(Invalid, match="reason"):
        ward_here.say(asked, choice=Choice.DENY, reason="  ")
    assert ward_here.approval(asked.id) == asked


@pytest.fixture
def two_needed(ward: Ward) -> Ward:
    ward.change(policy=Policy(rules=(rule(approvers=2),)))
    return ward


def test_a_quorum_of_two_needs_two_people(two_needed: Ward) -> None:
    asked = two_needed.ask()
    assert two_needed.say(asked, "bo").state is ApprovalState.PENDING
    assert two_needed.effect_runs() == []
    with pytest.raises(Refused) as refused:
        two_needed.say(asked, "bo")
    assert refused.value.code == "decided_before"
    assert two_needed.say(asked, "cy").state is ApprovalState.APPROVED
    assert len(two_needed.effect_runs()) == 1


def test_after_one_of_two_yeses_a_no_ends_it(two_needed: Ward) -> None:
    asked = two_needed.ask()
    two_needed.say(asked, "bo")
    assert two_needed.say(asked, "cy", Choice.DENY).state is ApprovalState.DENIED
    assert two_needed.effect_runs() == []


REFUSALS = {
    "self_approval": {"name": "ana"},
    "not_a_decider": {"name": "nobody"},
    "wrong_pin": {"pin": "000000"},
    "digest_moved": {"digest": "0" * 64},
}


@pytest.mark.parametrize("code", REFUSALS)
def test_what_is_refused_changes_nothing(ward: Ward, code: str) -> None:
    asked = ward.ask()
    with pytest.raises(FlowError) as refused:
        ward.say(asked, **REFUSALS[code])  # type: ignore[arg-type]
    assert refused.value.code == code
    assert ward.approval(asked.id) == asked
    assert (ward.decisions(asked), ward.effect_runs()) == ([], [])


def test_a_viewer_somebody_of_another_environment_and_somebody_outside_the_rule_decide_nothing(ward_here: Ward) -> None:
    viewer, elsewhere = person("dee", "viewer"), person("eve", environment="staging")
    ward_here.change(policy=Policy(rules=(rule(people=["cy"]),)), people=(person("bo"), person("cy"), viewer, elsewhere))
    asked = ward_here.ask()
    for name in ("dee", "eve", "bo"):
        with pytest.raises(Forbidden) as refused:
            ward_here.say(asked, name)
        assert refused.value.code == "not_a_decider"
    assert [one.name for one in deciders(ward_here.rig.estate[-1], asked)] == ["cy"]


def test_without_a_pin_nobody_decides(ward_here: Ward) -> None:
    ward_here.change(people=(person("bo", pin=False),))
    with pytest.raises(Forbidden, match="nightshift people pin bo"):
        ward_here.say(ward_here.ask())


def test_wrong_pins_lock_and_the_lock_outlasts_the_right_pin(ward: Ward) -> None:
    asked = ward.ask()
    for _ in range(TRIES):
        with pytest.raises(Forbidden):
            ward.say(asked, pin="111111")
    with pytest.raises(Refused) as refused:
        ward.say(asked, pin=PIN)
    assert refused.value.code == "pin_locked"
    assert [entry.object_id for entry in ward.audit("person.pin_locked")] == ["bo"]
    ward.rig.clock.advance(timedelta(minutes=16))
    assert ward.say(asked, pin=PIN).state is ApprovalState.APPROVED


def test_many_wrong_pins_at_once_do_not_outrun_the_count(ward: Ward) -> None:
    asked = ward.ask()

    def guess(number: int) -> str:
        try:
            ward.say(asked, pin=f"{number:06}")
        except FlowError as error:
            return error.code
        return "guessed"

    with ThreadPoolExecutor(16) as pool:
        said = Counter(pool.map(guess, range(40)))
    assert said == {"wrong_pin": TRIES, "pin_locked": 40 - TRIES}


def test_an_expired_request_is_not_decided_on_even_before_the_sweeper_came(ward: Ward) -> None:
    asked = ward.ask()
    ward.rig.clock.advance(timedelta(days=4))
    with pytest.raises(Refused) as refused:
        ward.say(asked)
    assert refused.value.code == "expired"


def test_a_proposal_has_no_yes(ward_here: Ward) -> None:
    ward_here.change(modes={PROD: "propose"})
    with pytest.raises(Refused) as refused:
        ward_here.say(ward_here.ask())
    assert refused.value.code == "propose_only"


def test_a_superseded_request_is_not_decided_on(ward_here: Ward) -> None:
    first = ward_here.ask()
    ward_here.meddle(9)
    ward_here.ask()
    with pytest.raises(Refused) as refused:
        ward_here.say(first)
    assert refused.value.code == "not_pending"


def test_of_200_decisions_at_once_one_wins(ward: Ward) -> None:
    asked = ward.ask()

    def say(number: int) -> str:
        choice = Choice.APPROVE if number % 3 else Choice.DENY
        try:
            return ward.say(asked, ("bo", "cy")[number % 2], choice).state
        except FlowError as error:
            return error.code

    with ThreadPoolExecutor(24) as pool:
        said = Counter(pool.map(say, range(200)))
    assert said["approved"] + said["denied"] == 1, said
    assert set(said) <= {"approved", "denied", "not_pending"}
    assert len(ward.decisions(asked)) == 1
    assert len(ward.effect_runs()) == said["approved"]


def test_a_link_is_spent_by_its_decision_and_opening_it_is_not_one(ward: Ward) -> None:
    asked = ward.ask()
    token = mint(ward.rig.shift, asked, "bo", "mail")
    before = len(ward.audit())
    assert [open_link(ward.rig.shift, token).person for _ in range(3)] == ["bo"] * 3
    assert len(ward.audit()) == before
    ward.say(asked, link_sha256=hash_token(token), via=Via.LINK)
    with pytest.raises(Refused) as refused:
        open_link(ward.rig.shift, token)
    assert refused.value.code == "link_used"


def test_a_newer_link_revokes_the_older_one_of_the_same_person_and_channel(ward: Ward) -> None:
    asked = ward.ask()
    first, other = mint(ward.rig.shift, asked, "bo", "mail"), mint(ward.rig.shift, asked, "bo", "chat")
    second = mint(ward.rig.shift, asked, "bo", "mail")
    with pytest.raises(Refused) as refused:
        open_link(ward.rig.shift, first)
    assert refused.value.code == "link_revoked"
    assert {open_link(ward.rig.shift, token).channel for token in (second, other)} == {"mail", "chat"}


@pytest.mark.parametrize("wrong", ["somebody_elses", "revoked", "unknown"])
def test_a_decision_by_a_link_that_does_not_hold_is_refused(ward_here: Ward, wrong: str) -> None:
    asked = ward_here.ask()
    token = mint(ward_here.rig.shift, asked, "cy" if wrong == "somebody_elses" else "bo", "mail")
    if wrong == "revoked":
        mint(ward_here.rig.shift, asked, "bo", "mail")
    with pytest.raises(Refused) as refused:
        ward_here.say(asked, link_sha256=hash_token("never" if wrong == "unknown" else token))
    assert refused.value.code == "link_revoked"
    assert ward_here.approval(asked.id).state is ApprovalState.PENDING


def test_links_die_with_the_request(ward_here: Ward) -> None:
    asked = ward_here.ask()
    token = mint(ward_here.rig.shift, asked, "bo", "mail")
    ward_here.say(asked, "cy")
    with pytest.raises(Refused) as refused:
        read_link(ward_here.rig.shift, hash_token(token))
    assert refused.value.code == "link_revoked"
    with pytest.raises(Refused):
        mint(ward_here.rig.shift, asked, "bo", "mail")


def test_a_link_expires_with_its_request(ward_here: Ward) -> None:
    token = mint(ward_here.rig.shift, ward_here.ask(), "bo", "mail")
    ward_here.rig.clock.advance(timedelta(days=4))
    with pytest.raises(Refused) as refused:
        open_link(ward_here.rig.shift, token)
    assert refused.value.code == "link_expired"


def test_a_revoked_yes_ends_the_run_that_has_not_begun(ward: Ward) -> None:
    asked = ward.ask()
    ward.say(asked)
    assert revoke(ward.rig.shift, asked.id, ANA, "the maintenance is off").state is ApprovalState.REVOKED
    (run,) = ward.effect_runs()
    assert (run.state, run.reason) == (RunState.CANCELLED, "revoked")
    assert ward.rig.execute(run) is None
    assert ward.lines() == []
    with pytest.raises(Refused):
        revoke(ward.rig.shift, asked.id, ANA, "again")


def test_whoever_asked_may_take_it_back(ward_here: Ward) -> None:
    asked = ward_here.ask()
    assert revoke(ward_here.rig.shift, asked.id, ANA, "a mistake").state is ApprovalState.REVOKED


def test_a_yes_does_not_outlive_the_entitlement_of_who_said_it(ward_here: Ward) -> None:
    asked = ward_here.ask()
    ward_here.say(asked)
    said, estate = ward_here.decisions(asked), ward_here.rig.estate[-1]
    assert still_entitled(estate, asked, said) is None
    without = dataclasses.replace(estate, people=(person("ana"), person("cy")))
    assert "bo may not decide any more" in str(still_entitled(without, asked, said))
    stricter = dataclasses.replace(estate, policy=Policy(rules=(rule(approvers=2),)))
    assert still_entitled(stricter, asked, said) == "1 of 2 approvals hold"


def test_what_is_decided_is_told(ward_here: Ward) -> None:
    asked = ward_here.ask()
    ward_here.say(asked)
    with ward_here.rig.ledger.read() as connection:
        rows = outbox.due(connection, Topic.MESSAGE, ward_here.rig.clock(), 10)
    assert [row.payload["kind"] for row in rows if row.subject == asked.id] == ["approval_requested", "approval_decided"]


def test_an_unknown_request_is_not_found(ward_here: Ward) -> None:
    asked = ward_here.ask()
    with pytest.raises(NotFound):
        ward_here.say(dataclasses.replace(asked, id="nothing"))


def test_the_ledger_itself_keeps_an_approval_from_starting_a_second_run(ward: Ward) -> None:
    ward.say(ward.ask())
    (run,) = ward.effect_runs()
    twin = dataclasses.replace(run, id="another", batch_id=run.batch_id)
    with pytest.raises(Exception, match=r"(?i)unique"), ward.rig.ledger.transaction() as tx:
        runs.insert_runs(tx, [twin])


def test_a_rule_that_asks_for_more_people_now_is_heeded_at_the_yes(ward_here: Ward) -> None:
    asked = ward_here.ask()
    ward_here.change(policy=Policy(rules=(rule(approvers=2),)))
    assert ward_here.say(asked, "bo").state is ApprovalState.PENDING
    assert ward_here.say(asked, "cy").state is ApprovalState.APPROVED


def test_the_yes_of_somebody_who_left_is_not_that_of_another_who_has_their_name_now(ward_here: Ward) -> None:
    asked = ward_here.ask()
    ward_here.say(asked)
    said, estate = ward_here.decisions(asked), ward_here.rig.estate[-1]
    another = person("bo").model_copy(update={"pin_hash": "$argon2id$another"})
    assert "bo" in str(still_entitled(dataclasses.replace(estate, people=(another,)), asked, said))


def test_a_request_of_before_a_restore_is_not_decided_on(ward_here: Ward) -> None:
    asked = ward_here.ask()
    with ward_here.rig.ledger.transaction() as tx:
        revisions.set_state(tx, epoch=2)
    with pytest.raises(Refused, match="restored"):
        ward_here.say(asked)
