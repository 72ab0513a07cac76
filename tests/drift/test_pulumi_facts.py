"""What the real Pulumi CLI does when it looks and when it carries out a plan: the facts that Nightshift is built on.

`docs/pulumi-facts.md` tells them in words, numbered alike.
"""

import json
from pathlib import Path

import pytest

from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program, Resource, secret
from tests.support.waiting import until

LOOK = ("refresh", "--preview-only")
PROPOSE = ("preview", "--refresh", "--save-plan")
CARRY_OUT = ("up", "--yes", "--refresh", "--plan")
SIZE_DIFFERS = {"size": {"diffKind": "update", "inputDiff": True}}
CANARY = "canary-7f3a91c5"


def servers(**sizes: int) -> Program:
    return Program(resources={name: Resource(properties={"size": size, "label": name}) for name, size in sizes.items()})


def drifted(lab: Lab, **sizes: int) -> LabStack:
    """A stack whose first server was made 9 behind Pulumi's back."""
    stack = lab.stack(servers(**sizes))
    lab.cloud.change(stack.id(next(iter(sizes))), size=9)
    return stack


def written(lab: Lab, stack: LabStack, name: str) -> int | None:
    found = lab.cloud.get(stack.id(name))
    return None if found is None else int(found["size"])


def test_1_a_refresh_preview_tells_what_differs_and_writes_nothing(lab: Lab) -> None:
    stack = drifted(lab, a=1, b=2, c=3)
    lab.cloud.remove(stack.id("b"))
    before, state = lab.cloud.counts(), lab.state_hash(stack)

    seen = lab.run(stack, *LOOK, "--expect-no-changes")

    assert seen.exit_code == 7
    assert seen.operations() == [("update", "a", SIZE_DIFFERS), ("delete", "b", {}), ("same", "c", {})]
    after = lab.cloud.counts()
    assert (after.writes, after.read) == (before.writes, before.read + 3)
    assert lab.state_hash(stack) == state
    assert lab.locks() == []


def test_2_a_preview_with_refresh_tells_the_drift_first_and_then_the_repair(lab: Lab) -> None:
    stack = drifted(lab, a=1, b=2, c=3)
    lab.cloud.remove(stack.id("b"))
    state = lab.state_hash(stack)

    seen = lab.run(stack, *PROPOSE, str(lab.folder / "plan"))

    assert seen.exit_code == 0
    refreshed = [one for one in seen.operations() if one[0] == "refresh"]
    assert refreshed == [("refresh", "a", SIZE_DIFFERS), ("refresh", "b", {}), ("refresh", "c", {})]
    steps = {name: operation for operation, name, _ in seen.operations() if operation != "refresh"}
    assert steps == {"a": "update", "b": "create", "c": "same"}
    assert seen.summaries[-1]["resourceChanges"] == {"create": 1, "same": 2, "update": 1}
    assert lab.state_hash(stack) == state


def test_3_a_plan_carried_out_without_refresh_says_zero_and_repairs_nothing(lab: Lab) -> None:
    stack = drifted(lab, a=1, b=2)
    plan = str(lab.folder / "plan")
    lab.run(stack, *PROPOSE, plan)

    without = lab.run(stack, "up", "--yes", "--plan", plan)
    assert (without.exit_code, without.steps(), written(lab, stack, "a")) == (0, {"a": "same", "b": "same"}, 9)

    assert lab.run(stack, *CARRY_OUT, plan).exit_code == 0
    assert written(lab, stack, "a") == 1


def test_4_a_world_that_moved_since_the_plan_is_refused_before_any_write(lab: Lab) -> None:
    stack = drifted(lab, a=1, b=2, c=3)
    plan = str(lab.folder / "plan")
    lab.run(stack, *PROPOSE, plan)
    lab.cloud.change(stack.id("c"), size=44)
    before, state = lab.cloud.counts().writes, lab.state_hash(stack)

    refused = lab.run(stack, *CARRY_OUT, plan)

    assert refused.exit_code == 1
    assert "violates plan: properties changed: " in refused.output
    assert lab.cloud.counts().writes == before
    assert lab.state_hash(stack) == state
    assert [(one["isPreview"], one["result"]) for one in refused.summaries] == [(True, "failed")]


def test_5_with_skip_preview_planned_writes_happen_before_the_refusal(lab: Lab) -> None:
    # Which of the two the CLI comes to first is its own affair: one try of twenty in which it wrote shows it.
    stack = drifted(lab, a=1, b=2, c=3)
    assert any(refused_after_a_write(lab, stack) for _ in range(20))


def refused_after_a_write(lab: Lab, stack: LabStack) -> bool:
    lab.cloud.change(stack.id("a"), size=9)
    lab.cloud.change(stack.id("c"), size=3)
    plan = str(lab.folder / "plan")
    lab.run(stack, *PROPOSE, plan)
    lab.cloud.change(stack.id("c"), size=44)

    refused = lab.run(stack, *CARRY_OUT, plan, "--skip-preview")

    assert (refused.exit_code, written(lab, stack, "c")) == (1, 44)
    return written(lab, stack, "a") == 1


def test_5b_a_plan_does_not_pin_the_value_that_it_would_replace(lab: Lab) -> None:
    stack = drifted(lab, a=1)
    plan = str(lab.folder / "plan")
    lab.run(stack, *PROPOSE, plan)
    lab.cloud.change(stack.id("a"), size=31)

    assert lab.run(stack, *CARRY_OUT, plan).exit_code == 0
    assert written(lab, stack, "a") == 1


@pytest.mark.parametrize("accept_secrets", [True, False])
def test_9_a_secret_that_the_provider_knows_is_masked_where_it_drifted(lab: Lab, *, accept_secrets: bool) -> None:
    lab.cloud.turn(accept_secrets=accept_secrets)
    program = Program(resources={"a": Resource(properties={"size": 1, "password": secret("first")})})
    stack = lab.stack(program)
    lab.cloud.change(stack.id("a"), password=CANARY)

    seen = lab.run(stack, *LOOK)

    assert seen.operations() == [("update", "a", {"password": {"diffKind": "update", "inputDiff": True}})]
    assert CANARY not in seen.log + seen.output


@pytest.mark.parametrize("accept_secrets", [True, False])
def test_9b_a_secret_that_only_the_program_knows_is_in_clear_where_the_provider_keeps_secrets(
    lab: Lab, *, accept_secrets: bool
) -> None:
    lab.cloud.turn(accept_secrets=accept_secrets)
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1, "label": secret("first")})}))
    lab.cloud.change(stack.id("a"), label=CANARY)

    seen = lab.run(stack, *LOOK)

    assert seen.operations() == [("update", "a", {"label": {"diffKind": "update", "inputDiff": True}})]
    assert (CANARY in seen.log) is accept_secrets


def test_10_one_failing_read_hides_no_other(lab: Lab) -> None:
    stack = drifted(lab, a=1, b=2, c=3, d=4)
    lab.cloud.remove(stack.id("b"))
    lab.cloud.turn(failing=[stack.id("c")])

    seen = lab.run(stack, *LOOK)

    assert seen.exit_code == 1
    assert seen.operations() == [("update", "a", SIZE_DIFFERS), ("delete", "b", {}), ("same", "d", {})]
    assert seen.summaries[-1]["result"] == "failed"
    assert any("403 AccessDenied" in message for message in seen.diagnostics)


def test_11_a_state_that_is_imported_changes_nothing_in_the_cloud(lab: Lab) -> None:
    stack = lab.stack(servers(a=1, b=2))
    exported = lab.run(stack, "stack", "export", "--file", str(lab.folder / "state.json"))
    assert exported.exit_code == 0, exported.output
    deployment = json.loads((lab.folder / "state.json").read_text())
    [entry] = [one for one in deployment["deployment"]["resources"] if one["urn"] == stack.urn("a")]
    entry["inputs"]["size"] = entry["outputs"]["size"] = 77
    (lab.folder / "state.json").write_text(json.dumps(deployment))
    before = lab.cloud.counts()

    imported = lab.run(stack, "stack", "import", "--file", str(lab.folder / "state.json"))

    assert imported.exit_code == 0, imported.output
    assert lab.cloud.counts() == before
    assert written(lab, stack, "a") == 1
    assert lab.run(stack, *LOOK).operations() == [("update", "a", SIZE_DIFFERS), ("same", "b", {})]


def test_12_a_scan_that_races_an_update_tells_the_update_as_drift_and_the_state_moved_meanwhile(lab: Lab) -> None:
    stack = lab.stack(servers(a=1, b=2))
    lab.write(stack, servers(a=5, b=2))
    lab.cloud.turn(answer_seconds=15.0)
    before, writes = lab.state_hash(stack), lab.cloud.counts().writes
    update = lab.start(stack, "up", "--yes", "--skip-preview")
    until("the update writes", lambda: lab.cloud.counts().writes > writes)

    seen = lab.run(stack, *LOOK)

    assert lab.finish(update).exit_code == 0
    assert seen.exit_code == 0
    assert seen.operations() == [("update", "a", SIZE_DIFFERS), ("same", "b", {})]
    assert lab.state_hash(stack) != before


def test_13_a_program_or_configuration_that_changed_after_the_plan_is_refused_before_any_write(lab: Lab) -> None:
    configured = Program(resources={"a": Resource(properties={"size": 1, "label": "${word}"})}, configuration={"word": "one"})
    stack = lab.stack(configured)
    lab.cloud.change(stack.id("a"), size=9)
    plan = str(lab.folder / "plan")
    lab.run(stack, *PROPOSE, plan)
    before = lab.cloud.counts().writes

    assert lab.run(stack, "config", "set", "lab:word", "two").exit_code == 0
    refused = lab.run(stack, *CARRY_OUT, plan)

    assert (refused.exit_code, lab.cloud.counts().writes) == (1, before)
    assert "properties changed: =~label[{two}]" in refused.output


def test_14_what_a_plan_cannot_know_yet_is_not_pinned(lab: Lab) -> None:
    """`b` gets its label from an output of `a`, which is made anew: any value passes."""
    stack = lab.stack(servers(a=1))
    linked = Resource(properties={"size": 1, "label": "${a.endpoint}"})
    replaced = Resource(properties={"size": 1, "label": "a", "zone": "east"})
    lab.write(stack, Program(resources={"a": replaced, "b": linked}))
    plan = str(lab.folder / "plan")
    lab.run(stack, *PROPOSE, plan)
    goal = json.loads(Path(plan).read_text())["resourcePlans"][stack.program.urn(stack.name, "a").replace("::a", "::b")]["goal"]
    assert "04da6b54-80e4-46f7-96ec-b56ff0331ba9" in json.dumps(goal["inputDiff"])  # Pulumi's mark of an unknown value

    done = lab.run(stack, *CARRY_OUT, plan)

    assert done.exit_code == 0, done.output
    made = lab.cloud.get(stack.id("b"))
    assert made is not None
    assert made["label"] == f"https://{stack.id('a')}-2.invalid"


def test_16_a_protected_resource_that_would_be_replaced_fails_the_comparison_with_the_program_alone(lab: Lab) -> None:
    kept = Resource(properties={"size": 1, "zone": "east"}, protect=True)
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1}), "b": kept}))
    lab.cloud.change(stack.id("a"), size=9)
    lab.cloud.change(stack.id("b"), zone="west")

    assert lab.run(stack, *LOOK).steps() == {"a": "update", "b": "update"}
    refused = lab.run(stack, "preview", "--refresh")

    assert refused.exit_code == 1
    assert "as it is currently marked for protection" in refused.output
    assert ("update", "a", SIZE_DIFFERS) in refused.operations()


def test_17_a_provider_that_dies_in_a_read_fails_the_look(lab: Lab) -> None:
    stack = drifted(lab, a=1, b=2)
    lab.cloud.turn(dies_reading=[stack.id("b")])

    seen = lab.run(stack, *LOOK)

    assert seen.exit_code == 1
    assert "b" not in seen.steps()


def test_18_a_refresh_that_runs_the_program_tells_providers_as_updated_though_nothing_differs(lab: Lab) -> None:
    stack = lab.stack(servers(a=1))

    seen = lab.run(stack, *LOOK, "--run-program")

    told = [one["resOutputsEvent"]["metadata"] for one in seen.events if "resOutputsEvent" in one]
    [provider] = [one for one in told if one["type"] == "pulumi:providers:fakecloud" and one["op"] == "update"]
    assert (provider["old"], provider["detailedDiff"]) == (provider["new"], None)
    assert (seen.exit_code, seen.steps()) == (0, {"a": "same"})


def test_19_what_waits_for_its_replacement_is_called_the_same_and_not_read(lab: Lab) -> None:
    stack = drifted(lab, a=1)
    state = json.loads(lab.checkpoint(stack).read_text())
    for one in state["checkpoint"]["latest"]["resources"]:
        one.update({"pendingReplacement": True} if one["urn"] == stack.urn("a") else {})
    lab.checkpoint(stack).write_text(json.dumps(state))
    before = lab.cloud.counts().read

    assert lab.run(stack, *LOOK).steps() == {"a": "same"}

    assert lab.cloud.counts().read == before


def test_two_plans_of_the_same_change_differ_in_time_and_seeds_only(lab: Lab) -> None:
    stack = drifted(lab, a=1)
    plans = []
    for name in ("first", "second"):
        lab.run(stack, *PROPOSE, str(lab.folder / name))
        plans.append(json.loads((lab.folder / name).read_text()))
    assert plans[0] != plans[1]
    for plan in plans:
        plan["manifest"].pop("time")
        for one in plan["resourcePlans"].values():
            one.pop("seed")
    assert plans[0] == plans[1]
