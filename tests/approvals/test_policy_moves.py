"""A policy that changes between the question, the yes and the run: what holds is what is in force at each."""

from datetime import timedelta

import pytest

from tasks.context import Entry
from tests.approvals.ward import PROD, Ward, door, person, rule
from worker.cli import standing
from worker.flow.authorizing import deciders
from worker.flow.errors import Forbidden
from worker.policy import Freeze, Policy, Rule
from worker.records import ApprovalState


def in_force(ward: Ward, *rules: Rule, freezes: tuple[Freeze, ...] = ()) -> None:
    ward.change(policy=Policy(rules=rules, freezes=freezes))


def names(ward: Ward) -> list[str]:
    (approval,) = ward.pending()
    return [person.name for person in deciders(ward.rig.estate[-1], approval)]


def test_whoever_is_no_longer_named_by_the_rule_may_not_decide_on_what_was_asked_before(ward_here: Ward) -> None:
    approval = ward_here.ask()
    assert names(ward_here) == ["bo", "cy"]
    in_force(ward_here, rule(people=["cy"]))
    assert names(ward_here) == ["cy"]
    with pytest.raises(Forbidden, match="lets cy decide by now, not bo") as caught:
        ward_here.say(approval, "bo")
    assert caught.value.code == "not_a_decider"


def test_whoever_was_named_later_may_not_decide_on_what_was_asked_before(ward_here: Ward) -> None:
    in_force(ward_here, rule(people=["bo"]))
    approval = ward_here.ask()
    in_force(ward_here, rule(people=["bo", "cy"]))
    with pytest.raises(Forbidden, match="lets bo decide, not cy"):
        ward_here.say(approval, "cy")


@pytest.mark.parametrize(
    "after",
    [
        rule(people=["cy"]),
        rule(approvers=2),
        rule(actions=["erase"]),
        rule(environments=["elsewhere"]),
        rule(risks=["high"]),
        rule(targets=["/elsewhere/*"]),
        rule(name="renamed"),
    ],
)
def test_a_yes_under_a_rule_that_has_changed_since_starts_nothing(ward_here: Ward, after: Rule) -> None:
    ward_here.say(ward_here.ask(), "bo")
    in_force(ward_here, after)
    ward_here.carry_out()
    assert ward_here.lines() == []


def test_a_yes_under_a_rule_that_is_gone_or_contradicted_starts_nothing(ward_here: Ward) -> None:
    ward_here.say(ward_here.ask(), "bo")
    in_force(ward_here, rule(), rule(name="other", approvers=2))
    outcome = ward_here.carry_out()
    assert outcome is not None
    assert (outcome.reason, ward_here.lines()) == ("contradiction", [])


def test_nothing_is_asked_for_that_no_rule_covers(ward_here: Ward) -> None:
    for rules in ((), (rule(actions=["erase"]),), (rule(), rule(name="other", people=["bo"]))):
        in_force(ward_here, *rules)
        ward_here.look()
        assert ward_here.approvals() == []


def test_a_freeze_window_keeps_the_yes_and_holds_the_step_until_it_ends(ward_here: Ward) -> None:
    now = ward_here.rig.clock()
    window = {"name": "sales", "environments": [PROD], "from": now, "until": now + timedelta(hours=1)}
    in_force(ward_here, rule(), freezes=(Freeze.model_validate(window),))
    approval = ward_here.ask()
    ward_here.say(approval, "bo")
    ward_here.carry_out()
    assert (ward_here.lines(), ward_here.approval(approval.id).state) == ([], ApprovalState.APPROVED)
    ward_here.rig.clock.advance(timedelta(hours=1))
    ward_here.carry_out()
    assert [value for value, _ in ward_here.lines()] == [1]


def test_no_more_than_the_share_of_entries_is_changed_in_a_day(ward_here: Ward) -> None:
    doors: dict[str, Entry] = {name: door(ward_here.folder, slots=(name,)).model_copy(update={"name": name}) for name in "abc"}
    ward_here.change(tables={"slots": doors}, policy=Policy(rules=(rule(max_percentage=34),)))
    ward_here.rig.look("slots")
    first, second, _ = ward_here.pending()
    ward_here.say(first, "bo")
    ward_here.carry_out()
    ward_here.say(second, "bo")
    outcome = ward_here.carry_out()
    assert outcome is not None
    assert outcome.reason == "blast_radius"
    changed = [name for name in "abc" if ward_here.lines(name)]
    assert changed == [first.entry]


def test_the_doctor_names_requests_that_nobody_is_left_to_decide_on(ward_here: Ward) -> None:
    approval = ward_here.ask()
    assert list(standing._stranded(ward_here.rig.shift)) == []
    ward_here.change(people=(person("ana"), person("bo", pin=False), person("cy", "viewer")))
    (remark,) = standing._stranded(ward_here.rig.shift)
    assert remark.found == f"nobody may decide on {approval.id[-12:]}"
