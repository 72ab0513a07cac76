"""How risky a plan is, and whether a rule allows asking for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.model import Plan, Reversibility, Step
from worker.policy.globs import matches
from worker.policy.model import LEAST_RISK, Policy, Rule
from worker.records import Risk

_RISKS = {Reversibility.R1: Risk.LOW, Reversibility.R2: Risk.MEDIUM, Reversibility.R3: Risk.HIGH}
_REVERSIBLE = {
    Reversibility.R1: "can be undone in place (R1)",
    Reversibility.R2: "can be made again, under a new identity (R2)",
    Reversibility.R3: "cannot be undone (R3)",
}


@dataclass(frozen=True, slots=True)
class Assessment:
    """How risky a plan is, and how that was reached."""

    risk: Risk
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The plan may be asked for under `rule`."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class Denied:
    """It may not: a stable code, and why."""

    code: Literal["no_rule", "contradiction", "too_many_steps", "blast_radius"]
    why: str


def assess(plan: Plan, environment: str) -> Assessment:
    """The worst of all that a yes would allow decides, the rollback with it; never less than medium."""
    steps = _all_steps(plan)
    worst = max((_RISKS[step.reversibility] for step in steps), key=_rank, default=LEAST_RISK)
    told = [f"{step.id} ({step.action} {step.target}) {_REVERSIBLE[step.reversibility]}" for step in steps]
    floor = [] if worst.rank >= LEAST_RISK.rank else [f"every request counts as {LEAST_RISK} or more"]
    return Assessment(max(worst, LEAST_RISK, key=_rank), [*told, f"in environment {environment}", *floor])


def judge(policy: Policy, plan: Plan, environment: str, risk: Risk) -> Allowed | Denied:
    """Whether a rule allows asking for `plan`. Rules that differ in what they demand of it contradict each other: denied."""
    counted = max(risk, LEAST_RISK, key=_rank)
    fitting = [rule for rule in policy.rules if not any(misses(rule, plan, environment, counted))]
    if not plan.steps or not fitting:
        return Denied("no_rule", _uncovered(policy, plan, environment, counted))
    first = fitting[0]
    for other in fitting[1:]:
        if other.demands != first.demands:
            return Denied("contradiction", f"rules {first.name} and {other.name} of policy.toml demand different things of it")
    steps = max(len(plan.steps), len(plan.rollback))
    if steps > first.max_steps:
        return Denied("too_many_steps", f"{steps} steps, rule {first.name} allows {first.max_steps}")
    return Allowed(first)


def misses(rule: Rule, plan: Plan, environment: str, risk: Risk) -> Iterator[str]:
    """What of it the rule does not cover; nothing when it covers all of it."""
    if not matches(plan.job, rule.jobs):
        yield f"job {plan.job}"
    if not matches(environment, rule.environments):
        yield f"environment {environment}"
    if risk not in rule.risks:
        yield f"{risk} risk"
    steps = _all_steps(plan)
    yield from (f"action {action}" for action in sorted({s.action for s in steps}) if not matches(action, rule.actions))
    yield from (f"target {target}" for target in sorted({s.target for s in steps}) if not matches(target, rule.targets))


def within_blast_radius(rule: Rule, *, changed: int, entries: int) -> Denied | None:
    """`changed`: subjects of the job changed in this environment in the last 24 hours, with this one; `entries`: all of them."""
    if changed <= 1 or changed * 100 <= rule.max_percentage * entries:
        return None
    told = f"{changed} of {entries} entries would be changed within 24 hours, rule {rule.name} allows {rule.max_percentage} %"
    return Denied("blast_radius", told)


def _all_steps(plan: Plan) -> tuple[Step, ...]:
    return *plan.steps, *plan.rollback


def _uncovered(policy: Policy, plan: Plan, environment: str, risk: Risk) -> str:
    if not plan.steps:
        return f"a plan of {plan.job} without a step: there is nothing to allow"
    actions = ", ".join(sorted({step.action for step in plan.steps}))
    told = f"no rule of policy.toml covers {plan.job}: {actions} in {environment} at {risk} risk"
    near = [(rule, list(misses(rule, plan, environment, risk))) for rule in policy.rules if matches(plan.job, rule.jobs)]
    if not near:
        return told
    rule, missing = min(near, key=lambda pair: len(pair[1]))
    return f"{told}; nearest is {rule.name}, without {', '.join(missing)}"


def _rank(risk: Risk) -> int:
    return risk.rank
