"""The three looks at a stack, by the real CLI."""

import json
import os
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.errors import StackError
from tasks.providers.pulumi.commands import by_hand
from tasks.stacks import Backend, Listed, Looked, Source
from tests.drift.providing import LONG, Looker, References, looker, names, seen, servers
from tests.lab.lab import Lab
from tests.lab.program import Program, Resource, secret

CANARY = "canary-5d1e77c0"


@pytest.fixture
def look(lab: Lab) -> Looker:
    return looker(lab)


def test_d_tells_what_the_cloud_has_and_the_state_does_not(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1, b=2, c=3))
    lab.cloud.change(stack.id("a"), size=9)
    lab.cloud.remove(stack.id("b"))
    before, state = lab.cloud.counts(), lab.state_hash(stack)

    found = look.look(stack)

    assert seen(found) == {"a": ("update", {"size": (1, 9)}), "b": ("delete", {})}
    assert (found.complete, found.exit_code, found.same, found.failed) == (True, 0, 1, ())
    assert names(found.seen) == {"a", "b", "c"}
    assert (found.state_before, found.state_after) == (state, state)
    assert [(one.provider, one.provider_name, one.id) for one in found.changes if one.name == "a"] == [
        ("fakecloud 1.0.0", "default_1_0_0", stack.id("a"))
    ]
    after = lab.cloud.counts()
    assert (after.writes, after.read) == (before.writes, before.read + 3)
    assert (lab.state_hash(stack), lab.locks()) == (state, [])


def test_u_tells_what_the_program_has_and_the_state_does_not(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1, b=2))
    lab.write(stack, servers(a=4, c=3))
    state = lab.state_hash(stack)

    found = look.look(stack, Looked.U)

    assert seen(found) == {"a": ("update", {"size": (1, 4)}), "b": ("delete", {}), "c": ("create", {})}
    assert (found.complete, lab.state_hash(stack), lab.locks()) == (True, state, [])


def test_r_tells_what_the_program_would_put_back_and_the_drift_on_the_way(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1, b=2, c=3))
    lab.cloud.change(stack.id("a"), size=9)
    lab.cloud.remove(stack.id("b"))
    plan = lab.folder / "plan.json"

    found = look.stacks.look(lab.value(stack), Looked.R, deadline=LONG, scratch=look.scratch, save_plan=plan)

    assert seen(found) == {"a": ("update", {"size": (9, 1)}), "b": ("create", {})}
    assert {one.name: one.operation for one in found.refreshed} == {"a": "update", "b": "delete"}
    assert seen(replace(found, changes=found.refreshed))["a"] == ("update", {"size": (1, 9)})
    assert json.loads(plan.read_text())["resourcePlans"]


def test_a_property_that_only_a_new_object_can_have_replaces(lab: Lab, look: Looker) -> None:
    program = Program(resources={"a": Resource(properties={"size": 1, "zone": "north"})})
    stack = lab.stack(program)
    lab.write(stack, program.but(a=Resource(properties={"size": 1, "zone": "south"})))
    [change] = look.look(stack, Looked.U).changes
    assert (change.operation, [(one.path, one.replaces) for one in change.properties]) == ("replace", [("zone", True)])


def test_nested_properties_are_told_by_their_paths(lab: Lab, look: Looker) -> None:
    rules = [{"port": 80, "cidr": "10.0.0.0/8"}, {"port": 443, "cidr": "10.0.0.0/8"}]
    stack = lab.stack(
        Program(resources={"a": Resource(properties={"size": 1, "tags": {"a.b": "x", "team": "t"}, "rules": rules})})
    )
    lab.cloud.change(stack.id("a"), tags={"a.b": "y", "new": "n"}, rules=[rules[0], {**rules[1], "port": 444}])
    [change] = look.look(stack).changes
    assert {one.path: (one.kind, one.before, one.after) for one in change.properties} == {
        'tags["a.b"]': ("update", "x", "y"),
        "tags.new": ("add", None, "n"),
        "tags.team": ("delete", "t", None),
        "rules[1].port": ("update", 443, 444),
    }


def test_drift_under_ignore_changes_is_hidden_from_pulumi_and_told_apart(lab: Lab, look: Looker) -> None:
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1, "tags": {"team": "t"}}, ignore_changes=["tags"])}))
    lab.cloud.change(stack.id("a"), tags={"team": "other"})
    found = look.look(stack)
    assert (found.changes, found.same) == ((), 1)
    [hidden] = found.hidden
    assert (hidden.name, hidden.id, [(one.path, one.before, one.after) for one in hidden.properties]) == (
        "a",
        stack.id("a"),
        [("tags.team", "t", "other")],
    )


@pytest.mark.parametrize("accept_secrets", [True, False])
def test_a_secret_that_drifted_is_told_without_its_value(lab: Lab, look: Looker, accept_secrets: bool) -> None:  # noqa: FBT001
    lab.cloud.turn(accept_secrets=accept_secrets)
    known, marked = f"{CANARY}-known", f"{CANARY}-marked"
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1, "password": known, "label": secret(marked)})}))
    lab.cloud.change(stack.id("a"), password=f"{known}-9", label=f"{marked}-9")

    found = look.look(stack)

    [change] = found.changes
    assert {one.path: (one.before, one.after, one.masked) for one in change.properties} == {
        "password": (None, None, True),
        "label": (None, None, True),
    }
    assert CANARY not in repr(found)


def test_one_failing_read_does_not_hide_the_others(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1, b=2, c=3))
    lab.cloud.change(stack.id("a"), size=9)
    lab.cloud.turn(failing=[stack.id("b")])

    found = look.look(stack)

    assert (seen(found), found.complete, found.same) == ({"a": ("update", {"size": (1, 9)})}, False, 1)
    [failed] = found.failed
    assert (failed.urn, failed.reason) == (stack.urn("b"), "read_denied")
    assert "AccessDenied" in failed.detail


def test_a_stack_without_source_is_looked_at_all_the_same(lab: Lab, look: Looker) -> None:
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1, "password": CANARY})}))
    lab.cloud.change(stack.id("a"), size=9)
    assert seen(look.look(stack, source=None)) == {"a": ("update", {"size": (1, 9)})}
    with pytest.raises(StackError) as refused:
        look.look(stack, Looked.U, source=None)
    assert refused.value.reason == "program_missing"


def test_a_source_that_cannot_be_had_does_not_keep_d_from_looking(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1))
    found = look.look(stack, source=Source(path=lab.folder / "nowhere"))
    assert (found.complete, found.same) == (True, 1)
    assert "no program" in found.diagnostics[0]


def test_listing_reads_no_state(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1), up=False)
    lab.copies(stack, ["beta"])
    for state in (lab.states / ".pulumi" / "stacks" / "lab").glob("*.json"):
        state.write_bytes(b"not read")
    assert look.stacks.listed(Backend(url=lab.backend_url)) == [
        Listed(organization="organization", project="lab", name="beta"),
        Listed(organization="organization", project="lab", name="dev"),
    ]


def test_a_state_is_read_without_values(lab: Lab, look: Looker) -> None:
    bucket = Resource(kind="Bucket", properties={"size": 1, "label": secret(CANARY)}, protect=True, ignore_changes=["tags"])
    stack = lab.stack(Program(resources={"a": bucket}))
    state = look.stacks.state(lab.value(stack))
    [found] = [one for one in state.resources if one.urn == stack.urn("a")]
    assert (found.provider, found.id, found.protected, found.ignored) == ("fakecloud 1.0.0", stack.id("a"), True, ("tags",))
    assert {"size", "label"} <= set(found.inputs)
    assert (state.sha256, state.lock, state.pending_operations) == (lab.state_hash(stack), None, ())
    assert CANARY not in repr(state)


def test_nothing_of_the_worker_reaches_the_program_or_its_provider(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    # The worker's own environment is what the test is about; there is no other way to put something into it.
    monkeypatch.setenv("N8N_ENCRYPTION_KEY", CANARY)
    monkeypatch.setenv("HOME", str(lab.folder / "worker-home"))
    stack = lab.stack(servers(a=1))
    granted = {"REGION": "north", "API_TOKEN": "env:API_TOKEN"}
    look = looker(lab, References({"env:API_TOKEN": "granted-to-this-stack"}))
    said = look.stacks.identity(lab.value(stack, environment=granted), ["env"], deadline=LONG, scratch=look.scratch)
    found = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
    ours = {"LANG", "HOME", "TMPDIR", "PATH", "NO_COLOR", "NIGHTSHIFT_KEEPER"}
    assert {name for name in found if not name.startswith("PULUMI_")} == {*ours, *granted}
    assert (found["REGION"], found["API_TOKEN"]) == ("north", "***")
    assert CANARY not in said
    assert str(lab.folder / "worker-home") not in said


def test_a_look_leaves_no_file_and_writes_nothing_beside_the_plugins(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1))
    before = {path: path.stat().st_mtime_ns for path in lab.plugins.rglob("*")}
    look.look(stack)
    assert list(look.scratch.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in lab.plugins.rglob("*")} == before


def test_the_state_moves_during_a_look_which_then_says_nothing(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1))
    lab.cloud.turn(read_seconds=1.0)
    checkpoint = lab.checkpoint(stack)

    def touched() -> bool:
        checkpoint.write_bytes(checkpoint.read_bytes().rstrip() + b"\n\n")
        return False

    with pytest.raises(StackError) as raced:
        look.at(lab.value(stack), cancelled=touched)
    assert (raced.value.reason, raced.value.retryable) == ("raced", True)


def test_a_git_source_is_checked_out_at_the_ref_that_is_asked_for(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1))
    repository = lab.folder / "repository"
    (repository / "infra").mkdir(parents=True)
    commits = []
    for size in (1, 4):
        (repository / "infra" / "Pulumi.yaml").write_text(servers(a=size).text())
        commits.append(commit(repository))
    source = Source(path=Path("infra"), git_url=str(repository), git_ref="main")
    [change] = look.look(stack, Looked.U, source=source).changes
    assert change.properties[0].after == 4
    assert look.look(stack, Looked.U, source=replace(source, git_ref=commits[0])).changes == ()
    with pytest.raises(StackError, match="no program") as refused:
        look.look(stack, Looked.U, source=replace(source, git_ref="no-such-branch"))
    assert refused.value.reason == "program_missing"


@pytest.mark.parametrize("known", [True, False])
def test_the_line_to_run_by_hand_brings_the_program_along(lab: Lab, *, known: bool) -> None:
    """As a person copies it into a shell of their own, wherever they are."""
    stack = lab.stack(servers(a=1))
    lab.cloud.change(stack.id("a"), size=9)
    (repository := lab.folder / "repository" / "infra").mkdir(parents=True)
    (repository / "Pulumi.yaml").write_text(servers(a=1).text())
    source = Source(path=Path("infra"), git_url=str(repository.parent), git_ref=commit(repository.parent))
    line = by_hand(lab.value(stack, source=source if known else None), Looked.D)
    done = subprocess.run(
        ["sh", "-c", line], env=lab.environment(stack), cwd="/", capture_output=True, text=True, timeout=60, check=True
    )
    assert "~ 1 to update" in done.stdout


def commit(repository: Path) -> str:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(repository)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(repository)}
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "a size"]):
        subprocess.run([*git, *words], check=True, env=environment)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, env=environment, capture_output=True, text=True).stdout.strip()


def test_a_look_that_is_too_long_tells_what_it_saw_and_what_not(lab: Lab) -> None:
    stack = lab.stack(servers(a=1, b=2))
    lab.cloud.turn(read_seconds=300)
    look = looker(lab, grace=timedelta(seconds=1))
    with pytest.raises(StackError) as late:
        look.at(lab.value(stack), deadline=timedelta(seconds=4))
    assert (late.value.reason, late.value.retryable) == ("timed_out", True)
    assert "refresh --preview-only" in str(late.value.recheck)


def test_a_provider_that_dies_before_anything_was_read_says_nothing(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1))
    lab.cloud.turn(dies_reading=[stack.id("a")])
    with pytest.raises(StackError, match="exited prematurely") as failed:
        look.look(stack)
    assert failed.value.reason == "failed"
