"""Which look sees a difference tells why it is there."""

import pytest

from tasks.drift.classes import Class
from tasks.drift.classify import classify
from tasks.drift.sets import overlap
from tasks.stacks import Look, Looked, ResourceChange
from tests.drift.made import THING, change, gone, look, prop, resource, size, state, urn

D, U, R = Looked.D, Looked.U, Looked.R
NO_LOOK = None


def classes(d: Look, u: Look | None, r: Look | None, *, of: object = None) -> dict[str, Class]:
    found = classify(of or state(), d, u, r)  # type: ignore[arg-type]
    return {f"{one.resource.name}.{one.path}".rstrip("."): one.why for one in found}


@pytest.mark.parametrize(
    ("d", "u", "r", "expected"),
    [
        ([size("a", 1, 9)], [], [size("a", 9, 1)], Class.DRIFT),
        ([size("a", 1, 9)], [size("a", 1, 5)], [size("a", 9, 5)], Class.CONFLICT),
        ([size("a", 1, 9)], [size("a", 1, 9)], [], Class.ADOPTED),
        ([size("a", 1, 9)], [], [], Class.IGNORED),
        ([], [size("a", 1, 5)], [size("a", 1, 5)], Class.UNDEPLOYED),
        ([], [size("a", 1, 5)], [], Class.NOISE),
        ([], [], [size("a", 1, 5)], Class.NOISE),
    ],
)
def test_the_looks_that_see_a_difference_tell_why_it_is_there(
    d: list[ResourceChange], u: list[ResourceChange], r: list[ResourceChange], expected: Class
) -> None:
    assert classes(look(D, *d), look(U, *u), look(R, *r, refreshed=d)) == {"a.size": expected}


@pytest.mark.parametrize(
    ("u", "r", "expected"),
    [
        (NO_LOOK, NO_LOOK, Class.UNKNOWN),
        (look(U), NO_LOOK, Class.DRIFT),
        (look(U, size("a", 1, 5)), NO_LOOK, Class.CONFLICT),
        (look(U, size("a", 1, 9)), NO_LOOK, Class.ADOPTED),
        (look(U, change("a", prop("size", masked="f1"))), NO_LOOK, Class.UNKNOWN),
        (look(U, change("a")), NO_LOOK, Class.UNKNOWN),
        (NO_LOOK, look(R, size("a", 9, 1)), Class.DRIFT),
        (NO_LOOK, look(R, size("a", 9, 5)), Class.CONFLICT),
        (NO_LOOK, look(R, refreshed=[size("a", 1, 9)]), Class.UNKNOWN),
        (look(U, complete=False), look(R, complete=False), Class.UNKNOWN),
        (look(U, complete=False, seen=["a"]), NO_LOOK, Class.DRIFT),
    ],
)
def test_two_looks_give_the_third_away_only_where_values_can_be_compared(u: Look | None, r: Look | None, expected: Class) -> None:
    assert classes(look(D, size("a", 1, 9)), u, r) == {"a.size": expected}


def test_a_look_at_the_program_that_missed_what_the_cloud_shows_does_not_call_it_ignored() -> None:
    assert classes(look(D, size("a", 1, 9)), look(U), look(R)) == {"a.size": Class.DRIFT}


def test_a_resource_that_is_gone_is_drift_as_long_as_the_program_wants_it() -> None:
    [one] = classify(state(), look(D, gone("a")), look(U), look(R, change("a", operation="create")))
    assert (one.why, one.gone, one.last_known, one.actual, one.desired) == (Class.DRIFT, True, "there", "gone", "there")


def test_a_resource_that_is_gone_and_that_the_program_gave_up_is_adopted() -> None:
    given_up = look(U, change("a", operation="delete"))
    assert classes(look(D, gone("a")), given_up, look(R, refreshed=[gone("a")])) == {"a": Class.ADOPTED}


def test_differences_of_one_resource_are_told_apart_by_their_paths() -> None:
    d = look(D, change("a", prop("tags.team", "x", "y"), prop("size", 1, 9)))
    u = look(U, change("a", prop("label", "old", "new")))
    r = look(R, change("a", prop("tags.team", "y", "x"), prop("size", 9, 1), prop("label", "old", "new")))
    assert classes(d, u, r) == {"a.tags.team": Class.DRIFT, "a.size": Class.DRIFT, "a.label": Class.UNDEPLOYED}


def test_a_path_within_another_is_about_the_same_property() -> None:
    d, r = look(D, change("a", prop("tags", {"x": 1}, {}))), look(R, change("a", prop("tags.x", None, 1, "add")))
    assert classes(d, look(U), r) == {"a.tags": Class.DRIFT}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("tags", "tags.x", True),
        ("rules", "rules[0].port", True),
        ("tag", "tags", False),
        ("", "tags", True),
        ("a.b", "a.c", False),
    ],
)
def test_paths_overlap_at_the_borders_of_their_names_only(one: str, other: str, expected: bool) -> None:  # noqa: FBT001
    assert (overlap(one, other), overlap(other, one)) == (expected, expected)


def test_a_failed_read_is_never_the_same_and_what_the_program_says_of_it_stays_unknown() -> None:
    u, r = look(U, size("b", 1, 2)), look(R, complete=False)
    assert classes(look(D, size("a", 1, 9), failed=["b"], seen=["a", "c"]), u, r) == {
        "a.size": Class.DRIFT,
        "b.size": Class.UNKNOWN,
    }


def test_a_new_default_of_a_newer_provider_is_upgrade_noise_on_all_its_resources_and_a_written_change_is_not() -> None:
    new = [change(name, prop("tier", None, "basic", "add"), version="1.1.0") for name in "abc"]
    new[0] = change("a", prop("tier", None, "basic", "add"), prop("size", 1, 2), version="1.1.0")
    found = classify(state(), look(D), look(U, *new), look(R, *new))
    told = {f"{one.resource.name}.{one.path}": (one.why, str(one.upgrade)) for one in found}
    assert told == {
        "a.size": (Class.UNDEPLOYED, "fakecloud 1.0.0 → 1.1.0"),
        "a.tier": (Class.NOISE, "fakecloud 1.0.0 → 1.1.0"),
        "b.tier": (Class.NOISE, "fakecloud 1.0.0 → 1.1.0"),
        "c.tier": (Class.NOISE, "fakecloud 1.0.0 → 1.1.0"),
    }


def test_the_same_new_input_without_a_newer_provider_is_undeployed_code() -> None:
    new = [change(name, prop("tier", None, "basic", "add")) for name in "abc"]
    assert set(classes(look(D), look(U, *new), look(R, *new)).values()) == {Class.UNDEPLOYED}


def test_another_default_provider_is_upgrade_noise_itself() -> None:
    new = change("default_1_1_0", operation="create", kind="pulumi:providers:fakecloud")
    assert classes(look(D), look(U, new), look(R, new)) == {"default_1_1_0": Class.NOISE}


def test_outputs_of_the_stack_that_follow_a_repair_are_not_told() -> None:
    follows = change("lab-dev", operation="update", kind="pulumi:pulumi:Stack")
    assert classes(look(D, size("a", 1, 9)), look(U), look(R, size("a", 9, 1), follows)) == {"a.size": Class.DRIFT}


def test_what_ignore_changes_hides_is_blind_until_it_is_seen_and_then_ignored() -> None:
    stack = state(resource("a", ignored=["label"]), resource("b"))
    assert classes(look(D), look(U), look(R), of=stack) == {"a.label": Class.BLIND}
    seen = look(D, hidden=[change("a", prop("label", "x", "y"))])
    assert classes(seen, look(U), look(R), of=stack) == {"a.label": Class.IGNORED}


def test_a_provider_that_reads_nothing_back_is_blind() -> None:
    kind = "pulumi-python:dynamic:Resource"
    assert classes(look(D), look(U), look(R), of=state(resource("a", kind=kind))) == {"a": Class.BLIND}


def test_a_secret_that_differs_carries_its_fingerprint_and_no_value() -> None:
    secret = change("a", prop("password", masked="hmac:1"))
    [one] = classify(state(), look(D, secret), look(U), look(R, change("a", prop("password", masked="hmac:2"))))
    assert (one.why, one.masked, one.last_known, one.actual, one.desired) == (Class.DRIFT, True, None, None, None)


def test_a_secret_that_only_a_refreshed_state_differs_in_is_noise() -> None:
    [one] = classify(state(), look(D), look(U), look(R, change("a", prop("password", masked="hmac:1"))))
    assert (one.why, one.because) == (Class.NOISE, "a secret, which cannot be compared")


def test_every_difference_is_told_once_and_in_order() -> None:
    both = [size("b", 1, 2), change("a", prop("label", 1, 2))]
    found = classify(state(), look(D, change("c", prop("size", 1, 2), prop("label", 1, 2))), look(U, *both), look(R, *both))
    assert [one.key for one in found] == [
        f"{urn('a')}#label", f"{urn('b')}#size", f"{urn('c')}#label", f"{urn('c')}#size",
    ]  # fmt: skip


def test_a_component_has_nothing_in_a_cloud_to_be_noisy_about() -> None:
    component = resource("group", kind="lab:index:Group", custom=False)
    u_only = change("group", prop("x", 1, 2), kind="lab:index:Group")
    stack = state(resource("a", kind=THING), component)
    assert classes(look(D), look(U), look(R, u_only), of=stack) == {}
    assert classes(look(D), look(U, u_only), look(R, u_only), of=stack) == {"group.x": Class.UNDEPLOYED}
