"""Safe or risky, who may decide, which windows and limits hold. Pure: deny by default, and whatever is unclear denies."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from schedules.durations import parse_duration
from schedules.hours import WorkingHours
from schedules.walls import wall_at
from tasks.model import Plan, Reversibility
from worker.records import Risk

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
LEAST_RISK = Risk.MEDIUM
"""Until people sign in with more than a link and a PIN, no request counts for less."""

_RISKS = {Reversibility.R1: Risk.LOW, Reversibility.R2: Risk.MEDIUM, Reversibility.R3: Risk.HIGH}
_REVERSIBLE = {
    Reversibility.R1: "can be undone in place (R1)",
    Reversibility.R2: "can be made again, under a new identity (R2)",
    Reversibility.R3: "cannot be undone (R3)",
}


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("no time zone; accepted: one such as Europe/Berlin or UTC") from None
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Zone = Annotated[str, AfterValidator(_zone)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Part):
    """`[[rule]]` of policy.toml: what may be asked for, and who must agree. Globs: `*` stands for anything."""

    name: str = Field(min_length=1, max_length=100, description="unique; part of what people approve")
    jobs: Names = Field(description="names of jobs")
    actions: Names = Field(description="actions of a plan's steps; all of a plan's must be covered")
    targets: Names = Field(("*",), description="globs; every step's target must be covered")
    environments: Names = Field(description="names of environments")
    risks: tuple[Risk, ...] = Field(tuple(Risk), min_length=1, description="levels of risk this rule covers")
    approvers: int = Field(1, ge=1, le=5, description="how many people must agree")
    people: tuple[str, ...] = Field((), description="who may decide; empty: everybody with the grant `decide`")
    max_steps: int = Field(10, ge=1, le=1000, description="most steps of one plan")
    max_percentage: int = Field(
        100, ge=1, le=100, description="most entries of a job and environment changed in 24 hours; one always may"
    )


class Freeze(_Part):
    """`[[freeze]]`: no effect step starts in this window. Either `from` and `until`, or `days`, `start` and `end` each week."""

    name: str = Field(min_length=1, max_length=100)
    environments: Names = ("*",)
    begins: AwareDatetime | None = Field(None, alias="from", description="an instant with its offset")
    until: AwareDatetime | None = None
    days: tuple[Weekday, ...] = ()
    start: time | None = None
    end: time | None = Field(None, description="before `start`: of the next day")
    timezone: Zone = "UTC"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        once = (self.begins, self.until)
        weekly = (self.start, self.end)
        if all(once) and not any((*weekly, self.days)):
            if self.begins >= self.until:  # type: ignore[operator]
                raise ValueError("`until` is not after `from`")
            return self
        if all(part is not None for part in weekly) and self.days and not any(once):
            if self.start == self.end:
                raise ValueError("`start` and `end` are the same")
            return self
        raise ValueError("accepted: `from` and `until`, or `days`, `start` and `end`")

    def holds(self, now: datetime) -> bool:
        """Whether it is in force at `now`."""
        if self.begins is not None and self.until is not None:
            return self.begins <= now < self.until
        assert self.start is not None
        assert self.end is not None
        wall = wall_at(now, ZoneInfo(self.timezone))
        today, yesterday = WEEKDAYS[wall.weekday()], WEEKDAYS[wall.weekday() - 1]
        at = wall.time().replace(tzinfo=None)
        if self.start < self.end:
            return today in self.days and self.start <= at < self.end
        return (today in self.days and at >= self.start) or (yesterday in self.days and at < self.end)


class Hours(_Part):
    """`[policy.working_hours]`: when deciders are at work; requests expire at the end of their next working day."""

    timezone: Zone = "UTC"
    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")
    start: time = time(9)
    end: time = time(17)
    holidays: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self.to_hours()
        return self

    def to_hours(self) -> WorkingHours:
        weekdays = frozenset(WEEKDAYS.index(day) for day in self.days)
        zone, holidays = ZoneInfo(self.timezone), frozenset(self.holidays)
        return WorkingHours(zone=zone, weekdays=weekdays, start=self.start, end=self.end, holidays=holidays)


class Policy(_Part):
    """policy.toml: what no rule allows is denied."""

    version: Literal[1] = 1
    default: Literal["deny"] = "deny"
    ask_again_after: Duration = Field("7d", description="a denied change set is not asked for again for so long")
    expires_after: Duration | None = Field(
        None, description="working time until a request expires; unset: the end of the deciders' next working day"
    )
    remind_before: Duration = Field("2h", description="deciders are reminded so long before a request expires")
    working_hours: Hours = Hours()
    rules: tuple[Rule, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def expiry(self, now: datetime) -> tuple[datetime, datetime | None]:
        """When a request made now expires, and when its deciders are reminded (None: too soon after asking)."""
        hours = self.working_hours.to_hours()
        if self.expires_after is None:
            expires_at = hours.end_of_next_working_day(now)
        else:
            expires_at = hours.add_working_time(now, parse_duration(self.expires_after))
        remind_at = expires_at - parse_duration(self.remind_before)
        return expires_at, remind_at if remind_at > now else None

    def frozen(self, environment: str, now: datetime) -> str | None:
        """The name of a freeze window that holds for `environment`."""
        return next((f.name for f in self.freezes if _matches(environment, f.environments) and f.holds(now)), None)

    def rule(self, name: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.name == name), None)


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
    """The worst of its steps decides; never less than medium."""
    worst = max((step.reversibility for step in plan.steps), key=lambda reversibility: reversibility.value)
    steps = [f"{step.id} ({step.action} {step.target}) {_REVERSIBLE[step.reversibility]}" for step in plan.steps]
    risk = max(_RISKS[worst], LEAST_RISK, key=lambda risk: risk.rank)
    floor = [] if _RISKS[worst].rank >= LEAST_RISK.rank else [f"every request counts as {LEAST_RISK} or more"]
    return Assessment(risk, [*steps, f"in environment {environment}", *floor])


def judge(policy: Policy, plan: Plan, environment: str, risk: Risk) -> Allowed | Denied:
    """Whether a rule allows asking for `plan`. Rules that differ in what they demand of it contradict each other: denied."""
    fitting = [rule for rule in policy.rules if _covers(rule, plan, environment, risk)]
    if not fitting:
        actions = ", ".join(sorted({step.action for step in plan.steps}))
        return Denied("no_rule", f"no rule of policy.toml covers {plan.job}: {actions} in {environment} at {risk} risk")
    first = fitting[0]
    for other in fitting[1:]:
        if _demands(other) != _demands(first):
            return Denied("contradiction", f"rules {first.name} and {other.name} of policy.toml demand different things of it")
    if len(plan.steps) > first.max_steps:
        return Denied("too_many_steps", f"{len(plan.steps)} steps, rule {first.name} allows {first.max_steps}")
    return Allowed(first)


def within_blast_radius(rule: Rule, *, changed: int, entries: int) -> Denied | None:
    """`changed`: subjects of the job changed in this environment in the last 24 hours, with this one; `entries`: all of them."""
    if changed <= 1 or changed * 100 <= rule.max_percentage * entries:
        return None
    told = f"{changed} of {entries} entries would be changed within 24 hours, rule {rule.name} allows {rule.max_percentage} %"
    return Denied("blast_radius", told)


def _covers(rule: Rule, plan: Plan, environment: str, risk: Risk) -> bool:
    steps = (*plan.steps, *plan.rollback)
    return (
        _matches(plan.job, rule.jobs)
        and _matches(environment, rule.environments)
        and risk in rule.risks
        and all(_matches(step.action, rule.actions) for step in steps)
        and all(_matches(step.target, rule.targets) for step in steps)
    )


def _demands(rule: Rule) -> tuple[object, ...]:
    return rule.approvers, frozenset(rule.people), rule.max_steps, rule.max_percentage


def _matches(text: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(text, glob) for glob in globs)
