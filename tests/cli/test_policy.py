"""The policy at the command line: shown, tried out, explained."""

import pytest

from tests.cli.conftest import Cli

PRODUCTION = '[environments.production]\nmode = "execute"\n'
PEOPLE = '[[person]]\nname = "ana"\nroles = { production = ["operator"] }\n'
POLICY = '[[rule]]\nname = "restarts"\njobs = ["command"]\nactions = ["restart"]\nenvironments = ["production"]\n'
CASE = """\
[[case]]
name = "restarts need ana"
job = "command"
environment = "production"
actions = ["restart"]
targets = ["web"]
"""


@pytest.fixture
def ruled(cli: Cli) -> Cli:
    """Files with a rule; nothing in force yet."""
    estate = cli.home / "estate.toml"
    estate.write_text(estate.read_text() + PRODUCTION)
    (cli.home / "people.toml").write_text(PEOPLE)
    (cli.home / "policy.toml").write_text(POLICY)
    return cli


def test_golden_cases_pass_or_the_exit_code_is_1(ruled: Cli) -> None:
    cases = ruled.home / "policy_tests.toml"
    cases.write_text(CASE + 'expected = "allowed"\nrule = "restarts"\napprovers = 1\n')
    assert "1 cases, 0 differ" in ruled("policy", "test")
    cases.write_text(CASE + 'expected = "denied"\n')
    assert "expected denied, is allowed" in ruled("policy", "test", code=1)
    told = ruled.json("policy", "test", str(cases), code=1)
    assert (told["failed"], told["cases"][0]["passed"], told["cases"][0]["rule"]) == (1, False, "restarts")


def test_cases_that_are_not_there_and_a_policy_that_is_wrong_never_pass(ruled: Cli) -> None:
    assert "there is no such file" in ruled("policy", "test", code=1)
    (ruled.home / "policy_tests.toml").write_text(CASE + 'expected = "allowed"\n')
    (ruled.home / "policy.toml").write_text(POLICY + "approvers = 2\n")
    assert "policy.toml:6: rule[0].approvers = 2: rule restarts: 2 must agree, only ana" in ruled("policy", "test", code=1)


def test_one_plan_is_explained(ruled: Cli) -> None:
    asked = ("policy", "explain", "command", "--action", "restart", "--target", "web")
    told = ruled.json(*asked, "--environment", "production", "--reversibility", "R1")
    assert (told["rule"], told["may_decide"], told["risk"], told["mode"]) == ("restarts", ["ana"], "medium", "execute")
    assert "nearest is restarts, without environment default" in ruled(*asked)
    assert [ruled.json(*asked)[key] for key in ("reversibility", "risk")] == ["R3", "high"]
    assert "did you mean" in ruled("policy", "explain", "comand", "--action", "x", "--target", "y", code=1)
    assert "Input should be 'R1', 'R2' or 'R3'" in ruled(*asked, "--reversibility", "R9", code=1)


def test_the_rules_in_force_are_shown_with_who_may_decide(ruled: Cli) -> None:
    ruled("migrate")
    assert "No rules: nothing may be changed" in ruled("policy", "show")
    ruled("config", "apply")
    assert ruled.json("policy", "show")["rules"][0]["deciders"] == ["ana"]
    (ruled.home / "policy.toml").write_text("[[rule]\n")
    assert "policy.toml:1: is not TOML" in ruled("config", "apply", code=1)
    assert ruled.json("policy", "show")["rules"][0]["name"] == "restarts"
