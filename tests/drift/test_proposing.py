"""What is proposed about drift, and when nothing is."""

from pathlib import Path

import pytest

from tasks.drift import JOB, DriftParams
from tasks.drift.patching import parts
from tasks.errors import StackError
from tasks.model import Answer, Finding, Plan, Reversibility, Simulation
from tasks.stacks import Look, ResourceChange
from tasks.testing import read_only
from tests.drift.made import NAME, change, gone, look, prop, resource, size, state, urn
from tests.drift.nights import D, Nights, R, U, entry, findings

DRIFT, BACK = size("a", 1, 9), size("a", 9, 1)


def proposed(nights: Nights, answers: list[Answer] | None = None, *, reason: str = "drift") -> tuple[Plan, Simulation] | None:
    told = [one for one in findings(nights.night() if answers is None else answers) if one.reason == reason]
    return plan_of(nights, told)


def plan_of(nights: Nights, told: list[Finding]) -> tuple[Plan, Simulation] | None:
    remedy = JOB.remedy
    assert remedy is not None
    with read_only(nights.ctx):
        return remedy.plan(nights.ctx, DriftParams(), told)


def drifted(*changes: ResourceChange, r: Look | None = None, u: Look | None = None, **more: object) -> Nights:
    stack = state(*(resource(name) for name in "abcdef"), resource("db", kind="aws:rds/instance:Instance"))
    default = look(R, *(size(one.name, 9, 1) for one in changes), refreshed=changes)
    return Nights(entries=[entry(**more)]).sees(d=look(D, *changes), r=r or default, u=u, of=stack)


def test_a_revert_goes_from_what_the_cloud_is_to_what_the_program_says() -> None:
    nights = drifted(DRIFT)
    made = proposed(nights)
    assert made is not None
    plan, simulation = made
    [step] = plan.steps
    assert (step.action, step.target, step.before, step.after) == ("revert", urn("a"), {"size": 9}, {"size": 1})
    assert (step.reversibility, plan.scope) == (Reversibility.R1, NAME)
    assert simulation.summary == "revert lab/dev: a (Thing): size 1 → 9"
    assert simulation.text.splitlines()[:3] == ["~ fakecloud:index:Thing a: update, in place (R1)", "-   size: 9", "+   size: 1"]
    assert "If nothing is done" in simulation.text
    assert nights.looked == "DUR"


def test_pulumis_own_plan_is_kept_as_a_secret() -> None:
    nights = drifted(DRIFT)
    proposed(nights)
    assert nights.artifacts.secret == {"lab.plan.json"}


def test_the_same_world_gives_the_same_plan_in_another_run() -> None:
    nights = drifted(DRIFT)
    answers = nights.night()
    made = proposed(nights, answers)
    nights.sees(d=look(D, DRIFT), r=look(R, BACK, refreshed=[DRIFT]))
    nights.night()
    again = proposed(nights, answers)
    assert made is not None
    assert again is not None
    assert made[0] == again[0]


def test_a_world_that_moved_on_gives_another_plan() -> None:
    worlds = [(size("a", 1, value), size("a", value, 1)) for value in (9, 31)]
    before, after = (proposed(drifted(drift, r=look(R, back, refreshed=[drift]))) for drift, back in worlds)
    assert before is not None
    assert after is not None
    assert before[0].steps != after[0].steps


def test_drift_that_is_gone_by_the_time_of_the_plan_is_not_proposed() -> None:
    nights = drifted(DRIFT)
    answers = nights.night()
    nights.sees(d=look(D), r=look(R))
    nights.night()
    assert proposed(nights, answers) is None


@pytest.mark.parametrize(
    ("drift", "repair", "reversibility"),
    [
        (DRIFT, BACK, Reversibility.R1),
        (gone("a"), change("a", operation="create"), Reversibility.R2),
        (DRIFT, change("a", prop("size", 9, 1), operation="replace"), Reversibility.R2),
        (DRIFT, change("a", operation="delete"), Reversibility.R3),
    ],
)
def test_each_change_says_whether_it_can_be_undone(
    drift: ResourceChange, repair: ResourceChange, reversibility: Reversibility
) -> None:
    made = proposed(drifted(drift, r=look(R, repair, refreshed=[drift])))
    assert made is not None
    plan, simulation = made
    assert [step.reversibility for step in plan.steps] == [reversibility]
    assert bool(simulation.irreversible) == (reversibility is not Reversibility.R1)


def test_a_database_that_would_be_replaced_is_lost() -> None:
    kind = "aws:rds/instance:Instance"
    drift, repair = (change("db", prop("engine", *values), operation=verb, kind=kind) for values, verb in (
        (("a", "b"), "update"), (("b", "a"), "replace"),
    ))  # fmt: skip
    made = proposed(drifted(drift, r=look(R, repair, refreshed=[drift])))
    assert made is not None
    assert made[0].steps[0].reversibility is Reversibility.R3
    assert made[1].irreversible == ("db (aws:rds/instance:Instance) is lost with what it holds: replace",)


def test_a_secret_stands_in_a_plan_as_its_fingerprint() -> None:
    drift = change("a", prop("password", masked="hmac:1"))
    back = change("a", prop("password", masked="hmac:2"))
    made = proposed(drifted(drift, r=look(R, back, refreshed=[drift])))
    assert made is not None
    [step] = made[0].steps
    assert set(step.before) == set(step.after) == {"password"}  # type: ignore[arg-type]
    assert "(secret)" in made[1].text


def test_what_is_not_deployed_elsewhere_does_not_go_with_a_repair() -> None:
    code = size("b", 1, 5)
    nights = drifted(DRIFT, u=look(U, code), r=look(R, BACK, code, refreshed=[DRIFT]))
    answers = nights.night()
    nights.stacks.looked.clear()
    made = proposed(nights, answers)
    assert made is not None
    assert [step.target for step in made[0].steps] == [urn("a")]
    assert nights.looked == "R"


def test_what_is_not_deployed_in_the_same_resource_is_named() -> None:
    code = change("a", prop("label", "x", "y"))
    both = change("a", prop("size", 9, 1), prop("label", "x", "y"))
    made = proposed(drifted(DRIFT, u=look(U, code), r=look(R, both, refreshed=[DRIFT])))
    assert made is not None
    assert made[0].steps[0].before == {"label": "x", "size": 9}
    assert "Goes with it, because Pulumi changes whole resources: a label" in made[1].text


def test_a_conflict_is_for_people() -> None:
    nights = drifted(DRIFT, u=look(U, size("a", 1, 5)), r=look(R, size("a", 9, 5), refreshed=[DRIFT]))
    assert proposed(nights, reason="conflict") is None


def test_a_resource_with_a_conflict_of_its_own_is_left_out_of_a_repair() -> None:
    mixed = change("a", prop("size", 1, 9), prop("label", "x", "z"))
    code = change("a", prop("label", "x", "y"))
    back = change("a", prop("size", 9, 1), prop("label", "z", "y"))
    assert proposed(drifted(mixed, u=look(U, code), r=look(R, back, refreshed=[mixed]))) is None


def test_credentials_in_doubt_lead_to_no_proposal_for_any_resource_of_the_stack() -> None:
    stack = state(resource("far", provider="aws 6.0.0", provider_name="west"), *(resource(name) for name in "abc"))
    seen = [gone("far"), DRIFT]
    nights = Nights().sees(d=look(D, *seen), r=look(R, change("far", operation="create"), BACK, refreshed=seen), of=stack)
    answers = nights.night()
    assert [one.reason for one in findings(answers)] == ["drift"]
    assert proposed(nights, answers) is None


def test_a_look_at_program_and_cloud_that_saw_another_cloud_leads_to_no_proposal() -> None:
    nights = drifted(DRIFT, r=look(R, size("a", 31, 1), refreshed=[size("a", 1, 31)]))
    assert proposed(nights) is None


def test_a_program_that_does_not_run_leads_to_no_proposal() -> None:
    nights = drifted(DRIFT, r=None)
    nights.stacks.looks[NAME, R] = StackError("no", reason="program_failed", stage="program")
    answers = nights.night()
    with pytest.raises(StackError):
        proposed(nights, answers)


def test_accepting_takes_the_clouds_values_into_the_state() -> None:
    made = proposed(drifted(DRIFT, proposes="accept"))
    assert made is not None
    [step] = made[0].steps
    assert (step.action, step.before, step.after, step.reversibility) == ("accept", {"size": 1}, {"size": 9}, Reversibility.R1)
    assert "The program must be changed, too" in made[1].text


def test_a_cloud_that_is_as_the_program_says_is_proposed_to_be_accepted() -> None:
    nights = drifted(DRIFT, u=look(U, size("a", 1, 9)), r=look(R, refreshed=[DRIFT]))
    made = proposed(nights, reason="adopted")
    assert made is not None
    assert made[0].steps[0].action == "accept"


YAML = """name: lab
runtime: yaml
resources:
  a:
    type: fakecloud:Thing   # the one
    properties:
      size: 1
      label: "old"
      tags: {team: x}
"""


@pytest.mark.parametrize(
    ("drift", "line"),
    [
        (size("a", 1, 9.0), "+      size: 9"),
        (change("a", prop("label", "old", "new: one")), '+      label: "new: one"'),
        (change("a", prop("tags.team", "x", "y")), '+      tags: {team: "y"}'),
    ],
)
def test_accepting_shows_the_change_of_a_yaml_program(tmp_path: Path, drift: ResourceChange, line: str) -> None:
    (tmp_path / "Pulumi.yaml").write_text(YAML)
    back = change("a", *(prop(one.path, one.after, one.before) for one in drift.properties))
    r = look(R, back, refreshed=[drift])
    made = proposed(drifted(drift, r=r, proposes="accept", git_url=None, git_ref=None, path=str(tmp_path)))
    assert made is not None
    lines = made[1].text.splitlines()
    assert line in lines
    assert len([one for one in lines if one.startswith("+ ")]) == 2


@pytest.mark.parametrize("program", ["size: ${b.size}", "label: x", "size: {a: 1}"])
def test_what_the_program_does_not_say_plainly_is_left_to_its_author(tmp_path: Path, program: str) -> None:
    (tmp_path / "Pulumi.yaml").write_text(YAML.replace("size: 1", program))
    made = proposed(drifted(DRIFT, proposes="accept", git_url=None, git_ref=None, path=str(tmp_path)))
    assert made is not None
    assert "The program must be changed, too" in made[1].text


def test_property_paths_are_read_as_pulumi_writes_them() -> None:
    assert parts('tags["kubernetes.io/name"].rules[0].port') == ["tags", "kubernetes.io/name", "rules", 0, "port"]
