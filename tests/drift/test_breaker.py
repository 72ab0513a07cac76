"""When everything is gone, the credentials are to blame until somebody proves otherwise."""

import pytest

from tasks.drift.breaker import tripped
from tasks.errors import StackError
from tasks.model import Finding, Ok, Severity
from tasks.stacks import ResourceChange
from tests.drift.made import NAME, change, gone, look, resource, size, state
from tests.drift.nights import D, Nights, R, cannot_tell, entry, findings

TEN = [f"n{number}" for number in range(10)]
STACK = state(*(resource(name) for name in TEN))
ASKING = {"identity_command": ["aws", "sts", "get-caller-identity"], "identity": "111122223333"}


def trips(*changes: ResourceChange, gone_percent: float = 30) -> list[str]:
    return [str(one) for one in tripped(STACK, look(D, *changes), gone_percent)]


def test_all_of_a_provider_gone_trips_it_and_a_few_do_not() -> None:
    assert trips(*map(gone, TEN)) == ["10 of 10 resources of fakecloud (default_1_0_0) are gone"]
    assert trips(*map(gone, TEN[:4])) == []
    assert trips() == []


def test_more_than_the_percentage_trips_it_from_five_on() -> None:
    assert trips(*map(gone, TEN[:5])) == ["5 of 10 resources of fakecloud (default_1_0_0) are gone"]
    assert trips(*map(gone, TEN[:5]), gone_percent=50) == []


def test_the_only_resource_of_a_provider_counts_as_all_of_it_and_the_others_stand() -> None:
    mixed = state(resource("a", provider="aws 6.0.0", provider_name="west"), *(resource(name) for name in TEN))
    [one] = tripped(mixed, look(D, gone("a"), size("n1", 1, 2)), 30)
    assert (one.instance, one.urns) == (("west", "aws"), frozenset({mixed.resources[0].urn}))


def test_reads_that_failed_do_not_count_as_still_there() -> None:
    assert len(tripped(STACK, look(D, gone("n0"), failed=TEN[1:]), 30)) == 1


def everything_gone(**more: object) -> Nights:
    lost = [gone(name) for name in TEN]
    made = [change(name, operation="create") for name in TEN]
    return Nights(entries=[entry(**more)]).sees(d=look(D, *lost), r=look(R, *made, refreshed=lost), of=STACK)


def test_everything_gone_cannot_be_told_and_is_no_drift() -> None:
    nights = everything_gone()
    answers = nights.night()
    assert cannot_tell(answers) == {"lab/dev: default_1_0_0": "mass_delete"}
    assert findings(answers) == []
    assert not any(isinstance(one, Ok) for one in answers)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("arn:aws:iam::999900001111:role/x", "wrong_account"),
        (StackError("ExpiredToken", reason="credentials_expired", stage="identity"), "mass_delete"),
    ],
)
def test_the_credentials_are_asked_whose_they_are(said: str | StackError, reason: str) -> None:
    nights = everything_gone(**ASKING)
    nights.stacks.identities[NAME] = said
    assert cannot_tell(nights.night()) == {"lab/dev: default_1_0_0": reason}


def test_with_the_right_credentials_everything_gone_is_critical() -> None:
    nights = everything_gone(**ASKING)
    nights.stacks.identities[NAME] = "arn:aws:iam::111122223333:role/look"
    [answer] = nights.night()
    assert isinstance(answer, Finding)
    assert (answer.reason, answer.severity) == ("mass_delete", Severity.CRITICAL)
    assert answer.title == "lab/dev: default_1_0_0: 10 of 10 resources of fakecloud (default_1_0_0) are gone"


def test_a_night_with_a_tripped_breaker_is_not_remembered() -> None:
    nights = everything_gone()
    nights.night()
    assert nights.history.latest(f"lab: {NAME}", "night") is None
