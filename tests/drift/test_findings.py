"""One finding per cause: how it reads, how bad it is, and when it is news."""

import json
from datetime import timedelta

import pytest

from tasks.model import Finding, Severity
from tasks.stacks import Look, ResourceChange
from tests.drift.made import change, gone, held_since, look, prop, resource, size, state
from tests.drift.nights import D, Nights, R, U, entry, findings, told

MANY = [f"n{number}" for number in range(12)]


def drifting(*changes: ResourceChange, **more: object) -> Nights:
    names = sorted({one.name for one in changes} | set(MANY))
    stack = state(*(resource(name, kind=kind_of(changes, name)) for name in names))
    return Nights(entries=[entry(**more)]).sees(d=look(D, *changes), r=wanting(*changes), of=stack)


def kind_of(changes: tuple[ResourceChange, ...], name: str) -> str:
    return next((one.type for one in changes if one.name == name), "fakecloud:index:Thing")


def wanting(*changes: ResourceChange) -> Look:
    back = [
        change(one.name, *one.properties, operation="update" if one.properties else "create", kind=one.type) for one in changes
    ]
    return look(R, *back, refreshed=changes)


def only(nights: Nights) -> Finding:
    [finding] = findings(nights.night())
    return finding


def test_a_drift_shows_desired_last_known_actual_and_since_when() -> None:
    nights = Nights().sees(d=look(D, size("a", 1, 9)), r=look(R, size("a", 9, 1), refreshed=[size("a", 1, 9)]))
    first, second = only(nights), only(nights)
    assert (first.desired, first.actual, first.cause, first.subject) == (1, 9, None, "lab/dev")
    assert second.key == first.key
    assert second.evidence["since"] == "2026-11-21T02:14:00+00:00"
    assert second.evidence["changes"] == [
        {
            "urn": size("a", 1, 9).urn, "name": "a", "type": "fakecloud:index:Thing", "path": "size", "kind": "update",
            "desired": 1, "last_known": 1, "actual": 9, "secret": False, "why": "the program still says what the state has",
            "in_cloud": True,
        }
    ]  # fmt: skip
    assert second.evidence["last_update"] == {"at": "2026-11-20T15:00:00+00:00", "commit": "c0ffee", "dirty": False}


def test_twelve_resources_that_changed_alike_are_one_finding() -> None:
    nights = drifting(*(change(name, prop("tags.cost", None, "x", "add")) for name in MANY))
    assert told(nights.night()) == ["drift: lab/dev: 12 resources (n0, n1, n10 and 9 more): tags.cost added"]


def test_two_different_changes_are_two_findings() -> None:
    assert len(findings(drifting(size("n1", 1, 9), change("n2", prop("label", "x", "y"))).night())) == 2


def test_known_drift_that_moves_on_or_spreads_is_news() -> None:
    keys = {
        only(drifting(*changes)).key
        for changes in ([size("n1", 1, 9)], [size("n1", 1, 31)], [size("n1", 1, 9), size("n2", 1, 9)])
    }
    assert len(keys) == 3


def test_a_secret_that_drifted_never_shows_its_value() -> None:
    secret = change("n1", prop("password", masked="hmac"))
    finding = only(drifting(secret))
    assert finding.title == "lab/dev: n1 (Thing): password differs (secret)"
    assert (finding.desired, finding.actual) == ("(secret)", "(secret)")


@pytest.mark.parametrize(
    ("drifted", "severity"),
    [
        (size("n1", 1, 9), Severity.MEDIUM),
        (change("n1", prop("tags.team", "a", "b")), Severity.LOW),
        (change("n1", prop("ingress[0].cidrBlocks[0]", "10.0.0.0/8", "0.0.0.0/0")), Severity.HIGH),
        (change("n1", prop("name", "a", "b"), kind="aws:iam/role:Role"), Severity.HIGH),
        (gone("n1"), Severity.HIGH),
        (change("n1", operation="delete", kind="aws:rds/instance:Instance"), Severity.CRITICAL),
    ],
)
def test_how_bad_it_is_depends_on_type_and_property(drifted: ResourceChange, severity: Severity) -> None:
    nights = drifting(drifted, size("n2", 1, 1) if drifted.type.startswith("aws:rds") else drifted)
    assert severity in {one.severity for one in findings(nights.night())}


def test_the_operators_own_rules_come_first() -> None:
    rules = [{"type": "fakecloud:*", "path": "size", "severity": "critical"}]
    assert only(drifting(size("n1", 1, 9), severity=rules)).severity is Severity.CRITICAL


def test_what_a_rule_ignores_is_not_told_until_the_rule_ends() -> None:
    rule = {"path": "size", "reason": "the autoscaler's own", "until": "2026-11-22"}
    nights = drifting(size("n1", 1, 9), ignore=[rule])
    assert [told(nights.night()) for _ in range(3)] == [[], [], ["drift: lab/dev: n1 (Thing): size 1 → 9"]]


def test_a_conflict_says_both_sides_and_a_person_decides() -> None:
    both = look(R, size("a", 9, 5), refreshed=[size("a", 1, 9)])
    nights = Nights().sees(d=look(D, size("a", 1, 9)), u=look(U, size("a", 1, 5)), r=both)
    assert told(nights.night()) == ["conflict: lab/dev: a (Thing): size 1 → 9; the program says 5"]


def test_a_cloud_that_is_as_the_program_says_is_mild() -> None:
    nights = Nights().sees(d=look(D, size("a", 1, 9)), u=look(U, size("a", 1, 9)), r=look(R, refreshed=[size("a", 1, 9)]))
    finding = only(nights)
    assert (finding.title, finding.severity) == ("lab/dev: a (Thing): size 1 → 9, as the program says", Severity.LOW)


def test_a_provider_upgrade_has_the_same_cause_in_every_stack() -> None:
    causes = set()
    for stack in ("dev", "prod"):
        new = [change(name, prop("tier", None, "basic", "add"), version="1.1.0") for name in "abc"]
        nights = Nights(entries=[entry()]).sees(u=look(U, *new), r=look(R, *new))
        finding = only(nights)
        causes.add(finding.cause)
        assert (finding.reason, finding.severity) == ("provider_upgrade", Severity.INFO), stack
    assert causes == {"provider_upgrade:fakecloud 1.0.0 → 1.1.0"}


def test_noise_is_told_once_and_softly() -> None:
    nights = Nights().sees(r=look(R, size("a", 1, 2), size("b", 1, 3)))
    assert [(one.reason, one.severity) for one in findings(nights.night())] == [("noise", Severity.INFO)]


def test_a_property_that_keeps_flipping_is_told_as_that() -> None:
    nights = Nights()
    reasons = []
    for night in range(6):
        on = night % 2 == 0
        there = [size("a", 1, 9)] if on else []
        nights.sees(d=look(D, *there), r=look(R, *([size("a", 9, 1)] if on else []), refreshed=there))
        reasons.append([one.reason for one in findings(nights.night())])
    assert reasons == [["drift"], [], ["drift"], [], ["flapping"], ["flapping"]]


def test_flipping_is_forgotten_after_two_quiet_weeks() -> None:
    nights = Nights()
    for night in range(6):
        there = [size("a", 1, 9)] if night % 2 == 0 else []
        nights.sees(d=look(D, *there), r=look(R, *there, refreshed=there))
        nights.night()
    nights.clock.advance(timedelta(days=15))
    nights.sees(d=look(D), r=look(R))
    assert told(nights.night()) == []


def test_an_old_lock_and_pending_operations_are_findings_of_their_own() -> None:
    nights = Nights()
    since = nights.clock.now - timedelta(hours=7)
    nights.sees(of=state(lock=held_since(since), pending=["creating urn:pulumi:dev::lab::x:y:Z::q"]))
    assert told(nights.night()) == [
        "stack_locked: lab/dev: locked by ana@laptop since 2026-11-20 19:14 UTC",
        "pending_operations: lab/dev: 1 operations were begun and not finished: creating urn:pulumi:dev::lab::x:y:Z::q",
    ]


def test_a_young_lock_is_somebody_at_work() -> None:
    nights = Nights()
    nights.sees(of=state(lock=held_since(nights.clock.now - timedelta(minutes=5))))
    assert told(nights.night()) == []


def test_what_a_look_cannot_see_is_counted() -> None:
    stack = state(resource("a", ignored=["label"]), resource("b"), resource("c", kind="pulumi-python:dynamic:Resource"))
    nights = Nights().sees(of=stack)
    [answer] = nights.night()
    assert "50 % of 6 properties observable" in str(getattr(answer, "summary", ""))
    assert json.dumps(answer.evidence["coverage"])


def test_ten_thousand_drifted_resources_are_told_in_bounds() -> None:
    names = [f"m{number}" for number in range(10_000)]
    d = look(D, *(size(name, 1, 9) for name in names))
    r = look(R, *(size(name, 9, 1) for name in names), refreshed=d.changes)
    finding = only(Nights().sees(d=d, r=r, of=state(*(resource(name) for name in names))))
    assert finding.evidence["changes_count"] == 10_000
    assert len(json.dumps([finding.evidence, finding.desired, finding.actual])) < 60_000
