"""What the policy allows: nothing but what a rule covers wholly, in no window, by no one's leave."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.model import Plan, Reversibility, Step
from worker.policy import Allowed, Denied, Freeze, Policy, Rule, assess, contradictions, judge, matches, within_blast_radius
from worker.policy.globs import overlap
from worker.records import Risk

BERLIN = ZoneInfo("Europe/Berlin")
JOBS, PLACES = ("certificates", "dns"), ("production", "staging")
ACTIONS, TARGETS = ("renew", "reload", "delete"), ("a.example.com:443", "b.example.com:443", "[2001:db8::7]:443")
GLOBS = st.sampled_from(["*", "a.*", "*.example.com:443", "[2001:db8::7]:443", "b.example.com:443", "*:443*"])


def names(of: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from([*of, "*"]), min_size=1, max_size=2).map(tuple)


RULES = st.builds(
    Rule,
    name=st.sampled_from(["one", "two", "three"]),
    jobs=names(JOBS),
    actions=names(ACTIONS),
    targets=st.lists(GLOBS, min_size=1, max_size=2).map(tuple),
    environments=names(PLACES),
    risks=st.sampled_from([(Risk.MEDIUM,), (Risk.HIGH,), (Risk.MEDIUM, Risk.HIGH), tuple(Risk)]),
    approvers=st.integers(1, 2),
    max_steps=st.integers(1, 3),
)
STEPS = st.builds(
    Step,
    id=st.sampled_from(["1", "2"]),
    action=st.sampled_from(ACTIONS),
    target=st.sampled_from(TARGETS),
    reversibility=st.sampled_from(Reversibility),
)
PLANS = st.builds(
    Plan,
    job=st.sampled_from(JOBS),
    scope=st.just(""),
    account=st.just(""),
    finding_keys=st.just(()),
    steps=st.lists(STEPS, max_size=4).map(tuple),
    rollback=st.lists(STEPS, max_size=2).map(tuple),
)


def step(
    action: str = "renew", target: str = TARGETS[0], reversibility: Reversibility = Reversibility.R2, name: str = "1"
) -> Step:
    return Step(id=name, action=action, target=target, reversibility=reversibility)


def plan(*steps: Step, rollback: tuple[Step, ...] = ()) -> Plan:
    return Plan(job="certificates", scope="", account="", finding_keys=(), steps=steps or (step(),), rollback=rollback)


def rule(**members: Any) -> Rule:
    given = {"name": "renewals", "jobs": ["certificates"], "actions": ["renew"], "environments": ["production"], **members}
    return Rule.model_validate(given)


def judged(*rules: Rule, what: Plan | None = None, environment: str = "production", risk: Risk = Risk.MEDIUM) -> Allowed | Denied:
    return judge(Policy(rules=rules), what or plan(), environment, risk)


def code(verdict: Allowed | Denied) -> str:
    return verdict.code if isinstance(verdict, Denied) else "allowed"


@given(PLANS, st.sampled_from(PLACES), st.sampled_from(Risk))
def test_without_a_rule_everything_is_denied(what: Plan, environment: str, risk: Risk) -> None:
    assert code(judge(Policy(), what, environment, risk)) == "no_rule"


@given(st.lists(RULES, max_size=3), PLANS, st.sampled_from(PLACES), st.sampled_from(Risk))
def test_what_is_allowed_lies_wholly_within_one_rule_and_no_other_demands_more(
    rules: list[Rule], what: Plan, environment: str, risk: Risk
) -> None:
    verdict = judge(Policy(rules=tuple(rules)), what, environment, risk)
    counted = max(risk, Risk.MEDIUM, key=lambda one: one.rank)

    def within(one: Rule) -> bool:
        steps = (*what.steps, *what.rollback)
        return (
            bool(what.steps)
            and matches(what.job, one.jobs)
            and matches(environment, one.environments)
            and counted in one.risks
            and all(matches(step.action, one.actions) and matches(step.target, one.targets) for step in steps)
        )

    fitting = [one for one in rules if within(one)]
    agreed = len({one.demands for one in fitting}) == 1
    small = agreed and max(len(what.steps), len(what.rollback)) <= fitting[0].max_steps
    assert isinstance(verdict, Allowed) is small
    if isinstance(verdict, Allowed):
        assert verdict.rule == fitting[0]


@given(st.lists(RULES, min_size=2, max_size=3), PLANS, st.sampled_from(PLACES), st.sampled_from(Risk))
def test_a_contradiction_that_a_plan_meets_was_foreseen_by_the_check_of_the_file(
    rules: list[Rule], what: Plan, environment: str, risk: Risk
) -> None:
    verdict = judge(Policy(rules=tuple(rules)), what, environment, risk)
    foreseen = list(contradictions(rules, jobs=JOBS, environments=PLACES))
    assert foreseen or code(verdict) != "contradiction"


@pytest.mark.parametrize(
    ("members", "environment", "risk", "missing"),
    [
        ({"jobs": ["dns"]}, "production", Risk.MEDIUM, ""),
        ({"actions": ["reload"]}, "production", Risk.MEDIUM, "without action renew"),
        ({"targets": ["b.*"]}, "production", Risk.MEDIUM, "without target a.example.com:443"),
        ({}, "staging", Risk.MEDIUM, "without environment staging"),
        ({"risks": ["medium"]}, "production", Risk.HIGH, "without high risk"),
    ],
)
def test_a_plan_beside_the_lists_of_a_rule_is_denied_and_the_nearest_rule_is_named(
    members: dict[str, Any], environment: str, risk: Risk, missing: str
) -> None:
    verdict = judged(rule(**members), environment=environment, risk=risk)
    assert isinstance(verdict, Denied)
    assert verdict.code == "no_rule"
    assert verdict.why.endswith(missing)


def test_one_step_or_one_step_back_beside_the_rule_denies_the_whole_plan() -> None:
    assert code(judged(rule(), what=plan(step(), step("delete", name="2")))) == "no_rule"
    assert code(judged(rule(), what=plan(step(), rollback=(step("delete"),)))) == "no_rule"


def test_two_rules_that_cover_a_half_each_do_not_cover_the_whole() -> None:
    assert code(judged(rule(), rule(name="b", actions=["reload"]), what=plan(step(), step("reload", name="2")))) == "no_rule"


@pytest.mark.parametrize("difference", [{"approvers": 2}, {"people": ["ana"]}, {"max_steps": 1}, {"max_percentage": 10}])
def test_rules_that_contradict_each_other_deny_what_both_cover(difference: dict[str, Any]) -> None:
    verdict = judged(rule(), rule(name="other", **difference))
    assert isinstance(verdict, Denied)
    assert (verdict.code, "renewals and other" in verdict.why) == ("contradiction", True)


def test_rules_that_agree_allow_by_the_first() -> None:
    verdict = judged(rule(people=["ana", "ben"]), rule(name="other", people=["ben", "ana"]))
    assert isinstance(verdict, Allowed)
    assert verdict.rule.name == "renewals"


def test_more_steps_than_the_rule_allows_are_denied_forth_and_back() -> None:
    three = tuple(step(name=str(number)) for number in range(3))
    assert code(judged(rule(max_steps=3), what=plan(*three))) == "allowed"
    assert code(judged(rule(max_steps=2), what=plan(*three))) == "too_many_steps"
    assert code(judged(rule(max_steps=2), what=plan(step(), rollback=three))) == "too_many_steps"


def test_a_plan_without_steps_is_denied_by_the_widest_rule() -> None:
    nothing = Plan(job="certificates", scope="", account="", finding_keys=(), steps=())
    assert code(judged(rule(actions=["*"]), what=nothing)) == "no_rule"
    assert assess(nothing, "production").risk is Risk.MEDIUM


@given(PLANS, st.sampled_from(PLACES))
def test_no_plan_counts_for_less_than_medium_risk_and_every_step_is_a_reason(what: Plan, environment: str) -> None:
    found = assess(what, environment)
    worst = max((one.reversibility.value for one in (*what.steps, *what.rollback)), default="R2")
    assert found.risk is (Risk.HIGH if worst == "R3" else Risk.MEDIUM)
    assert len(found.reasons) >= len(what.steps) + len(what.rollback) + 1


@pytest.mark.parametrize("members", [{"approvers": 0}, {"approvers": -1}, {"approvers": True}, {"risks": ["low"]}, {"jobs": []}])
def test_a_rule_that_needs_nobody_or_covers_nothing_is_no_rule(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**members)


@pytest.mark.parametrize(
    ("changed", "entries", "percentage", "allowed"),
    [
        (1, 1, 1, True),
        (1, 1000, 1, True),
        (2, 2, 100, True),
        (2, 20, 10, True),
        (3, 20, 10, False),
        (2, 19, 10, False),
        (2, 0, 100, False),
        (101, 100, 100, False),
    ],
)
def test_no_more_than_the_share_of_entries_is_changed_in_a_day_though_one_always_may(
    *, changed: int, entries: int, percentage: int, allowed: bool
) -> None:
    verdict = within_blast_radius(rule(max_percentage=percentage), changed=changed, entries=entries)
    assert (verdict is None) is allowed
    assert verdict is None or verdict.code == "blast_radius"


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("*", "", True),
        ("*.example.com:443", "a.example.com:443", True),
        ("*.example.com:443", "a.example.com:4430", False),
        ("[2001:db8::7]:443", "[2001:db8::7]:443", True),
        ("[2001:db8::7]:443", "2:443", False),
        ("a?c", "abc", False),
        ("a.c", "abc", False),
        ("a*c*e", "abcde", True),
        ("a*c*e", "abdce\ne", True),
        ("**", "anything", True),
        ("renew", "Renew", False),
        ("renew", "renew\n", False),
    ],
)
def test_in_a_glob_only_the_star_stands_for_more_than_itself(*, glob: str, text: str, expected: bool) -> None:
    assert matches(text, [glob]) is expected


@given(st.text("ab*", max_size=5), st.text("ab*", max_size=5))
def test_two_globs_overlap_exactly_when_some_text_is_meant_by_both(one: str, other: str) -> None:
    # What two such globs share, they share in a text that is no longer than their letters together: `aaaa*` and `*bbbb`.
    texts = {"".join(chars) for length in range(9) for chars in product("ab", repeat=length)}
    both = any(matches(text, [one]) and matches(text, [other]) for text in texts)
    assert overlap([one], [other]) is both


def weekly(days: list[str], start: str = "00:00", end: str = "00:00", timezone: str = "Europe/Berlin") -> Freeze:
    return Freeze.model_validate({"name": "f", "days": days, "start": start, "end": end, "timezone": timezone})


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("freeze", "at", "holds"),
    [
        (weekly(["fri"], "16:00", "18:00"), berlin("2026-11-20 15:59:59"), False),
        (weekly(["fri"], "16:00", "18:00"), berlin("2026-11-20 16:00"), True),
        (weekly(["fri"], "16:00", "18:00"), berlin("2026-11-20 18:00"), False),
        (weekly(["fri"], "16:00", "18:00"), berlin("2026-11-19 17:00"), False),
        # Over midnight: it belongs to the day on which it starts.
        (weekly(["fri"], "22:00", "06:00"), berlin("2026-11-20 05:00"), False),
        (weekly(["fri"], "22:00", "06:00"), berlin("2026-11-20 23:00"), True),
        (weekly(["fri"], "22:00", "06:00"), berlin("2026-11-21 05:59"), True),
        (weekly(["fri"], "22:00", "06:00"), berlin("2026-11-21 06:00"), False),
        (weekly(["sun"], "22:00", "06:00"), berlin("2026-11-23 03:00"), True),
        (weekly(["fri"], "22:00"), berlin("2026-11-20 23:59"), True),
        (weekly(["fri"], "22:00"), berlin("2026-11-21 00:00"), False),
        # Whole days, in the zone of the window.
        (weekly(["sat", "sun"]), berlin("2026-11-20 23:59"), False),
        (weekly(["sat", "sun"]), berlin("2026-11-21 00:00"), True),
        (weekly(["sat", "sun"]), berlin("2026-11-22 23:59"), True),
        (weekly(["sat", "sun"]), berlin("2026-11-23 00:00"), False),
        # The clocks go back on 25 October at 03:00: the hour from 02:00 comes twice, and the window lasts through both.
        (weekly(["sun"], "01:00", "02:30"), berlin("2026-10-25 02:29"), True),
        (weekly(["sun"], "01:00", "02:30"), berlin("2026-10-25 02:45"), True),
        (weekly(["sun"], "01:00", "02:30"), berlin("2026-10-25 02:29", fold=1), True),
        (weekly(["sun"], "01:00", "02:30"), berlin("2026-10-25 02:30", fold=1), False),
        (weekly(["sun"], "02:30", "04:00"), berlin("2026-10-25 02:15", fold=1), True),
        # They go forward on 29 March at 02:00: 02:30 never comes.
        (weekly(["sun"], "01:00", "02:30"), berlin("2026-03-29 01:59"), True),
        (weekly(["sun"], "01:00", "02:30"), berlin("2026-03-29 03:00"), False),
        (weekly(["sun"], "02:30", "04:00"), berlin("2026-03-29 03:00"), True),
        (weekly(["sun"], "02:15", "02:45"), berlin("2026-03-29 03:00"), False),
    ],
)
def test_a_weekly_freeze_holds_from_its_first_start_to_its_last_end(*, freeze: Freeze, at: datetime, holds: bool) -> None:
    assert freeze.holds(at) is holds


@given(
    days=st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
    start=st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
    minutes=st.integers(1, 24 * 60),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
)
def test_in_a_zone_without_summer_time_a_freeze_is_as_long_as_it_says(
    days: set[str], start: time, minutes: int, at: datetime
) -> None:
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    end = (datetime.combine(midnight.date(), start) + timedelta(minutes=minutes)).time()
    freeze = weekly(sorted(days), f"{start:%H:%M}", f"{end:%H:%M}", "UTC")
    begun = [datetime.combine(at.date() - timedelta(days=back), start, UTC) for back in (0, 1)]
    expected = any(f"{one:%a}".lower() in days and one <= at < one + timedelta(minutes=minutes) for one in begun)
    assert freeze.holds(at) is expected


def test_a_freeze_between_two_instants_holds_in_its_environments_only() -> None:
    once = {"name": "sales", "environments": ["prod*"], "from": "2026-11-26T00:00:00+01:00", "until": "2026-11-30T00:00:00+01:00"}
    policy = Policy(freezes=(Freeze.model_validate(once),))
    begins, until = datetime(2026, 11, 25, 23, tzinfo=UTC), datetime(2026, 11, 29, 23, tzinfo=UTC)
    found = [
        policy.frozen("production", at) for at in (begins - timedelta(seconds=1), begins, until - timedelta(seconds=1), until)
    ]
    assert found == [None, "sales", "sales", None]
    assert policy.frozen("staging", begins) is None


def expiring(**members: Any) -> Policy:
    hours = {"timezone": "Europe/Berlin", "holidays": [date(2026, 12, 24), date(2026, 12, 25)]}
    return Policy.model_validate({"working_hours": hours, **members})


@pytest.mark.parametrize(
    ("asked", "expires"),
    [
        ("2026-11-19 02:30", "2026-11-19 17:00"),
        ("2026-11-19 10:00", "2026-11-20 17:00"),
        ("2026-11-20 10:00", "2026-11-23 17:00"),
        ("2026-11-21 02:30", "2026-11-23 17:00"),
        ("2026-12-23 12:00", "2026-12-28 17:00"),
        ("2026-03-27 20:00", "2026-03-30 17:00"),
    ],
)
def test_a_request_expires_at_the_end_of_the_deciders_next_working_day(asked: str, expires: str) -> None:
    expires_at, remind_at = expiring().expiry(berlin(asked))
    assert (expires_at, remind_at) == (berlin(expires), berlin(expires) - timedelta(hours=2))


@pytest.mark.parametrize(
    ("asked", "expires"),
    [
        ("2026-11-19 10:00", "2026-11-19 14:00"),
        ("2026-11-20 15:00", "2026-11-23 11:00"),
        ("2026-12-23 15:00", "2026-12-28 11:00"),
        ("2026-12-25 12:00", "2026-12-28 13:00"),
    ],
)
def test_time_to_decide_is_counted_in_working_hours(asked: str, expires: str) -> None:
    assert expiring(expires_after="4h").expiry(berlin(asked))[0] == berlin(expires)


def test_nobody_is_reminded_of_what_was_asked_this_moment() -> None:
    assert expiring(expires_after="1h").expiry(berlin("2026-11-19 10:00"))[1] is None


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    after=st.sampled_from([None, "1m", "4h", "3d"]),
)
def test_a_request_never_expires_at_once_nor_outside_of_working_time(at: datetime, after: str | None) -> None:
    policy = expiring(expires_after=after)
    expires_at, remind_at = policy.expiry(at)
    wall = expires_at.astimezone(BERLIN)
    assert expires_at > at
    assert remind_at is None or at < remind_at < expires_at
    assert wall.weekday() < 5
    assert wall.date() not in policy.working_hours.holidays
    assert time(9) < wall.time() <= time(17)
