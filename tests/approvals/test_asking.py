"""From findings to requests: what is asked for, once, by whom it counts as asked, and what takes its place."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.approvals.ward import PROD, Ward, open_ward, person, rule
from tests.support.shift import request
from worker.flow import Order
from worker.flow.deciding import dismiss
from worker.flow.errors import Forbidden
from worker.flow.expiring import expire_due, remind_due
from worker.flow.intake import enqueue
from worker.flow.verbs import mute
from worker.ledger import keepings, outbox, people, plans
from worker.ledger.rows import new_id
from worker.policy import Policy
from worker.records import Actor, ActorKind, ApprovalState, Choice, Risk, RunState, TokenRow, Topic, Trigger
from worker.seal import unseal

NEXT_NIGHT = timedelta(hours=24)


def test_a_finding_that_can_be_mended_becomes_one_request(ward: Ward) -> None:
    asked = ward.ask()
    assert (asked.job, asked.subject, asked.cause, asked.state) == ("slots", "door", "wrong_value", ApprovalState.PENDING)
    assert (asked.risk, asked.quorum, asked.rule, asked.nights) == (Risk.MEDIUM, 1, "slots", 1)
    assert asked.requesters == ["ana"]
    sealed = unseal(ward.plan(asked.digest).content)
    assert sealed.digest == asked.digest
    assert [(step.action, step.before, step.after) for step in sealed.plan.steps] == [("write", 0, 1)]
    with ward.rig.ledger.read() as connection:
        assert [row.key for row in plans.findings(connection, asked.digest)] == ["slot:a"]
        messages = outbox.due(connection, Topic.MESSAGE, ward.rig.clock(), 10)
    assert [row.payload["kind"] for row in messages if row.subject == asked.id] == ["approval_requested"]
    assert [entry.object_id for entry in ward.audit("approval.asked")] == [asked.id]


def test_the_simulation_lies_beside_the_plan_as_an_artifact(ward_here: Ward) -> None:
    asked = ward_here.ask()
    plan = ward_here.plan(asked.digest)
    with ward_here.rig.ledger.read() as connection:
        content = keepings.artifact(connection, plan.simulation_sha256)
    assert content is not None
    assert b"+ " in content.content
    assert b"+ " not in plan.content


def test_asking_ends_the_run_and_nothing_has_changed(ward: Ward) -> None:
    assert ward.look().state is RunState.SUCCEEDED
    assert ward.effect_runs() == []
    assert ward.lines() == []


def test_the_same_finding_on_the_next_night_updates_the_request(ward: Ward) -> None:
    first = ward.ask()
    assert ward.ask().nights == 1, "looked at twice in one night"
    ward.rig.clock.advance(NEXT_NIGHT)
    again = ward.ask()
    assert (again.id, again.nights, again.seen_at) == (first.id, 2, ward.rig.clock())
    assert len(ward.approvals()) == 1


def test_another_change_set_takes_the_place_of_the_pending_one(ward: Ward) -> None:
    first = ward.ask()
    ward.meddle(7)
    second = ward.ask()
    assert second.supersedes == first.id
    assert second.digest != first.digest
    gone = ward.approval(first.id)
    assert (gone.state, gone.ended_reason) == (ApprovalState.SUPERSEDED, f"asked anew as {second.id}")


def test_a_request_whose_finding_is_gone_is_closed(ward: Ward) -> None:
    first = ward.ask()
    ward.meddle(1)
    ward.look()
    assert ward.pending() == []
    assert ward.approval(first.id).state is ApprovalState.SUPERSEDED


def test_a_denied_change_set_is_not_asked_for_again_for_a_week(ward: Ward) -> None:
    ward.say(ward.ask(), choice=Choice.DENY, reason="not now")
    ward.rig.clock.advance(timedelta(days=6))
    ward.look()
    assert ward.pending() == []
    ward.rig.clock.advance(timedelta(days=2))
    assert ward.ask().nights == 1


def test_another_change_set_is_asked_for_although_one_was_denied(ward_here: Ward) -> None:
    ward_here.say(ward_here.ask(), choice=Choice.DENY, reason="not so")
    ward_here.meddle(5)
    assert ward_here.ask().state is ApprovalState.PENDING


def test_an_expired_request_is_asked_again_and_says_for_how_many_nights(ward: Ward) -> None:
    first = ward.ask()
    ward.rig.clock.advance(timedelta(days=4))
    assert expire_due(ward.rig.shift) == 1
    assert ward.approval(first.id).state is ApprovalState.EXPIRED
    second = ward.ask()
    assert (second.supersedes, second.nights) == (first.id, 2)


def test_deciders_are_reminded_once_before_the_end(ward: Ward) -> None:
    asked = ward.ask()
    assert asked.remind_at is not None
    ward.rig.clock.advance(asked.remind_at - ward.rig.clock() + timedelta(seconds=1))
    assert (remind_due(ward.rig.shift), remind_due(ward.rig.shift)) == (1, 0)
    assert len(ward.audit("approval.reminded")) == 1


def test_a_muted_finding_is_not_asked_for(ward_here: Ward) -> None:
    first = ward_here.ask()
    ward_here.say(first, choice=Choice.DENY, reason="leave it")
    (row,) = ward_here.rig.findings()
    ana = Actor(ActorKind.PERSON, "ana")
    mute(ward_here.rig.shift, row.id, ana, "known", ward_here.rig.clock() + timedelta(days=30))
    ward_here.rig.clock.advance(timedelta(days=8))
    ward_here.look()
    assert ward_here.pending() == []


@pytest.mark.parametrize("mode", ["observe", "propose"])
def test_below_execute_nobody_can_say_yes(ward_here: Ward, mode: str) -> None:
    ward_here.change(modes={PROD: mode})
    ward_here.look()
    assert [one.mode for one in ward_here.pending()] == ([] if mode == "observe" else ["propose"])


def test_a_proposal_can_be_dismissed_and_stays_away(ward: Ward) -> None:
    ward.change(modes={PROD: "propose"})
    shown = ward.ask()
    dismissed = dismiss(ward.rig.shift, shown.id, Actor(ActorKind.PERSON, "bo"), "we know")
    assert (dismissed.state, dismissed.ended_by) == (ApprovalState.DENIED, "person:bo")
    ward.look()
    assert ward.pending() == []


def test_what_no_rule_covers_is_not_asked_for(ward_here: Ward) -> None:
    ward_here.change(policy=Policy())
    ward_here.look()
    assert ward_here.pending() == []
    assert [row.state for row in ward_here.rig.findings()] == ["open"]


def test_rules_that_contradict_each_other_deny(ward_here: Ward) -> None:
    ward_here.change(policy=Policy(rules=(rule(), rule(name="other", approvers=2))))
    ward_here.look()
    assert ward_here.pending() == []


def test_a_plan_with_too_many_steps_is_not_asked_for(ward_here: Ward) -> None:
    ward_here.entry(slots=("a", "b", "c"))
    ward_here.change(policy=Policy(rules=(rule(max_steps=2),)))
    ward_here.look()
    assert ward_here.pending() == []


def test_the_maker_of_a_token_counts_as_who_asked(ward: Ward) -> None:
    now = ward.rig.clock()
    token = TokenRow(
        id=new_id(),
        name="canvas",
        family=new_id(),
        kind=ActorKind.N8N,
        grants=[],
        created_by="person:bo",
        created_at=now,
        expires_at=now + timedelta(days=1),
        revoked_at=None,
    )
    with ward.rig.ledger.transaction() as tx:
        people.insert_token(tx, token, "0" * 64)
    asking = request(Order(job="slots"), actor=Actor(ActorKind.N8N, "canvas", "cy"), trigger=Trigger.N8N)
    (run,) = enqueue(ward.rig.shift, asking).runs
    ward.rig.execute(run)
    assert [one.requesters for one in ward.pending()] == [["bo", "cy"]]


def test_whoever_has_it_found_again_counts_as_who_asked_too(ward_here: Ward) -> None:
    ward_here.ask()
    asking = request(Order(job="slots"), actor=Actor(ActorKind.PERSON, "bo"))
    (run,) = enqueue(ward_here.rig.shift, asking).runs
    ward_here.rig.execute(run)
    assert [one.requesters for one in ward_here.pending()] == [["ana", "bo"]]


def test_a_remedy_that_cannot_plan_leaves_the_check_as_it_is(tmp_path: Path) -> None:
    with open_ward(f"sqlite:///{tmp_path / 'l.db'}", tmp_path) as ward:
        (ward.folder / "commit").mkdir()
        outcome = ward.look()
        assert outcome.state is RunState.SUCCEEDED
        assert ward.pending() == []
        with ward.rig.ledger.read() as connection:
            lines = keepings.lines_of(connection, outcome.run_id)
        assert [line.event for _, line in lines] == ["not_planned"]


def test_nobody_is_asked_while_a_person_has_to_settle_the_last_try(ward_here: Ward) -> None:
    ward_here.entry(behaviour="does_nothing")
    outcome = ward_here.mend()
    assert outcome is not None
    assert outcome.state is RunState.NEEDS_ATTENTION
    ward_here.look()
    assert ward_here.pending() == []


def test_only_people_of_the_rule_are_named_as_deciders(ward_here: Ward) -> None:
    ward_here.change(policy=Policy(rules=(rule(people=["cy"]),)), people=(person("bo"), person("cy")))
    assert ward_here.ask().people == ["cy"]


def token_of(ward: Ward, name: str, maker: str, kind: ActorKind) -> None:
    now = ward.rig.clock()
    later = now + timedelta(days=1)
    row = TokenRow(
        id=new_id(),
        name=name,
        family=new_id(),
        kind=kind,
        grants=[],
        created_by=maker,
        created_at=now,
        expires_at=later,
        revoked_at=None,
    )
    with ward.rig.ledger.transaction() as tx:
        people.insert_token(tx, row, f"{len(name):064}")


def asked_by(ward: Ward, actor: Actor) -> None:
    (run,) = enqueue(ward.rig.shift, request(Order(job="slots"), actor=actor)).runs
    ward.rig.execute(run)


@pytest.mark.parametrize(
    "actor",
    [
        Actor(ActorKind.TOKEN, "ci for prod"),
        Actor(ActorKind.N8N, "canvas", "BO@example.com"),
        Actor(ActorKind.N8N, "canvas", "Bo"),
        Actor(ActorKind.CLI, "Bo"),
        Actor(ActorKind.PERSON, "bo"),
    ],
    ids=str,
)
def test_nobody_decides_on_what_they_asked_for_however_they_are_spelled(ward_here: Ward, actor: Actor) -> None:
    token_of(ward_here, "ci for prod", "person:bo", ActorKind.TOKEN)
    token_of(ward_here, "canvas", "person:ana", ActorKind.N8N)
    asked_by(ward_here, actor)
    (asked,) = ward_here.pending()
    with pytest.raises(Forbidden) as refused:
        ward_here.say(asked, "bo")
    assert refused.value.code == "self_approval"


def test_a_canvas_cannot_take_the_decision_from_people_by_naming_them(ward_here: Ward) -> None:
    token_of(ward_here, "canvas", "person:ana", ActorKind.N8N)
    ward_here.ask()
    for name in ("bo", "cy"):
        asked_by(ward_here, Actor(ActorKind.N8N, "canvas", name))
    (asked,) = ward_here.pending()
    assert asked.requesters == ["ana"]
    assert ward_here.say(asked, "bo").state is ApprovalState.APPROVED


def test_a_request_that_is_found_again_takes_on_what_its_rule_demands_by_now(ward_here: Ward) -> None:
    ward_here.ask()
    ward_here.change(policy=Policy(rules=(rule(approvers=2, people=["bo", "cy"]),)))
    again = ward_here.ask()
    assert (again.quorum, list(again.people)) == (2, ["bo", "cy"])


def test_a_proposal_that_was_put_away_is_asked_for_once_it_may_be_done(ward_here: Ward) -> None:
    ward_here.change(modes={PROD: "propose"})
    dismiss(ward_here.rig.shift, ward_here.ask().id, Actor(ActorKind.PERSON, "bo"), "later")
    ward_here.change(modes={PROD: "execute"})
    assert ward_here.ask().mode == "execute"


def test_the_simulation_is_of_this_request_and_not_of_an_earlier_one_of_the_same_digest(ward_here: Ward) -> None:
    first = ward_here.ask()
    (ward_here.folder / "commit").write_text("c0ffee")
    ward_here.say(first, choice=Choice.DENY, reason="not yet")
    ward_here.rig.clock.advance(timedelta(days=8))
    second = ward_here.ask()
    assert second.digest == first.digest
    assert ward_here.plan(second.digest).soft_pins == {"commit": "c0ffee"}
