"""What is in doubt is neither green nor proposed: updates under way, looks that contradict each other, credentials, refs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from tasks.drift import DriftEntry
from tasks.errors import StackError
from tasks.model import Ok
from tasks.stacks import FailedRead, Lock, Look, Stack, State
from tasks.testing import FakeStacks
from tests.drift.made import NAME, THING, change, held_since, look, prop, size, state, urn
from tests.drift.nights import D, Nights, R, U, cannot_tell, entry, findings, told
from tests.drift.test_proposing import BACK, DRIFT, drifted, proposed

DRIFTED = look(D, DRIFT)
REPAIR = look(R, BACK, refreshed=[DRIFT])
EXPIRED = StackError(f"{NAME}: ExpiredToken", reason="credentials_expired", stage="look")


def lock(nights: Nights, minutes: float) -> Lock:
    return held_since(nights.clock() - timedelta(minutes=minutes))


def test_what_differs_while_somebody_updates_the_stack_is_not_told_as_drift() -> None:
    nights = Nights()
    nights.sees(d=DRIFTED, r=REPAIR, of=state(lock=lock(nights, 5)))
    answers = nights.night()
    assert told(answers) == []
    assert cannot_tell(answers) == {"lab/dev": "being_updated"}


def test_a_destroy_under_way_does_not_trip_the_breaker() -> None:
    nights = Nights()
    nights.sees(d=look(D, *(change(name, operation="delete") for name in "abc")), of=state(lock=lock(nights, 5)))
    assert cannot_tell(nights.night()) == {"lab/dev": "being_updated"}


def test_an_update_that_began_after_the_state_was_read_is_noticed() -> None:
    nights = Nights().sees(d=DRIFTED, r=REPAIR)
    before = state()

    class Begun(FakeStacks):
        def state(self, stack: Stack) -> State:
            return replace(before, lock=lock(nights, 0)) if self.looked else before

    nights.stacks = Begun(looks=nights.stacks.looks)
    assert cannot_tell(nights.night()) == {"lab/dev": "being_updated"}


def test_a_night_during_an_update_is_not_remembered() -> None:
    nights = Nights()
    nights.sees(d=DRIFTED, r=REPAIR, of=state(lock=lock(nights, 5)))
    nights.night()
    nights.sees(d=DRIFTED, r=REPAIR)
    nights.night()
    assert nights.looked == "DUR"


def test_a_clean_stack_under_a_lock_is_clean() -> None:
    nights = Nights()
    [answer] = nights.sees(of=state(lock=lock(nights, 5))).night()
    assert isinstance(answer, Ok)


def test_under_an_old_lock_drift_is_told_and_nothing_is_proposed() -> None:
    nights = drifted(DRIFT)
    nights.stacks.states[NAME] = replace(state(), lock=lock(nights, 600))
    answers = nights.night()
    assert "drift: lab/dev: a (Thing): size 1 → 9" in told(answers)
    assert proposed(nights, answers) is None


def test_what_an_update_left_unfinished_is_not_proposed_about() -> None:
    nights = drifted(DRIFT, size("b", 1, 9))
    nights.stacks.states[NAME] = replace(state(), pending_operations=(f"updating {urn('a')}",))
    made = proposed(nights)
    assert made is not None
    assert {step.target for step in made[0].steps} == {urn("b")}


@pytest.mark.parametrize("proposes", ["revert", "accept"])
def test_a_resource_of_which_anything_is_open_is_left_out_of_either_proposal(proposes: str) -> None:
    conflict = change("a", prop("size", 1, 9), prop("label", "x", "y"))
    program = change("a", prop("label", "x", "z"))
    back = change("a", prop("size", 9, 1), prop("label", "y", "z"))
    both = [conflict, size("b", 1, 9)]
    r = look(R, back, size("b", 9, 1), refreshed=both)
    made = proposed(drifted(*both, r=r, u=look(U, program), proposes=proposes))
    assert made is not None
    assert {step.target for step in made[0].steps} == {urn("b")}


def test_what_pulumi_refuses_to_replace_is_told_as_drift_and_not_proposed() -> None:
    zone, other = change("a", prop("zone", "east", "west")), size("b", 1, 9)
    repair = change("a", prop("zone", "west", "east"), operation="replace")
    refused = FailedRead(urn=urn("a"), reason="protected", detail="marked for protection")
    r = look(R, repair, size("b", 9, 1), refreshed=[zone, other], complete=False)
    targeted = look(R, size("b", 9, 1), refreshed=[other])
    nights = drifted(zone, other)
    nights.stacks.looks[NAME, R] = [replace(r, failed=(refused,)), targeted]
    answers = nights.night()
    assert {one.partition(":")[0] for one in told(answers)} == {"drift"}
    assert cannot_tell(answers) == {}
    made = proposed(nights, answers)
    assert made is not None
    assert {step.target for step in made[0].steps} == {urn("b")}


@pytest.mark.parametrize("failed", ["R", "U"])
def test_a_clean_cloud_whose_program_could_not_be_compared_is_not_green(failed: str) -> None:
    broken = look(R if failed == "R" else U, failed=["b"])
    nights = Nights().sees(u=broken if failed == "U" else None, r=broken if failed == "R" else None)
    assert cannot_tell(nights.night()) == {"lab/dev: program": "look_cut_short"}


def test_drift_that_only_the_refresh_of_r_saw_is_looked_at_again() -> None:
    """The first read of an eventually consistent cloud still sees it as it was."""
    nights = Nights().sees(d=[look(D), DRIFTED, DRIFTED], r=REPAIR)
    assert told(nights.night()) == ["drift: lab/dev: a (Thing): size 1 → 9"]
    assert nights.looked == "DURD"


def test_a_first_night_that_r_contradicts_is_not_green() -> None:
    nights = Nights().sees(r=REPAIR)
    answers = nights.night()
    assert not any(isinstance(one, Ok) for one in answers)


@pytest.mark.parametrize(
    ("looks", "expected", "looked"),
    [
        pytest.param([DRIFTED, look(D), DRIFTED], ["drift: lab/dev: a (Thing): size 1 → 9"], "DURDD", id="the lie was: nothing"),
        pytest.param([DRIFTED, look(D), look(D)], [], "DURDD", id="the lie was: drift"),
    ],
)
def test_of_two_looks_that_contradict_each_other_neither_is_believed(looks: list[Look], expected: list[str], looked: str) -> None:
    broken = StackError("no program", reason="program_failed", stage="look")
    nights = Nights().sees(d=[*looks], r=broken)
    assert [one.replace("cloud_differs", "drift").partition("; not")[0] for one in told(nights.night())] == expected
    assert nights.looked == looked


def test_a_property_that_comes_and_goes_is_not_green() -> None:
    broken = StackError("no program", reason="program_failed", stage="look")
    nights = Nights().sees(d=[DRIFTED, look(D, size("a", 1, 8)), look(D, size("a", 1, 7)), look(D)], r=broken)
    assert cannot_tell(nights.night())["lab/dev: a size"] == "unsettled"


def test_a_look_that_hangs_is_not_tried_again_and_again() -> None:
    late = FailedRead(urn=urn("b"), reason="timed_out", detail="the look was ended at its deadline")
    nights = Nights().sees(d=replace(look(D, DRIFT, complete=False, seen=["a", "c"]), failed=(late,)))
    answers = nights.night()
    assert (nights.looked, told(answers)) == ("D", [])
    assert cannot_tell(answers) == {"lab/dev: b": "timed_out", "lab/dev: a size": "unsettled"}


def test_credentials_of_the_state_that_expired_are_tried_again_by_running_the_program() -> None:
    nights = Nights().sees(d=[EXPIRED, look(D)])
    [answer] = nights.night()
    assert isinstance(answer, Ok)
    assert nights.looked == "DDUR"


def test_credentials_that_become_somebody_elses_between_two_looks_trip_the_breaker() -> None:
    gone = look(D, *(change(name, operation="delete") for name in "abc"))
    nights = Nights().sees(d=[DRIFTED, gone, gone], r=look(R))
    answers = nights.night()
    assert (told(answers), cannot_tell(answers)) == ([], {"lab/dev: default_1_0_0": "mass_delete"})


def test_credentials_that_expired_altogether_cannot_tell() -> None:
    nights = Nights().sees(d=EXPIRED)
    assert cannot_tell(nights.night()) == {"lab/dev": "credentials_expired"}
    assert nights.looked == "DD"


@pytest.mark.parametrize("more", [{"run_program": True}, {"git_url": None, "git_ref": None}])
def test_without_a_program_to_run_expired_credentials_are_not_tried_again(more: dict[str, object]) -> None:
    nights = Nights(entries=[entry(**more)]).sees(d=EXPIRED)
    assert cannot_tell(nights.night()) == {"lab/dev": "credentials_expired"}
    assert nights.looked == "D"


def test_a_branch_is_compared_only_when_it_moved() -> None:
    nights = Nights(entries=[entry(git_ref="main")]).sees()
    nights.stacks.commits[NAME] = "a" * 40
    nights.night()
    nights.night()
    assert nights.looked == "D"
    nights.stacks.commits[NAME] = "b" * 40
    nights.night()
    assert nights.looked == "DUR"


def test_a_repository_that_cannot_be_asked_is_compared_and_says_so() -> None:
    missing = StackError("no program: git said: not found", reason="program_missing", stage="source")
    nights = Nights(entries=[entry(git_ref="main")]).sees(u=missing, r=missing)
    nights.stacks.commits[NAME] = missing
    assert cannot_tell(nights.night()) == {"lab/dev: program": "program_missing"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"stack": "../../prod"}, {"stack": "dev\n"}, {"stack": "--show-secrets"}, {"project": "a/b"}, {"organization": "-x"},
        {"path": "../outside"}, {"path": "/etc"},
    ],
)  # fmt: skip
def test_names_and_paths_that_lead_elsewhere_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        entry(**wrong)
    assert isinstance(entry(path="infra/network"), DriftEntry)


def test_accepting_says_what_its_values_are_and_that_no_plan_pins_them() -> None:
    made = proposed(drifted(DRIFT, proposes="accept"))
    assert made is not None
    assert "two looks at the cloud agree on" in made[1].text


ASKED = ["/usr/local/bin/who-changed", "{type}", "{id}", "{urn}"]


def test_a_log_that_can_say_who_is_asked_of_each_drifted_resource() -> None:
    nights = drifted(DRIFT, size("b", 1, 9), who_command=ASKED)
    nights.stacks.identities[NAME] = "ana from 10.0.0.7\nby hand"
    [finding] = findings(nights.night())
    assert finding.evidence["who"] == "ana from 10.0.0.7 by hand"
    assert nights.stacks.asked == [["/usr/local/bin/who-changed", THING, name, urn(name)] for name in "ab"]


def test_a_log_that_cannot_be_asked_hides_no_drift() -> None:
    [finding] = findings(drifted(DRIFT, who_command=ASKED).night())
    assert finding.evidence["who"] == "could not be asked: credentials_expired"


def test_a_resource_whose_name_reads_as_an_option_is_not_asked_about() -> None:
    nights = drifted(replace(DRIFT, id="--output=/tmp/x"), who_command=ASKED)
    nights.stacks.identities[NAME] = "ana"
    [finding] = findings(nights.night())
    assert finding.evidence["who"] == "not asked: what names the resource reads as an option"
    assert nights.stacks.asked == []


def test_without_a_log_nobody_knows_who_and_nobody_is_asked() -> None:
    nights = drifted(DRIFT)
    [finding] = findings(nights.night())
    assert (finding.evidence["who"], nights.stacks.asked) == ("not known to Pulumi", [])
