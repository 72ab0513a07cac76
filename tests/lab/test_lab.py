"""The laboratory is what it says: its copies are stacks, its books are true, its throttle holds."""

from pathlib import Path

import pytest

from tests.lab.cloud import Cloud, Counts
from tests.lab.lab import Lab
from tests.lab.program import Program, Resource, secret

PROGRAM = Program(
    resources={"a": Resource(properties={"size": 1, "password": secret("hush")}), "b": Resource(properties={"size": 2})}
)


def test_a_copy_of_a_stack_is_a_stack_of_its_own(lab: Lab) -> None:
    original = lab.stack(PROGRAM, "first")
    [second, third] = lab.copies(original, ["second", "third"])
    lab.cloud.change(second.id("a"), size=9)

    def steps(name: str, *words: str) -> dict[str, str]:
        [stack] = [one for one in (original, second, third) if one.name == name]
        return lab.run(stack, *words).steps()

    assert steps("second", "refresh", "--preview-only") == {"a": "update", "b": "same"}
    assert steps("third", "refresh", "--preview-only") == {"a": "same", "b": "same"}
    assert steps("third", "preview") == {"a": "same", "b": "same"}
    assert steps("first", "refresh", "--preview-only") == {"a": "same", "b": "same"}
    assert lab.run(third, "up", "--yes", "--skip-preview").exit_code == 0
    assert lab.cloud.counts() == Counts(create=2, read=6)


def test_a_change_may_be_seen_late_and_a_lie_is_told_once(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    made = cloud.create("main", "one", {"size": 1})
    cloud.change(made, size=9, seen_after_reads=1)
    assert [cloud.read("main", made) for _ in range(3)] == [{"size": 1}, {"size": 9}, {"size": 9}]
    cloud.answer(made, None)
    assert [cloud.read("main", made) for _ in range(2)] == [None, {"size": 9}]
    assert cloud.create("main", "one", {}) == "one-2"


def test_a_throttle_counts_one_account_and_refuses_whom_it_would_keep_waiting(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.turn("slow", requests_per_second=0.1, throttle_patience_seconds=15.0)
    waits = [cloud.wait_for_throttle("slow", cloud.knobs("slow")) for _ in range(3)]
    assert waits[0] == 0.0
    assert 5.0 < waits[1] <= 10.0
    assert waits[2] == -1.0
    assert cloud.wait_for_throttle("main", cloud.knobs("main")) == 0.0


def test_a_knob_that_there_is_not_is_an_error_where_it_is_turned(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'latency'"):
        Cloud(tmp_path).turn(latency=1)
