"""What goes wrong with a stack has a stable reason code, and the command to run by hand."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.errors import StackError
from tasks.stacks import Backend, Lock, Looked
from tests.drift.providing import LONG, PROVIDER, Looker, References, left_of, looker, seen, servers
from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program, Resource
from tests.support.waiting import until

CANARY = "canary-9c40be11"
BROKEN = '{"name": "lab", "runtime": "yaml", "resources": {"a": {"type": "fakecloud:index:Nothing"}}}'


@pytest.fixture
def look(lab: Lab) -> Looker:
    return looker(lab)


@pytest.fixture
def stack(lab: Lab) -> LabStack:
    return lab.stack(servers(a=1, b=2))


def refusal(act: Callable[[], object]) -> StackError:
    with pytest.raises(StackError) as refused:
        act()
    return refused.value


def test_a_program_that_does_not_compile(stack: LabStack, look: Looker) -> None:
    (stack.folder / "Pulumi.yaml").write_text(BROKEN)
    error = refusal(lambda: look.look(stack, Looked.U))
    assert (error.reason, error.stage) == ("program_failed", "look")
    folder, url = stack.folder, look.lab.backend_url
    words = "pulumi preview --stack organization/lab/dev --non-interactive"
    assert error.recheck == f"cd {folder} && PULUMI_BACKEND_URL={url} {words}"


def test_a_program_that_is_not_yaml_at_all(stack: LabStack, look: Looker) -> None:
    (stack.folder / "Pulumi.yaml").write_text("name: lab\nruntime: yaml\nresources: [\n")
    assert refusal(lambda: look.look(stack, Looked.U)).reason == "program_failed"


def test_a_broken_program_does_not_keep_d_from_looking(lab: Lab, stack: LabStack, look: Looker) -> None:
    lab.cloud.change(stack.id("a"), size=9)
    (stack.folder / "Pulumi.yaml").write_text(BROKEN)
    assert seen(look.look(stack)) == {"a": ("update", {"size": (1, 9)})}


def test_a_folder_without_a_program(stack: LabStack, look: Looker) -> None:
    (stack.folder / "Pulumi.yaml").unlink()
    assert refusal(lambda: look.look(stack, Looked.U)).reason == "program_missing"


def test_missing_configuration(lab: Lab, stack: LabStack, look: Looker) -> None:
    text = json.loads(servers(a=1, b=2).text())
    (stack.folder / "Pulumi.yaml").write_text(json.dumps({**text, "config": {"lab:region": {"type": "string"}}}))
    error = refusal(lambda: look.look(stack, Looked.U))
    assert error.reason == "config_missing"
    assert "region" in str(error)


def test_a_wrong_passphrase(lab: Lab, look: Looker) -> None:
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1, "password": CANARY})}))
    wrong = lab.folder / "wrong"
    wrong.write_text("not the passphrase at all")
    error = refusal(lambda: look.look(stack, passphrase=f"file:{wrong}"))
    assert error.reason == "wrong_passphrase"
    assert "not the passphrase at all" not in str(error)


def test_no_passphrase_where_one_is_needed(lab: Lab, look: Looker) -> None:
    stack = lab.stack(Program(resources={"a": Resource(properties={"size": 1, "password": CANARY})}))
    assert refusal(lambda: look.look(stack, passphrase=None)).reason == "passphrase_missing"


def test_a_secret_that_cannot_be_read_names_its_reference(stack: LabStack, look: Looker) -> None:
    error = refusal(lambda: look.look(stack, environment={"TOKEN": "env:NOT_THERE"}))
    assert (error.reason, error.stage) == ("credentials_expired", "secret")
    assert "env:NOT_THERE" in str(error)


def test_credentials_that_are_refused_at_the_first_word(lab: Lab, stack: LabStack, look: Looker) -> None:
    lab.cloud.turn(rejects="configure")
    assert refusal(lambda: look.look(stack)).reason == "credentials_expired"


def test_credentials_that_are_refused_at_each_read(lab: Lab, stack: LabStack, look: Looker) -> None:
    lab.cloud.turn(rejects="read")
    assert refusal(lambda: look.look(stack)).reason == "credentials_expired"


def test_credentials_that_expire_in_the_middle_leave_the_rest_unknown(lab: Lab, stack: LabStack, look: Looker) -> None:
    lab.cloud.turn(expires_after_reads=1)
    found = look.look(stack)
    assert (found.complete, found.same) == (False, 1)
    assert [one.reason for one in found.failed] == ["credentials_expired"]


def test_a_locked_stack_is_looked_at_and_its_lock_is_told(lab: Lab, stack: LabStack, look: Looker) -> None:
    folder = lab.states / ".pulumi" / "locks" / "organization" / "lab" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    held = {"pid": 4711, "username": "ana", "hostname": "laptop", "timestamp": "2026-11-20T22:15:01.123456789+01:00"}
    (folder / "5f1c.json").write_text(json.dumps(held))
    lock = look.stacks.state(lab.value(stack)).lock
    assert lock == Lock(
        user="ana",
        host="laptop",
        pid=4711,
        since=datetime(2026, 11, 20, 21, 15, 1, 123456, tzinfo=UTC),
        path=".pulumi/locks/organization/lab/dev/5f1c.json",
    )
    assert look.look(stack).complete


def test_pending_operations_of_an_update_that_died_are_told(lab: Lab, stack: LabStack, look: Looker) -> None:
    lab.write(stack, servers(a=5, b=2))
    lab.cloud.turn(write_seconds=60)
    running = lab.start(stack, "up", "--yes", "--skip-preview")
    until("the update is under way", lambda: lab.pending(stack))
    running.end()
    lab.cloud.reset()

    state = look.stacks.state(lab.value(stack))

    assert state.pending_operations == (f"updating {stack.urn('a')}",)
    assert state.lock is not None
    assert state.lock.pid == running.process.pid
    assert look.look(stack).complete


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b'{"version": 3}', b'{"version":3,"checkpoint":{"latest":[]}}', b"[]"]
)
def test_a_corrupt_checkpoint(lab: Lab, stack: LabStack, look: Looker, content: bytes) -> None:
    lab.checkpoint(stack).write_bytes(content)
    assert refusal(lambda: look.stacks.state(lab.value(stack))).reason == "state_corrupt"
    error = refusal(lambda: look.look(stack))
    assert (error.reason, error.stage) == ("state_corrupt", "state")


def test_a_packed_checkpoint_that_was_cut(lab: Lab, stack: LabStack, look: Looker) -> None:
    plain = lab.checkpoint(stack)
    packed = gzip.compress(plain.read_bytes())
    plain.with_name("dev.json.gz").write_bytes(packed)
    plain.unlink()
    assert len(look.stacks.state(lab.value(stack)).resources) == 4
    plain.with_name("dev.json.gz").write_bytes(packed[:-20])
    assert refusal(lambda: look.stacks.state(lab.value(stack))).reason == "state_corrupt"


def test_a_plugin_that_is_not_installed(lab: Lab, stack: LabStack, look: Looker) -> None:
    (lab.plugins / "resource-fakecloud-v1.0.0" / "pulumi-resource-fakecloud").unlink()
    error = refusal(lambda: look.look(stack))
    assert error.reason == "plugin_missing"
    assert "fakecloud" in str(error)


def test_a_backend_that_is_not_mounted(lab: Lab, stack: LabStack, look: Looker) -> None:
    backend = Backend(url=f"file://{lab.folder}/not-mounted")
    assert refusal(lambda: look.look(stack, backend=backend)).reason == "backend_unreachable"
    assert refusal(lambda: look.stacks.listed(backend)).reason == "backend_unreachable"


def test_a_backend_of_a_kind_that_is_not_read(look: Looker) -> None:
    error = refusal(lambda: look.stacks.listed(Backend(url="ftp://user:hunter22@bucket")))
    assert error.reason == "backend_unreachable"
    assert "hunter22" not in str(error)


def test_a_stack_that_is_not_there(lab: Lab, stack: LabStack, look: Looker) -> None:
    error = refusal(lambda: look.look(stack, name="other"))
    assert (error.reason, error.stage) == ("stack_missing", "backend")
    assert "organization/lab/other" in str(error)


def test_a_stack_that_is_deleted_in_mid_look(lab: Lab, stack: LabStack, look: Looker) -> None:
    lab.cloud.turn(read_seconds=2.0)

    def removed() -> bool:
        lab.checkpoint(stack).unlink(missing_ok=True)
        return False

    assert refusal(lambda: look.at(lab.value(stack), cancelled=removed)).reason == "stack_missing"


def test_output_that_is_not_utf_8(lab: Lab, stack: LabStack, look: Looker) -> None:
    said = look.stacks.identity(lab.value(stack), ["printf", r"caf\351"], deadline=LONG, scratch=look.scratch)
    assert said == "caf�"


@pytest.mark.slow
def test_a_state_of_ten_thousand_resources_is_read_as_a_stream(lab: Lab, look: Looker) -> None:
    stack = lab.stack(servers(a=1))
    whole = json.loads(lab.checkpoint(stack).read_text())
    latest = whole["checkpoint"]["latest"]
    pattern = next(one for one in latest["resources"] if one["urn"] == stack.urn("a"))
    copies = [{**pattern, "urn": f"{pattern['urn']}{number}", "id": f"lab.dev.a{number}"} for number in range(10_000)]
    latest["resources"] += copies
    lab.checkpoint(stack).write_text(json.dumps(whole))
    stored = lab.cloud.objects / "main"
    for one in copies:
        (stored / f"{one['id']}.json").write_text('{"size": 1, "label": "a"}')
    lab.cloud.change("lab.dev.a77", size=9)

    found = look.look(stack)

    assert (seen(found), found.same, found.complete) == ({"a77": ("update", {"size": (1, 9)})}, 10_000, True)


def test_a_cli_that_is_not_there(lab: Lab, stack: LabStack, tmp_path: Path) -> None:
    look = looker(lab)
    missing = type(look.stacks)(secrets=References(), mac=look.stacks.mac, cache=tmp_path, program=tmp_path / "pulumi")
    error = refusal(missing.version)
    assert (error.reason, error.recheck) == ("pulumi_missing", f"{tmp_path}/pulumi version")


@pytest.mark.parametrize(("said", "reason"), [("v3.100.0", "pulumi_untested"), ("", "pulumi_untested"), ("v3.259.0", "")])
def test_a_cli_that_is_too_old_or_does_not_know_itself(lab: Lab, tmp_path: Path, said: str, reason: str) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    look = looker(lab)
    stacks = type(look.stacks)(secrets=References(), mac=look.stacks.mac, cache=tmp_path / "cache", program=program)
    if reason:
        assert refusal(stacks.version).reason == reason
    else:
        assert stacks.version() == "3.259.0"
        program.write_text("#!/bin/sh\nexit 1\n".ljust(len(program.read_text())))
        assert refusal(stacks.version).reason == "pulumi_untested"


def test_an_identity_command_that_fails_says_so_without_secrets(lab: Lab, stack: LabStack) -> None:
    look = looker(lab, References({"env:KEY": CANARY}))
    value = lab.value(stack, environment={"KEY": "env:KEY"})

    def ask(*argv: str, deadline: timedelta = LONG) -> StackError:
        return refusal(lambda: look.stacks.identity(value, argv, deadline=deadline, scratch=look.scratch))

    error = ask("sh", "-c", 'echo "ExpiredToken: $KEY" >&2; exit 254')
    assert (error.reason, error.stage) == ("credentials_expired", "identity")
    assert CANARY not in str(error)
    assert ask("sh", "-c", "exit 3").reason == "failed"
    assert ask("no-such-program-anywhere").reason == "failed"
    assert ask("sleep", "600", deadline=timedelta(seconds=1)).reason == "timed_out"


def test_a_look_is_cancelled_and_nothing_is_left_of_it(lab: Lab, stack: LabStack) -> None:
    lab.cloud.turn(read_seconds=600)
    look = looker(lab, grace=timedelta(seconds=1))
    error = refusal(lambda: look.at(lab.value(stack), cancelled=lambda: any(PROVIDER in line for line in left_of(lab))))
    assert error.reason == "cancelled"
    assert left_of(lab) == []
