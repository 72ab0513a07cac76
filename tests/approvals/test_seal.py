"""The seal: the same plan is the same bytes, another plan is another digest, and what cannot be said is refused."""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model import Plan, Reversibility, Step
from worker.seal import HEADER, OldSeal, Sealed, moved, seal, unseal

BIGGEST = 2**53 - 1
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-BIGGEST, BIGGEST) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=5)

STEP = Step(
    id="renew",
    action="renew",
    target="shop.example.com:443",
    arguments={"argv": ["certbot", "renew"], "timeout": 60},
    before={"192.0.2.7:443": "aa11"},
    after={"expires_later": True},
    precondition="aa11",
    reversibility=Reversibility.R2,
    depends_on=(),
)
PLAN = Plan(
    job="certificates",
    scope="shop.example.com",
    account="root@farm",
    finding_keys=("b", "a"),
    steps=(STEP, replace(STEP, id="reload", action="reload", depends_on=("renew",))),
    rollback=(replace(STEP, id="back", action="restore"),),
    parameters={"reload": True},
)


def sealed(plan: Plan = PLAN, *, subject: str = "shop", cause: str = "expires_soon", rule: str = "renewals") -> Sealed:
    return seal(plan, subject=subject, cause=cause, rule=rule)


def changed(value: Any, name: str, to: Any) -> Any:
    """A plan or a step with another member."""
    return replace(value, **{name: to})


def with_parameters(parameters: Mapping[str, Any]) -> Plan:
    return replace(PLAN, parameters=parameters)


def shuffled(value: Any) -> Any:
    """The same JSON with every object's members in another order."""
    if isinstance(value, dict):
        return {name: shuffled(member) for name, member in reversed(value.items())}
    return [shuffled(member) for member in value] if isinstance(value, list) else value


def test_the_bytes_are_those_written_down_and_the_digest_is_theirs() -> None:
    plan = Plan(
        job="dns", scope="example.com", account="", finding_keys=("k2", "k1"), steps=(Step(id="1", action="set", target="www"),)
    )
    expected = (
        b"nightshift-plan-v1\n"
        b'{"account":"","cause":"c","findings":["k1","k2"],"job":"dns","parameters":{},"rollback":[],"rule":"r","scope":"example.com",'
        b'"steps":[{"action":"set","after":null,"arguments":{},"before":null,"depends_on":[],"id":"1","precondition":"",'
        b'"reversibility":"R3","target":"www"}],"subject":"s"}'
    )
    made = seal(plan, subject="s", cause="c", rule="r")
    assert made.content == expected
    assert made.digest == hashlib.sha256(expected).hexdigest()


@given(OBJECTS)
def test_the_order_of_members_and_of_finding_keys_changes_nothing(parameters: dict[str, Any]) -> None:
    one = replace(with_parameters(parameters), finding_keys=("a", "b"))
    other = replace(with_parameters(shuffled(parameters)), finding_keys=("b", "a"))
    assert sealed(one).content == sealed(other).content


@given(OBJECTS)
def test_what_was_sealed_comes_back_and_seals_to_the_same_bytes(parameters: dict[str, Any]) -> None:
    first = sealed(with_parameters(parameters))
    again = unseal(first.content)
    assert sealed(again.plan).content == first.content
    assert (again.subject, again.cause, again.rule, again.digest) == ("shop", "expires_soon", "renewals", first.digest)
    assert replace(again.plan, parameters={}) == replace(first.plan, parameters={}, finding_keys=("a", "b"))


@given(OBJECTS, OBJECTS)
def test_different_plans_have_different_digests_and_a_line_that_says_what_moved(a: dict[str, Any], b: dict[str, Any]) -> None:
    one, other = sealed(with_parameters(a)), sealed(with_parameters(b))
    same = one.content == other.content
    assert (one.digest == other.digest) is same
    assert (moved(one.content, other.content) == []) is same


STEP_CHANGES: Mapping[str, Any] = {
    "id": "renew2",
    "action": "replace",
    "target": "shop.example.com:8443",
    "arguments": {"argv": ["certbot", "renew", "--force"], "timeout": 60},
    "before": {"192.0.2.7:443": "bb22"},
    "after": {"expires_later": False},
    "precondition": "bb22",
    "reversibility": Reversibility.R3,
    "depends_on": ("other",),
}
PLAN_CHANGES: Mapping[str, Any] = {
    "job": "dns",
    "scope": "mail.example.com",
    "account": "deploy@farm",
    "finding_keys": ("a",),
    "steps": PLAN.steps[::-1],
    "rollback": (),
    "parameters": {"reload": False},
}


def test_every_member_of_a_plan_and_of_a_step_is_changed_by_the_tests_below() -> None:
    assert {field.name for field in fields(Plan)} == set(PLAN_CHANGES)
    assert {field.name for field in fields(Step)} == set(STEP_CHANGES)


@pytest.mark.parametrize("name", PLAN_CHANGES)
def test_whatever_changes_of_a_plan_changes_the_digest(name: str) -> None:
    other = sealed(changed(PLAN, name, PLAN_CHANGES[name]))
    assert other.digest != sealed().digest
    assert moved(sealed().content, other.content)


@pytest.mark.parametrize("name", STEP_CHANGES)
@pytest.mark.parametrize("where", ["steps", "rollback"])
def test_whatever_changes_of_a_step_changes_the_digest(name: str, where: str) -> None:
    first, *rest = getattr(PLAN, where)
    other = sealed(changed(PLAN, where, (changed(first, name, STEP_CHANGES[name]), *rest)))
    assert other.digest != sealed().digest
    assert all(line.startswith(f"{where}.0.{name}") for line in moved(sealed().content, other.content))


@pytest.mark.parametrize(
    ("name", "other"), [("subject", sealed(subject="x")), ("cause", sealed(cause="x")), ("rule", sealed(rule="x"))]
)
def test_what_the_plan_stands_for_and_the_rule_it_is_asked_under_change_the_digest(name: str, other: Sealed) -> None:
    assert other.digest != sealed().digest
    assert [line.partition(":")[0] for line in moved(sealed().content, other.content)] == [name]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), BIGGEST + 1, -BIGGEST - 1, 10**400, "\ud800", {"deep": [float("nan")]}]
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"UTF-8|JSON|domain|range|exceeds"):
        sealed(with_parameters({"n": value}))


@pytest.mark.parametrize(
    "content",
    [
        b"nightshift-plan-v2\n{}",
        b"nightshift-plan-v0\n" + sealed().content.partition(b"\n")[2],
        b"",
        b"{}",
        sealed().content.removeprefix(b"n"),
        sealed().content[:-1],
        HEADER + b"{}",
        HEADER + b"[]",
        HEADER + b'"text"',
        HEADER + b"\xff",
        sealed().content.replace(b'"R2"', b'"R9"'),
        sealed().content.replace(b'"precondition"', b'"premonition"'),
    ],
)
def test_another_format_is_an_old_seal_and_no_crash(content: bytes) -> None:
    with pytest.raises(OldSeal, match="sealed"):
        unseal(content)


@given(st.binary(max_size=60), st.integers(0, 400))
def test_damaged_bytes_are_an_old_seal_or_another_digest(noise: bytes, at: int) -> None:
    content = sealed().content
    damaged = content[:at] + noise + content[at + len(noise) :]
    try:
        assert (unseal(damaged).digest == sealed().digest) is (damaged == content)
    except OldSeal:
        assert damaged != content


def test_what_moved_is_told_by_member_with_both_values() -> None:
    step = replace(STEP, before={"192.0.2.7:443": "cc33", "192.0.2.8:443": "dd44"})
    now = sealed(replace(PLAN, steps=(step, PLAN.steps[1])))
    assert moved(sealed().content, now.content) == [
        'steps.0.before."192.0.2.7:443": "aa11" → "cc33"',
        'steps.0.before."192.0.2.8:443": nothing → "dd44"',
    ]
    assert moved(sealed().content, sealed().content) == []


def test_very_much_that_moved_is_told_in_part() -> None:
    lines = moved(sealed().content, sealed(with_parameters({f"k{n}": n for n in range(80)})).content)
    assert (len(lines), lines[-1]) == (51, "and 31 more")


def _ieee(pattern: str) -> float:
    (number,) = struct.unpack(">d", bytes.fromhex(pattern))
    assert isinstance(number, float)
    return number


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_rfc_8785_appendix_b_says(pattern: str, text: str) -> None:
    made = sealed(with_parameters({"n": _ieee(pattern)}))
    assert f'"parameters":{{"n":{text}}}'.encode() in made.content
    assert sealed(unseal(made.content).plan).content == made.content


def test_members_are_sorted_and_text_is_escaped_as_rfc_8785_section_3_2_says() -> None:
    names = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(_parameters(names))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/"
    assert _parameters({"string": text}) == '{"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert _parameters({"literals": [None, True, False]}) == '{"literals":[null,true,false]}'


def _parameters(value: Mapping[str, Any]) -> str:
    head, _, rest = sealed(with_parameters(value)).content.decode().partition('"parameters":')
    assert head
    return rest.rpartition(',"rollback"')[0].partition(',"rollback":')[0]
