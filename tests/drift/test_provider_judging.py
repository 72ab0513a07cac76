"""From events, and how the command ended, to a look: the ways of ending that are hard to bring about."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import StackError
from tasks.masking import Mask
from tasks.providers.pulumi.backends import Checkpoint
from tasks.providers.pulumi.checkpoint import Deployment, parse
from tasks.providers.pulumi.events import LONGEST_LINE_BYTES, UNREADABLE, Event, read_events
from tasks.providers.pulumi.judging import judge
from tasks.providers.pulumi.looking import Seen
from tasks.providers.pulumi.masking import Masker
from tasks.providers.pulumi.running import EndedBy, Ran
from tasks.stacks import Backend, Look, Looked, Stack
from tests.drift.providing import mac

STACK = Stack(organization="organization", project="lab", name="dev", backend=Backend(url="file:///states"), source=None)
A, B = (f"urn:pulumi:dev::lab::fakecloud:index:Server::{name}" for name in "ab")
SUMMARY = {"summaryEvent": {"result": "succeeded"}}


def resource(urn: str, operation: str = "same", **members: Any) -> dict[str, Any]:
    side = {
        "type": "fakecloud:index:Server",
        "urn": urn,
        "custom": True,
        "id": urn[-1],
        "inputs": {"size": 1},
        "outputs": {"size": 1},
    }
    metadata = {"op": operation, "urn": urn, "type": "fakecloud:index:Server", "old": side, "new": side, **members}
    return {"resOutputsEvent": {"metadata": metadata}}


def diagnostic(urn: str, words: str, severity: str = "error") -> dict[str, Any]:
    return {"diagnosticEvent": {"urn": urn, "message": words, "severity": severity}}


def deployment() -> Deployment:
    resources = [{"urn": urn, "type": "fakecloud:index:Server", "custom": True} for urn in (A, B)]
    content = json.dumps({"checkpoint": {"latest": {"resources": resources}}}).encode()
    return parse(Checkpoint(content=content, updated_at=None), "a state")


def judged(
    folder: Path,
    *events: Mapping[str, Any],
    code: int | None = 0,
    ended_by: EndedBy = "itself",
    looked: Looked = Looked.D,
    stderr: str = "",
) -> Look:
    log = folder / "events"
    log.write_text(
        "".join(json.dumps({"sequence": 0, "timestamp": 0, **event}, separators=(",", ":")) + "\n" for event in events)
    )
    for name, text in (("stdout", ""), ("stderr", stderr)):
        (folder / name).write_text(text)
    ran = Ran(exit_code=code, ended_by=ended_by, stdout=folder / "stdout", stderr=folder / "stderr", elapsed=timedelta(seconds=7))
    known = deployment()
    seen = Seen(looked, known, Masker(mac, known.secret_paths, Mask.of(["granted-value"]))).read(log)
    return judge(STACK, seen, ran, ())


def test_a_look_that_is_too_long_tells_what_it_saw_and_what_not(tmp_path: Path) -> None:
    gone = resource(A, "delete", new=None)
    look = judged(tmp_path, gone, code=None, ended_by="timeout")
    assert ([one.urn for one in look.changes], look.complete, look.exit_code) == ([A], False, -1)
    assert [(one.urn, one.reason) for one in look.failed] == [(B, "timed_out")]


def test_what_a_failed_look_did_not_reach_is_named(tmp_path: Path) -> None:
    look = judged(tmp_path, resource(A), code=1)
    assert (look.same, look.complete) == (1, False)
    assert [(one.urn, one.reason) for one in look.failed] == [(B, "not_reached")]


@pytest.mark.parametrize("looked", [Looked.U, Looked.R])
def test_a_program_that_did_not_come_to_its_end_counts_for_nothing(tmp_path: Path, looked: Looked) -> None:
    look = judged(tmp_path, resource(A, "create", old=None), diagnostic(B, "403 Forbidden"), code=1, looked=looked)
    assert (look.changes, look.same, look.complete) == ((), 0, False)
    assert [(one.urn, one.reason) for one in look.failed] == [(B, "read_denied")]


def test_a_signal_from_outside_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(StackError) as failed:
        judged(tmp_path, resource(A), resource(B), code=None, ended_by="signal")
    assert (failed.value.reason, failed.value.retryable) == ("failed", True)


def test_a_log_without_an_end_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="has no end"):
        judged(tmp_path, resource(A), resource(B))


def test_a_failure_tells_its_words_without_secrets(tmp_path: Path) -> None:
    with pytest.raises(StackError) as failed:
        judged(tmp_path, code=255, stderr="error: the token granted-value is bad")
    assert str(failed.value) == "organization/lab/dev: pulumi ended with exit code 255: error: the token *** is bad"


def test_an_unknown_operation_is_not_lost_and_no_change(tmp_path: Path) -> None:
    look = judged(tmp_path, resource(A, "diff"), resource(B), SUMMARY)
    assert (look.changes, look.same, look.seen, look.complete) == ((), 1, (B,), False)
    assert [(one.urn, one.reason) for one in look.failed] == [(A, "not_reached")]


def test_a_look_that_ends_well_and_leaves_a_resource_out_is_not_complete(tmp_path: Path) -> None:
    look = judged(tmp_path, resource(A), SUMMARY)
    assert (look.complete, [(one.urn, one.reason) for one in look.failed]) == (False, [(B, "not_reached")])


PROTECTED = f'unable to replace resource "{A}"\nas it is currently marked for protection.'
REFUSED = [
    resource(A, "replace"),
    resource(B, "delete", new=None),
    diagnostic(A, PROTECTED),
    diagnostic("", "error: preview failed"),
    {"summaryEvent": {"result": "failed"}},
]


@pytest.mark.parametrize("looked", [Looked.U, Looked.R])
def test_a_preview_that_only_refuses_what_is_protected_counts_and_says_what_it_refused(tmp_path: Path, looked: Looked) -> None:
    look = judged(tmp_path, *REFUSED, code=1, looked=looked)
    assert [(one.urn, one.operation) for one in look.changes] == [(A, "replace"), (B, "delete")]
    assert (look.complete, [(one.urn, one.reason) for one in look.failed]) == (False, [(A, "protected")])


@pytest.mark.parametrize(
    "besides",
    [
        diagnostic("", "running program: it failed"),
        diagnostic(A, "another error of the same resource"),
        {"resOpFailedEvent": {"metadata": {"op": "refresh", "urn": B}}},
    ],
)
def test_a_refusal_beside_another_error_counts_for_nothing(tmp_path: Path, besides: dict[str, Any]) -> None:
    try:
        look = judged(tmp_path, *REFUSED, besides, code=1, looked=Looked.R)
    except StackError as error:
        assert error.reason == "program_failed"  # noqa: PT017 - either is no verdict
    else:
        assert (look.changes, look.complete) == ((), False)


def test_of_providers_and_components_d_tells_nothing(tmp_path: Path) -> None:
    """With `--run-program` Pulumi says `update` of them, though nothing differs."""
    provider = "urn:pulumi:dev::lab::pulumi:providers:fakecloud::default_1_0_0"
    look = judged(tmp_path, resource(provider, "update"), resource(A), resource(B), SUMMARY)
    assert (look.changes, look.same, look.complete) == ((), 2, True)


def test_a_line_that_was_cut_and_one_that_is_not_utf_8_do_not_stop_the_reading(tmp_path: Path) -> None:
    log = tmp_path / "events"
    whole = json.dumps({"sequence": 1, "timestamp": 1, **resource(A, "update")}, separators=(",", ":")).encode()
    log.write_bytes(whole.replace(b'"size":1', b'"size":"\xff"') + b"\n" + whole[:90])
    [event, cut] = read_events(log, wanted=lambda *_: True)
    assert cut == Event(UNREADABLE, None)
    assert event.body is not None
    assert event.body["metadata"]["old"]["inputs"] == {"size": "\ufffd"}


def test_a_line_too_long_to_be_held_is_skipped_and_the_look_is_not_complete(tmp_path: Path) -> None:
    log = tmp_path / "events"
    long = json.dumps({"sequence": 1, "timestamp": 1, **resource(A, id="x" * LONGEST_LINE_BYTES)})
    log.write_text(f"{long}\n{json.dumps({'sequence': 2, 'timestamp': 1, **SUMMARY})}\n")
    assert [one.kind for one in read_events(log, wanted=lambda *_: True)] == [UNREADABLE, "summaryEvent"]


@pytest.mark.parametrize("looked", list(Looked))
def test_a_look_with_a_line_that_nobody_can_read_is_not_complete(tmp_path: Path, looked: Looked) -> None:
    known = deployment()
    (tmp_path / "stdout").touch()
    (tmp_path / "stderr").touch()
    lines = [json.dumps(one) for one in (resource(A), resource(B), SUMMARY)]
    (tmp_path / "events").write_text("\n".join([lines[0], '{"resOutputsEvent": {"meta', *lines[1:], ""]))
    seen = Seen(looked, known, Masker(mac, known.secret_paths, Mask.of([]))).read(tmp_path / "events")
    ended = timedelta(seconds=1)
    ran = Ran(exit_code=0, ended_by="itself", stdout=tmp_path / "stdout", stderr=tmp_path / "stderr", elapsed=ended)
    assert judge(STACK, seen, ran, ()).complete is False


def test_events_in_another_order_of_members_are_read_too(tmp_path: Path) -> None:
    log = tmp_path / "events"
    log.write_text(json.dumps({**resource(A), "sequence": 1, "timestamp": 1}) + "\n")
    [event] = read_events(log, wanted=lambda *_: False)
    assert (event.kind, event.operation, event.urn) == ("resOutputsEvent", "same", A)


def test_no_log_is_no_events(tmp_path: Path) -> None:
    assert list(read_events(tmp_path / "none", wanted=lambda *_: True)) == []
