"""Whatever is done to a look by clouds, backends, programs and repositories: never a false green, never a false proposal."""

import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import StackError
from tasks.model import CannotTell, Finding, Ok
from tasks.providers.pulumi.running import run
from tasks.stacks import Looked, Source
from tests.drift.providing import LONG, Looker, References, looker, names, seen, servers
from tests.drift.test_check_for_real import SIX, RealNights, told
from tests.drift.test_provider_looks import commit
from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program, Resource, secret
from tests.support.waiting import until

CANARY = "canary-77aa01fe"
EAST = {"size": 1, "zone": "east"}
MORE = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}


@pytest.fixture
def look(lab: Lab) -> Looker:
    return looker(lab)


def refusal(act: Callable[[], object]) -> StackError:
    with pytest.raises(StackError) as refused:
        act()
    return refused.value


@pytest.mark.parametrize("looked", [Looked.U, Looked.R])
def test_what_may_not_be_replaced_hides_nothing_of_the_others(lab: Lab, look: Looker, looked: Looked) -> None:
    resources = {name: Resource(properties=EAST, protect=name == "a") for name in "abcd"}
    stack = lab.stack(Program(resources=resources))
    wanted = Program(resources=resources).but(b=Resource(properties={**EAST, "size": 7}), d=None)
    west = Resource(properties={**EAST, "zone": "west"}, protect=True)
    if looked is Looked.R:
        lab.cloud.change(stack.id("a"), zone="west")
        lab.write(stack, Program(resources={name: one for name, one in wanted.resources.items() if name != "d"}))
    else:
        lab.write(stack, Program(resources={"a": west, "b": wanted.resources["b"], "c": wanted.resources["c"]}))

    found = look.look(stack, looked)

    assert {change.name: change.operation for change in found.changes} == {"a": "replace", "b": "update", "d": "delete"}
    assert [(one.urn, one.reason) for one in found.failed] == [(stack.urn("a"), "protected")]
    assert (found.complete, found.same) == (False, 1)


def test_running_the_program_for_d_invents_no_drift_of_providers_and_components(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1, b=2))
    lab.write(stack, servers(a=1))
    lab.cloud.change(stack.id("b"), size=9)
    found = look.look(stack, run_program=True)
    assert seen(found) == {"b": ("update", {"size": (2, 9)})}
    assert (found.complete, names(found.seen)) == (True, {"a", "b"})


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, MORE], ids=["with checkpoints", "without"])
def test_an_update_that_is_under_way_is_never_told_as_drift(lab: Lab, environment: dict[str, str]) -> None:
    stack = lab.stack(servers(**SIX))
    lab.write(stack, servers(**{**SIX, "a": 50}))
    lab.cloud.turn(answer_seconds=600)
    updating = lab.start(replace(stack, environment=environment), "up", "--yes", "--skip-preview")
    try:
        until("the update writes", lambda: lab.sizes(stack)["a"] == 50)
        nights = RealNights(lab, stack)
        answers = nights.night()
        assert [(type(one), one.reason) for one in answers if isinstance(one, CannotTell)] == [(CannotTell, "being_updated")]
        assert not any(isinstance(one, Ok) for one in answers)
        assert {one.reason for one in answers if isinstance(one, Finding)} <= {"pending_operations"}
        assert nights.proposed(answers) is None
    finally:
        updating.end()


@pytest.mark.slow
def test_a_first_read_that_is_late_does_not_make_the_first_night_green(lab: Lab) -> None:
    nights = RealNights(lab, lab.stack(servers(**SIX)))
    lab.cloud.change(nights.stack.id("a"), size=9, seen_after_reads=1)
    assert told(nights.night()) == ["lab/dev: a (Server): size 1 → 9"]


def test_a_secret_that_the_event_log_has_in_clear_leaves_the_scratch_of_the_look_in_no_way(lab: Lab, look: Looker) -> None:
    lab.cloud.turn(accept_secrets=True)
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1, "label": secret("before")})}))
    lab.cloud.change(stack.id("a"), label=CANARY)
    found = look.look(stack)
    assert [one.masked for one in found.changes[0].properties] == [True]
    assert CANARY not in repr(found)
    left = [path for place in (look.scratch, lab.folder / "cache") for path in place.rglob("*") if path.is_file()]
    assert [path for path in left if CANARY.encode() in path.read_bytes()] == []


def test_a_secret_that_a_program_prints_is_in_no_diagnostic(lab: Lab) -> None:
    look = looker(lab, References({"env:TOKEN": f"granted-{CANARY}"}))
    stack = lab.stack(servers(a=1))
    printed = f'{{"name": "lab", "runtime": "yaml", "variables": {{"x": {{"fn::fromBase64": "granted-{CANARY}"}}}}}}'
    (stack.folder / "Pulumi.yaml").write_text(printed)
    error = refusal(lambda: look.look(stack, Looked.U, environment={"TOKEN": "env:TOKEN"}))
    assert error.reason == "program_failed"
    assert CANARY not in f"{error} {error.recheck}"


def test_a_program_that_writes_without_end_is_ended_before_the_disk_is_full(tmp_path: Path) -> None:
    ran = run(
        ["/bin/sh", "-c", "while :; do echo 0123456789012345678901234567890123456789; done"],
        cwd=tmp_path,
        environment={},
        folder=tmp_path,
        deadline=LONG,
        grace=timedelta(seconds=1),
        most_output_bytes=1 << 20,
    )
    assert ran.ended_by == "output"


def test_a_look_that_writes_without_end_has_a_reason_of_its_own(lab: Lab) -> None:
    error = refusal(lambda: looker(lab, most_output_bytes=10).look(lab.stack(servers(a=1))))
    assert error.reason == "too_much_output"


@pytest.mark.parametrize("part", ["organization", "project", "name"])
def test_names_that_would_lead_elsewhere_are_refused_before_anything_is_read(
    lab: Lab, look: Looker, tmp_path: Path, part: str
) -> None:
    for name in ("../../etc", "..", ".", "dev\n", "--show-secrets", "-s", "a/b", "a b", "x" * 200, "dév"):
        error = refusal(partial(look.at, lab.value(lab_stack(tmp_path), **{part: name})))
        assert (error.reason, error.stage) == ("stack_missing", "backend"), name
        assert "\n" not in str(error)


def lab_stack(folder: Path) -> LabStack:
    return LabStack(program=servers(a=1), name="dev", folder=folder)


INJECTIONS = (
    ("--upload-pack=touch {trap}", "main"),
    ("{repository}", "--upload-pack=touch {trap}"),
    ("{repository}", "--output={trap}"),
    ("ext::sh -c touch% {trap}", "main"),
    ("{repository}\n--upload-pack=touch {trap}", "main"),
    ("{repository}\0", "main"),
    ("{repository}", "main; touch {trap}"),
    ("{repository}", "$(touch {trap})"),
    ("{repository}", "main:../../{trap}"),
)


def test_a_git_url_or_ref_is_never_an_option_or_a_command(lab: Lab, look: Looker) -> None:
    repository, trap = lab.folder / "repository", lab.folder / "trap"
    repository.mkdir()
    (repository / "Pulumi.yaml").write_text(servers(a=1).text())
    commit(repository)
    made = lab.value(lab.stack(servers(a=1)))
    for injection in INJECTIONS:
        url, ref = (text.format(repository=repository, trap=trap) for text in injection)
        stack = replace(made, source=Source(path=Path(), git_url=url, git_ref=ref))
        assert refusal(partial(look.at, stack, Looked.U)).reason == "program_missing", injection
        with suppress(StackError):
            assert look.stacks.pinned(stack) == stack, injection
        assert not trap.exists(), injection


def test_a_ref_is_pinned_to_the_commit_that_git_would_take(lab: Lab, look: Looker, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    commits = []
    for text in ("one", "two"):
        (repository / "text").write_text(text)
        commits.append(commit(repository))
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "tag", "-a", "v1", "-m", "told", commits[0]], check=True)
    subprocess.run([*git, "branch", "old/main", commits[0]], check=True)
    value = lab.value(lab_stack(tmp_path))

    def pinned(ref: str | None) -> str | None:
        source = Source(path=Path(), git_url=str(repository), git_ref=ref)
        found = look.stacks.pinned(replace(value, source=source)).source
        return found.git_ref if found else None

    assert [pinned(ref) for ref in (None, "main", "refs/heads/main")] == [commits[1]] * 3
    assert [pinned(ref) for ref in ("v1", "old/main", commits[0])] == [commits[0]] * 3
    assert pinned(commits[0][:10]) == commits[0][:10]
    assert look.stacks.pinned(value) == value
    unreachable = replace(value, source=Source(path=Path(), git_url=str(tmp_path / "none"), git_ref="main"))
    assert refusal(lambda: look.stacks.pinned(unreachable)).reason == "program_missing"


def test_a_state_whose_resources_are_no_list_is_corrupt_and_not_empty(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1))
    for resources in ("{}", '""', "0", "false"):
        lab.checkpoint(stack).write_text(f'{{"version":3,"checkpoint":{{"latest":{{"resources":{resources}}}}}}}')
        assert refusal(lambda: look.stacks.state(lab.value(stack))).reason == "state_corrupt"


def rewritten(lab: Lab, stack: LabStack, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """The state as an update that died would have left it."""
    whole = json.loads(lab.checkpoint(stack).read_text())
    change(whole["checkpoint"]["latest"]["resources"])
    lab.checkpoint(stack).write_text(json.dumps(whole))


def test_what_waits_for_its_deletion_after_a_replacement_is_not_told_as_gone(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1, b=2))

    def replaced(resources: list[dict[str, Any]]) -> None:
        old = next(one for one in resources if one["urn"] == stack.urn("a"))
        resources.append({**old, "delete": True, "id": "lab.dev.a-of-before"})

    rewritten(lab, stack, replaced)
    found = look.look(stack)
    assert (found.changes, found.complete, names(found.seen)) == ((), True, {"a", "b"})


def test_what_waits_for_its_replacement_is_unknown_and_not_the_same(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1, b=2))

    def waits(resources: list[dict[str, Any]]) -> None:
        next(one for one in resources if one["urn"] == stack.urn("a"))["pendingReplacement"] = True

    rewritten(lab, stack, waits)
    lab.cloud.change(stack.id("a"), size=9)
    found = look.look(stack)
    assert ([(one.urn, one.reason) for one in found.failed], found.complete) == ([(stack.urn("a"), "not_reached")], False)
