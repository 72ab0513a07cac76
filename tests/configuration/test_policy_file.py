"""policy.toml: what it says, and what is wrong with it before anybody is asked anything."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from tests.configuration.conftest import BERLIN, JOBS
from worker.configuration import Configuration, ConfigurationError, apply, check, current, diff
from worker.ledger import Ledger
from worker.records import Actor, ActorKind

Checked = Callable[..., Configuration]
Refused = Callable[..., list[str]]

ESTATE = """\
[environments.production]
mode = "execute"

[environments.lab]
mode = "propose"
"""
PEOPLE = """\
[[person]]
name = "ana"
roles = { production = ["operator"] }

[[person]]
name = "ben"
roles = { production = ["admin"] }

[[person]]
name = "eve"
roles = { production = ["viewer"], lab = ["operator"] }
"""
RULE = """\
[[rule]]
name = "restarts"
jobs = ["command"]
actions = ["restart"]
environments = ["production"]
"""
OTHER = RULE.replace("restarts", "others")
FREEZE = """\
[[freeze]]
name = "sales"
from = 2026-11-26T00:00:00+01:00
until = 2026-11-30T00:00:00+01:00

[[freeze]]
name = "weekends"
days = ["sat", "sun"]
environments = ["production"]
"""


def test_without_a_file_nothing_is_allowed(checked: Checked) -> None:
    assert checked(estate=ESTATE).policy.rules == ()


def test_rules_and_freezes_come_back_from_the_ledger_as_they_were_written(checked: Checked) -> None:
    hours = "[policy.working_hours]\nstart = 08:00:00\nholidays = [2026-12-25]\n"
    written = checked(estate=ESTATE, people=PEOPLE, policy=hours + RULE + FREEZE)
    again = Configuration.model_validate(written.content)
    assert again.policy == written.policy
    assert again.digest == written.digest
    assert [rule.name for rule in again.policy.rules] == ["restarts"]
    assert [freeze.name for freeze in again.policy.freezes] == ["sales", "weekends"]
    assert (again.policy.working_hours.start, again.policy.working_hours.holidays) == (time(8), (date(2026, 12, 25),))


def test_hours_and_weekly_windows_that_name_no_zone_are_in_that_of_the_instance(checked: Checked) -> None:
    policy = checked(estate=ESTATE, policy=FREEZE).policy
    assert policy.working_hours.timezone == BERLIN.key
    assert policy.frozen("production", datetime(2026, 11, 20, 23, 30, tzinfo=UTC)) == "weekends"
    assert policy.frozen("production", datetime(2026, 11, 20, 22, 30, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("[policy]\nversion = 2\n", "policy.toml:2: policy.version = 2: Input should be 1"),
        ('[policy]\ndefault = "allow"\n', "Input should be 'deny'"),
        ('[policy]\nask_again_after = "0d"\n', "is no time at all"),
        ('[policy]\nexpires_after = "soon"\n', "is not a duration"),
        ("[policy]\nrules = []\n", "write each as a table of its own, headed [[rule]]"),
        ("[policy.working_hours]\nstart = 18:00:00\n", "working hours end at 17:00, not after their start at 18:00"),
        ("[policy.working_hours]\ndays = []\n", "at least one"),
        ("[rule]\n", "policy.toml:1: rule = {…}: write each rule as a table of its own, headed [[rule]]"),
        ("[[rules]]\n", "policy.toml:1: rules = […]: unknown table; did you mean rule?"),
        (RULE + "approver = 2\n", "policy.toml:6: rule[0].approver = 2: unknown key; did you mean approvers?"),
        (RULE + "approvers = 0\n", "policy.toml:6: rule[0].approvers = 0: Input should be greater than or equal to 1"),
        (RULE + "approvers = true\n", "policy.toml:6: rule[0].approvers = true: is not a whole number"),
        (RULE + "max_percentage = 101\n", "less than or equal to 100"),
        (RULE + 'risks = ["low"]\n', "every request counts as medium or more: a rule for less covers nothing"),
        (RULE + "risks = []\n", "policy.toml:6: rule[0].risks"),
        (RULE + RULE, 'policy.toml:7: rule[1].name = "restarts": the name is taken by rule 1'),
        (RULE.replace('"command"', '"comand"'), 'rule[0].jobs[0] = "comand": no job is called so; did you mean command?'),
        (RULE.replace('"command"', ""), "policy.toml:3: rule[0].jobs"),
        (RULE.replace('"production"', '"prod*", "stagging"'), 'environments[1] = "stagging": no environment is called so'),
        (RULE + 'people = ["anna"]\n', 'rule[0].people[0] = "anna": nobody is called so in people.toml; did you mean ana?'),
        (RULE + 'people = ["ana"]\napprovers = 2\n', "rule[0].approvers = 2: rule restarts: more than the 1 in `people`"),
        (RULE + "approvers = 3\n", "rule restarts: 3 must agree, only ana, ben may decide in production"),
        (RULE + 'people = ["eve"]\n', "rule restarts: somebody must agree, nobody may decide in production; give"),
        (RULE + 'people = ["ana", "eve"]\napprovers = 2\n', "2 must agree, only ana may decide in production"),
        (RULE + 'token = "hunter2hunter2"\n', "policy.toml:6: rule[0].token = ***: a secret is given by reference"),
        (FREEZE.replace("30T", "2T").replace("11-2T", "11-20T"), "`until` is not after `from`"),
        ('[[freeze]]\nname = "x"\n', "accepted: `from` and `until`, or `days` with `start` and `end`"),
        ('[[freeze]]\nname = "x"\ndays = ["sun"]\nuntil = 2026-11-30T00:00:00Z\n', "accepted: `from` and `until`, or `days`"),
        ('[[freeze]]\nname = "x"\ndays = ["sunday"]\n', "Input should be 'mon'"),
        ('[[freeze]]\nname = "x"\nfrom = 2026-11-26T00:00:00\nuntil = 2026-11-30T00:00:00Z\n', "timezone"),
        ('[[freeze]]\nname = "x"\ndays = ["sun"]\nenvironments = ["produktion"]\n', "did you mean production?"),
        ('[[freeze]]\nname = "x"\ndays = ["sun"]\ntimezone = "Berlin"\n', "no time zone; accepted: one such as Europe/Berlin"),
        ('[[freeze]]\nname = "x"\ndays = ["sun"]\nstart = "22:00Z"\n', "a time of day has no offset"),
        ("[[rule]\n", "policy.toml:1: is not TOML:"),
    ],
)  # fmt: skip
def test_a_wrong_policy_says_file_line_key_and_what_is_accepted(refused: Refused, policy: str, problem: str) -> None:
    found = refused(estate=ESTATE, people=PEOPLE, policy=policy)
    assert any(problem in line for line in found), found
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "difference",
    ["approvers = 2\n", 'people = ["ana"]\n', "max_steps = 3\n", "max_percentage = 50\n"],
)
def test_rules_that_cover_the_same_and_demand_different_things_are_refused_before_any_plan(
    refused: Refused, difference: str
) -> None:
    (found,) = refused(estate=ESTATE, people=PEOPLE, policy=RULE + OTHER + difference)
    assert found.startswith('policy.toml:7: rule[1].name = "others": contradicts rule restarts: both cover command in production')


@pytest.mark.parametrize(
    "apart",
    [
        ('["command"]', '["loner"]'),
        ('["restart"]', '["reload"]'),
        ('["production"]', '["lab"]'),
        ('["production"]\n', '["production"]\ntargets = ["db-*"]\n'),
        ('["production"]\n', '["production"]\nrisks = ["high"]\n'),
    ],
)
def test_rules_that_can_never_cover_the_same_plan_may_demand_what_they_like(checked: Checked, apart: tuple[str, str]) -> None:
    first = RULE + 'targets = ["web-*"]\nrisks = ["medium"]\n'
    second = OTHER.replace(*apart) + "approvers = 2\n"
    for key, default in (("targets", 'targets = ["web-*"]\n'), ("risks", 'risks = ["medium"]\n')):
        second += "" if key in second else default
    assert len(checked(estate=ESTATE, people=PEOPLE, policy=first + second).policy.rules) == 2


def test_rules_that_demand_the_same_may_overlap(checked: Checked) -> None:
    assert len(checked(estate=ESTATE, people=PEOPLE, policy=RULE + OTHER).policy.rules) == 2


def test_nobody_needs_to_decide_where_nothing_is_carried_out(checked: Checked) -> None:
    assert checked(estate=ESTATE, people=PEOPLE, policy=RULE.replace("production", "lab") + "approvers = 3\n").policy.rules


def test_wrong_people_are_told_once_and_not_again_by_every_rule(refused: Refused) -> None:
    (found,) = refused(estate=ESTATE, people=PEOPLE + "phone = 1\n", policy=RULE + 'people = ["eve"]\n')
    assert found.startswith("people.toml")


def test_a_pin_in_clear_is_refused_and_not_shown(refused: Refused) -> None:
    found = refused(people='[[person]]\nname = "ana"\npin = "173946"\npin_hash = "173946"\n')
    assert "173946" not in str(found)
    assert any("not a PIN's hash; make one with `nightshift people pin NAME`" in line for line in found)


@pytest.mark.parametrize("broken", ["[[rule]\n", RULE.replace("command", "comand"), RULE + "approvers = 0\n"])
def test_while_the_file_is_wrong_the_policy_in_force_stays_in_force(
    folder: Path, checked: Checked, ledger: Ledger, broken: str
) -> None:
    who, now = Actor(ActorKind.CLI, "ana"), datetime(2026, 11, 21, tzinfo=UTC)
    good = checked(estate=ESTATE, people=PEOPLE, policy=RULE)
    apply(ledger, good, actor=who, note="", at=now)
    with pytest.raises(ConfigurationError, match=r"policy\.toml:"):
        checked(policy=broken)
    found = current(ledger)
    assert found is not None
    assert (found[0].id, found[1].policy) == (1, good.policy)


def test_a_policy_that_cannot_be_read_is_an_error_and_no_empty_policy(folder: Path) -> None:
    (folder / "policy.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"policy\.toml: cannot be read"):
        check(folder, JOBS, BERLIN)


def test_a_difference_of_policy_names_the_rule_and_the_freeze(checked: Checked) -> None:
    old = checked(estate=ESTATE, people=PEOPLE, policy=RULE + FREEZE)
    new = checked(policy='[policy]\nexpires_after = "4h"\n' + RULE + "approvers = 2\n" + OTHER + "approvers = 2\n")
    assert [str(change) for change in diff(old, new)] == [
        "freeze sales: removed",
        "freeze weekends: removed",
        "policy: changed expires_after: None → 4h",
        "rule others: added",
        "rule restarts: changed approvers: 1 → 2",
    ]
