from datetime import UTC, datetime

import pytest

from notifications.differences import SECRET, Difference, diff_text, differences, since

SIZE = {
    "urn": "urn:pulumi:prod::shop::cloud:Bucket::logs",
    "name": "logs",
    "type": "cloud:Bucket",
    "path": "size",
    "kind": "update",
    "desired": 5,
    "last_known": 5,
    "actual": 9,
    "secret": False,
    "why": "the cloud moved",
    "in_cloud": True,
}


def test_a_change_of_a_property_has_its_three_values() -> None:
    assert differences(5, 9, {"changes": [SIZE]}, 100) == [
        Difference(
            resource="logs", type="cloud:Bucket", path="size", desired="5", last_known="5", actual="9", why="the cloud moved"
        )
    ]


def test_a_finding_without_changes_differs_in_what_it_desires() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": [4]}, {}, 100) == [
        Difference(path="b", desired="2", actual="3"),
        Difference(path="c", kind="add", actual="[4]"),
    ]
    assert differences("locked", "open", {}, 100) == [Difference(desired="locked", actual="open")]
    assert differences(None, None, {"seen": 1}, 100) == []


def test_the_value_of_a_secret_is_never_told_whatever_stands_there() -> None:
    (one,) = differences(None, None, {"changes": [{**SIZE, "secret": True, "actual": "hunter2"}]}, 100)
    assert (one.desired, one.last_known, one.actual) == (SECRET, SECRET, SECRET)


def test_long_values_are_shown_where_they_part() -> None:
    same = "x" * 5_000
    (one,) = differences(
        None, None, {"changes": [{**SIZE, "desired": same + "abc", "last_known": same + "abc", "actual": same + "abd"}]}, 60
    )
    assert one.desired == one.last_known == "…" + "x" * 22 + "abc"
    assert one.actual == "…" + "x" * 22 + "abd"
    (alike,) = differences(None, None, {"changes": [{**SIZE, "desired": same, "last_known": same, "actual": same}]}, 60)
    assert alike.actual == "x" * 59 + "…"


@pytest.mark.parametrize("told", ["text", 5, None, [], [1, "x"], {"a": 1}])
def test_evidence_of_another_shape_is_no_change(told: object) -> None:
    assert differences(None, None, {"changes": told}, 100) == []


@pytest.mark.parametrize("change", [{}, {"kind": "odd", "path": None, "actual": {"b": [1]}}, {"name": 7}])
def test_a_change_that_says_little_is_shown_as_far_as_it_goes(change: dict[str, object]) -> None:
    assert len(differences(None, None, {"changes": [change]}, 100)) == 1


def test_since_is_an_instant_or_nothing() -> None:
    assert since({"since": "2026-11-20T02:14:00+00:00"}) == datetime(2026, 11, 20, 2, 14, tzinfo=UTC)
    assert [since({"since": wrong}) for wrong in ("soon", None, 7, "2026-11-20T02:14:00")] == [None] * 4
    assert since({}) is None


def test_lines_of_a_diff_go_from_what_should_be_to_what_is() -> None:
    moved = {**SIZE, "path": "label", "desired": "new", "last_known": "old", "actual": None}
    noise = {**SIZE, "path": "colour", "in_cloud": False}
    found = differences(None, None, {"changes": [SIZE, moved, noise, SIZE]}, 100)
    assert diff_text(found, 3).splitlines() == [
        "  logs size (cloud:Bucket)",
        "- desired: 5",
        "+ actual: 9",
        "  logs label (cloud:Bucket)",
        "- desired: new",
        "  last known: old",
        "+ actual: nothing",
        "  logs colour (cloud:Bucket)",
        "- desired: 5",
        "and 1 more",
    ]
