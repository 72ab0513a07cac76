"""What a night looks at, looks at again, and says."""

import pytest
from pydantic import ValidationError

from tasks.drift import JOB
from tasks.drift.entry import DriftEntry
from tasks.errors import Cancelled, StackError
from tasks.model import CannotTell, Ok
from tasks.stacks import Listed
from tasks.testing import CancelSwitch, FakeContext, FakeStacks, run_check
from tests.drift.made import NAME, change, gone, look, prop, resource, size, state
from tests.drift.nights import D, Nights, R, U, cannot_tell, entry, told

DRIFTED = look(D, size("a", 1, 9))
REPAIR = look(R, size("a", 9, 1), refreshed=[size("a", 1, 9)])
RACED = look(D, size("a", 1, 9), states=("s1", "s2"))


def broken(reason: str) -> StackError:
    return StackError(f"{NAME}: {reason}", reason=reason, stage="look", recheck="pulumi preview")


def test_the_first_night_compares_everything_and_a_clean_one_after_it_the_cloud_alone() -> None:
    nights = Nights().sees()
    [first] = nights.night()
    assert (nights.looked, type(first)) == ("DUR", Ok)
    [second] = nights.night()
    assert nights.looked == "D"
    assert isinstance(second, Ok)
    assert second.summary == (
        "no drift in 3 resources, 100 % of 6 properties observable; the program was not compared: nothing moved since it agreed"
    )


@pytest.mark.parametrize("moves", ["state", "source", "entry", "params", "drift"])
def test_the_program_is_compared_again_when_anything_moved_or_somebody_says_so(moves: str) -> None:
    nights = Nights().sees()
    nights.night()
    match moves:
        case "state":
            nights.sees(
                d=look(D, states=("s2", "s2")),
                u=look(U, states=("s2", "s2")),
                r=look(R, states=("s2", "s2")),
                of=state(sha256="s2"),
            )
        case "source":
            nights.entries = [entry(git_ref="b" * 40)]
        case "entry":
            nights.entries = [entry(full=True)]
        case "drift":
            nights.sees(d=DRIFTED, r=REPAIR)
    nights.night(full=moves == "params")
    assert nights.looked == "DUR"


def test_what_is_not_deployed_is_compared_every_night_until_it_is() -> None:
    code = size("a", 1, 5)
    nights = Nights().sees(u=look(U, code), r=look(R, code))
    for _ in range(3):
        assert told(nights.night()) == ["undeployed_code: lab/dev: the program has what is not deployed: a (size 1 → 5)"]
        assert nights.looked == "DUR"


def test_a_branch_may_have_moved_without_telling_so_its_program_is_compared_every_night() -> None:
    nights = Nights(entries=[entry(git_ref="main")]).sees()
    nights.night()
    nights.night()
    assert nights.looked == "DUR"


def test_drift_is_told_when_the_refresh_of_r_has_seen_it_too() -> None:
    nights = Nights().sees(d=DRIFTED, r=REPAIR)
    assert told(nights.night()) == ["drift: lab/dev: a (Thing): size 1 → 9"]
    assert nights.looked == "DUR"


def test_drift_that_only_one_look_saw_is_looked_at_again_before_it_is_told() -> None:
    nights = Nights().sees(d=DRIFTED, r=look(R, size("a", 9, 1)))
    assert told(nights.night()) == ["drift: lab/dev: a (Thing): size 1 → 9"]
    assert nights.looked == "DURD"


def test_a_provider_that_lies_once_leads_to_no_finding() -> None:
    nights = Nights().sees(d=[DRIFTED, look(D)])
    [answer] = nights.night()
    assert isinstance(answer, Ok)
    assert answer.evidence["ignored"] == [f"{size('a', 1, 9).urn}#size: it was as it should be when looked at again"]


def test_a_provider_that_lies_once_about_a_known_drift_does_not_make_it_good() -> None:
    nights = Nights().sees(d=DRIFTED, r=REPAIR)
    nights.night()
    nights.sees(d=[look(D), DRIFTED], r=REPAIR)
    assert told(nights.night()) == ["drift: lab/dev: a (Thing): size 1 → 9"]
    assert nights.looked == "DURD"


def test_the_drift_of_last_night_needs_no_second_look_tonight() -> None:
    nights = Nights(entries=[entry(git_url=None, git_ref=None)]).sees(d=DRIFTED)
    nights.night()
    assert nights.looked == "DD"
    nights.night()
    assert nights.looked == "D"


def test_looks_that_never_agree_cannot_tell_of_that_property_and_still_tell_of_the_others() -> None:
    restless = [look(D, change("a", prop("size", 1, number)), size("b", 1, 2)) for number in range(10, 20)]
    nights = Nights().sees(d=list(restless), r=look(R, size("a", 9, 1), size("b", 2, 1)))
    answers = nights.night()
    assert cannot_tell(answers) == {"lab/dev: a size": "unsettled"}
    assert told(answers) == ["drift: lab/dev: b (Thing): size 1 → 2"]
    assert not any(isinstance(one, Ok) for one in answers)


def test_a_look_that_raced_an_update_says_nothing_and_is_repeated() -> None:
    nights = Nights().sees(d=[RACED, look(D)])
    [answer] = nights.night()
    assert isinstance(answer, Ok)


def test_a_stack_that_is_updated_all_the_time_cannot_be_told_about() -> None:
    nights = Nights().sees(d=RACED)
    assert cannot_tell(nights.night()) == {"lab/dev": "raced"}
    nights.sees(d=broken("raced"))
    assert cannot_tell(nights.night()) == {"lab/dev": "raced"}


def test_looks_at_different_states_are_not_compared_with_each_other() -> None:
    nights = Nights().sees(u=look(U, size("a", 1, 5), states=("s2", "s2")))
    assert cannot_tell(nights.night()) == {"lab/dev": "raced"}


def test_a_failed_read_hides_nothing_else_and_is_never_green() -> None:
    d = look(D, size("a", 1, 9), failed=["b"], seen=["a", "c"])
    nights = Nights().sees(d=d, r=look(R, complete=False))
    answers = nights.night()
    assert told(answers) == ["drift: lab/dev: a (Thing): size 1 → 9"]
    assert cannot_tell(answers) == {"lab/dev: b": "credentials_expired"}


def test_a_read_that_fails_where_nothing_else_is_wrong_leaves_no_ok() -> None:
    nights = Nights().sees(d=look(D, failed=["b"], seen=["a", "c"]))
    assert [type(one) for one in nights.night()] == [CannotTell]
    assert nights.history.latest(f"lab: {NAME}", "night") is None


def test_a_thousand_failed_reads_are_one_answer_per_reason() -> None:
    names = [f"n{number}" for number in range(1000)]
    nights = Nights().sees(d=look(D, failed=names), of=state(*(resource(name) for name in names)))
    assert cannot_tell(nights.night()) == {"lab/dev: credentials expired": "credentials_expired"}


def test_a_look_that_was_cut_short_says_what_it_did_not_reach() -> None:
    nights = Nights().sees(d=look(D, complete=False, seen=["a"]))
    assert cannot_tell(nights.night()) == {"lab/dev: 2 resources": "look_cut_short"}


@pytest.mark.parametrize("reason", ["wrong_passphrase", "passphrase_missing", "stack_missing", "timed_out", "plugin_missing"])
def test_a_stack_that_cannot_be_looked_at_gives_the_reason_and_the_line_to_run(reason: str) -> None:
    [answer] = Nights().sees(d=broken(reason)).night()
    assert isinstance(answer, CannotTell)
    assert (answer.subject, answer.reason, answer.recheck) == ("lab/dev", reason, "pulumi preview")


def test_a_state_that_cannot_be_read_cannot_be_told_about() -> None:
    nights = Nights().sees()
    nights.stacks.states[NAME] = broken("state_corrupt")
    assert cannot_tell(nights.night()) == {"lab/dev": "state_corrupt"}


def test_a_program_that_does_not_run_hides_no_drift() -> None:
    nights = Nights().sees(d=DRIFTED, u=broken("program_failed"), r=broken("program_failed"))
    answers = nights.night()
    assert told(answers) == ["cloud_differs: lab/dev: a (Thing): size 1 → 9; not compared with the program"]
    assert cannot_tell(answers) == {"lab/dev: program": "program_failed"}


def test_a_stack_without_source_is_looked_at_and_says_what_it_could_not_see() -> None:
    nights = Nights(entries=[entry(git_url=None, git_ref=None)]).sees()
    [answer] = nights.night()
    assert isinstance(answer, Ok)
    assert answer.summary.endswith("the program was not compared: the entry names none")
    assert nights.looked == "D"


def test_a_stack_of_a_backend_that_no_entry_names_is_reported_and_looked_at() -> None:
    whole = DriftEntry(name="ours", backend="file:///srv/pulumi")
    nights = Nights(entries=[whole, entry(stack="prod")]).sees(d=DRIFTED)
    listed = [Listed(organization="organization", project="lab", name=name) for name in ("dev", "prod")]
    nights.stacks.listings["file:///srv/pulumi"] = listed
    assert told(nights.night()) == [
        "unlisted_stack: lab/dev: the backend holds it, and the estate has no entry for it",
        "cloud_differs: lab/dev: a (Thing): size 1 → 9; not compared with the program",
    ]
    nights.entries.append(entry(name="dev"))
    [answer] = nights.night()
    assert isinstance(answer, Ok)


def test_a_backend_that_cannot_be_listed_cannot_be_told_about() -> None:
    nights = Nights(entries=[DriftEntry(name="ours", backend="postgres://me:s3cret@db/states")])
    [answer] = nights.night()
    assert isinstance(answer, CannotTell)
    assert (answer.subject, answer.reason) == ("postgres://db/states", "backend_unreachable")


def test_a_cancelled_run_stops_between_two_looks() -> None:
    nights = Nights().sees(d=DRIFTED)
    ctx = FakeContext(selected=[entry()], stacks=nights.stacks, cancelled=CancelSwitch(after=2))
    with pytest.raises(Cancelled):
        run_check(JOB, ctx)
    assert nights.looked == "D"


@pytest.mark.parametrize(
    ("wrong", "told_so"),
    [
        ({"passphrase": "hunter2"}, "a passphrase in clear"),
        ({"credentials": {"AWS_SECRET_ACCESS_KEY": "x"}}, "AWS_SECRET_ACCESS_KEY is written in clear"),
        ({"stack": None}, "`project` and `stack` belong together"),
        ({"identity": "1234"}, "`identity_command` and `identity` belong together"),
        ({"path": "infra", "git_url": None}, "'infra' is not an absolute path"),
        ({"project": None, "stack": None}, "a program belongs to a stack"),
        ({"stak": "dev"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_entry_is_refused_with_what_is_accepted(wrong: dict[str, object], told_so: str) -> None:
    with pytest.raises(ValidationError, match=told_so):
        entry(**wrong)


def test_no_stack_gives_no_answer() -> None:
    assert run_check(JOB, FakeContext(stacks=FakeStacks())) == []


def test_a_resource_that_is_gone_among_many_is_drift() -> None:
    stack = state(*(resource(name) for name in "abcdefgh"))
    nights = Nights().sees(d=look(D, gone("a")), r=look(R, change("a", operation="create"), refreshed=[gone("a")]), of=stack)
    assert told(nights.night()) == ["drift: lab/dev: a (Thing): gone"]
