"""Golden cases of a policy: read by line, held against the rules, and said when one differs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.configuration.conftest import JOBS
from worker.configuration import Configuration, ConfigurationError, golden

ESTATE = '[environments.production]\nmode = "execute"\n'
PEOPLE = '[[person]]\nname = "ana"\nroles = { production = ["operator"] }\n'
POLICY = """\
[[rule]]
name = "restarts"
jobs = ["command"]
actions = ["restart", "reload"]
targets = ["web-*"]
environments = ["production"]
max_steps = 2
max_percentage = 10

[[freeze]]
name = "sales"
from = 2026-11-26T00:00:00Z
until = 2026-11-30T00:00:00Z
"""
CASE = """\
[[case]]
name = "a web server is restarted"
job = "command"
environment = "production"
actions = ["restart"]
targets = ["web-1"]
reversibility = "R1"
"""
ALLOWED = CASE + 'expected = "allowed"\n'
DENIED = CASE + 'expected = "denied"\n'
Cases = Callable[[str], list[golden.Result]]


@pytest.fixture
def found(checked: Callable[..., Configuration]) -> Configuration:
    return checked(estate=ESTATE, people=PEOPLE, policy=POLICY)


@pytest.fixture
def held(found: Configuration, tmp_path: Path) -> Cases:
    """Write the cases, and hold them against the policy."""

    def hold(text: str) -> list[golden.Result]:
        path = tmp_path / "policy_tests.toml"
        path.write_text(text)
        return golden.held_against(found.policy, golden.read_cases(path, found, list(JOBS)))

    return hold


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        (ALLOWED, []),
        (ALLOWED + 'rule = "restarts"\napprovers = 1\n', []),
        (ALLOWED + "approvers = 2\n", ["approvers: expected 2, is 1"]),
        (DENIED, ["expected: expected denied, is allowed"]),
        (ALLOWED.replace("web-1", "db-1"), ["expected: expected allowed, is denied"]),
        (DENIED.replace("web-1", "db-1") + 'code = "no_rule"\n', []),
        (DENIED.replace("web-1", "db-1") + 'code = "frozen"\n', ["code: expected frozen, is no_rule"]),
        (DENIED.replace('["restart"]', '["restart", "delete"]') + 'code = "no_rule"\n', []),
        (ALLOWED.replace('["restart"]', '["restart", "reload"]'), []),
        (DENIED + 'steps = 3\ncode = "too_many_steps"\n', []),
        (DENIED + 'changed = 3\nentries = 20\ncode = "blast_radius"\n', []),
        (ALLOWED + "changed = 2\nentries = 20\n", []),
        (DENIED + 'at = 2026-11-27T12:00:00+01:00\ncode = "frozen"\n', []),
        (ALLOWED + "at = 2026-12-01T12:00:00+01:00\n", []),
        (ALLOWED + 'risk = "low"\n', []),
    ],
)
def test_a_case_says_what_the_policy_must_say(held: Cases, case: str, wrong: list[str]) -> None:
    (result,) = held(case)
    assert list(result.wrong) == wrong


def test_steps_go_round_actions_and_targets(held: Cases) -> None:
    (result,) = held(ALLOWED.replace('["web-1"]', '["web-1", "web-2", "web-3"]').replace("allowed", "denied"))
    assert [(step.action, step.target) for step in result.case.plan().steps] == [
        ("restart", "web-1"),
        ("restart", "web-2"),
        ("restart", "web-3"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no [[case]] in it"),
        ("[case]\n", "write each case as a table of its own, headed [[case]]"),
        ("[[cases]]\n", "unknown table; did you mean case?"),
        (CASE, "policy_tests.toml:1: case[0].expected: is missing"),
        (ALLOWED + "action = 1\n", "policy_tests.toml:9: case[0].action = 1: unknown key; did you mean actions?"),
        (ALLOWED + 'code = "no_rule"\n', '`code` belongs to `expected = "denied"`'),
        (DENIED + 'rule = "restarts"\n', '`rule` and `approvers` belong to `expected = "allowed"`'),
        (ALLOWED + 'rule = "restart"\n', "no rule is called so; did you mean restarts?"),
        (ALLOWED + "changed = 2\n", "give both of `changed` and `entries`"),
        (ALLOWED.replace('"command"', '"comand"'), "no job is called so; did you mean command?"),
        (ALLOWED.replace('"production"', '"prodution"'), "no environment is called so; did you mean production?"),
        (ALLOWED.replace("R1", "R7"), "Input should be 'R1', 'R2' or 'R3'"),
        ("[[case]\n", "policy_tests.toml:1: is not TOML"),
    ],
)
def test_a_wrong_case_is_refused_by_line_and_never_passes(held: Cases, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        held(text)
    assert any(problem in str(one) for one in caught.value.problems), caught.value.problems


def test_a_file_that_is_not_there_passes_nothing(found: Configuration, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        golden.read_cases(tmp_path / "policy_tests.toml", found, list(JOBS))


def test_the_cases_are_no_part_of_the_configuration(checked: Callable[..., Configuration], folder: Path) -> None:
    before: Any = checked(estate=ESTATE, people=PEOPLE, policy=POLICY).digest
    (folder / "policy_tests.toml").write_text(ALLOWED)
    assert checked().digest == before
