"""What policy.toml says: rules, freezes, and when requests expire."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schedules.durations import parse_duration
from schedules.hours import WorkingHours
from worker.policy.freezes import WEEKDAYS, Freeze, Names, WallTime, Weekday, Zone
from worker.policy.globs import matches
from worker.records import Risk

LEAST_RISK = Risk.MEDIUM
"""Until people sign in with more than a link and a PIN, no request counts for less."""


def _duration(text: str) -> str:
    if parse_duration(text) <= timedelta(0):
        raise ValueError("is no time at all; accepted: `30m`, `2h`, `1d`")
    return text


def _reachable(risks: tuple[Risk, ...]) -> tuple[Risk, ...]:
    if all(risk.rank < LEAST_RISK.rank for risk in risks):
        message = f"every request counts as {LEAST_RISK} or more: a rule for less covers nothing"
        raise ValueError(message)
    return risks


Duration = Annotated[str, AfterValidator(_duration)]
Risks = Annotated[tuple[Risk, ...], Field(min_length=1), AfterValidator(_reachable)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Part):
    """`[[rule]]`: what may be asked for, and who must agree. In lists, `*` stands for any text."""

    name: str = Field(min_length=1, max_length=100, description="unique; part of what people approve")
    jobs: Names = Field(description="names of jobs")
    actions: Names = Field(description="actions of a plan's steps; all of a plan's must be covered")
    targets: Names = Field(("*",), description="every step's target must be covered")
    environments: Names = Field(description="names of environments")
    risks: Risks = Field(tuple(Risk), description="levels of risk this rule covers")
    approvers: int = Field(1, ge=1, le=5, strict=True, description="how many people must agree")
    people: tuple[str, ...] = Field((), description="who may decide; empty: everybody with the grant `decide`")
    max_steps: int = Field(10, ge=1, le=1000, strict=True, description="most steps of one plan")
    max_percentage: int = Field(
        100, ge=1, le=100, strict=True, description="most entries of a job and environment changed in 24 hours; one always may"
    )

    @property
    def demands(self) -> tuple[object, ...]:
        """What it asks of a plan that it covers. Two rules that differ in it must not cover the same plan."""
        return self.approvers, frozenset(self.people), self.max_steps, self.max_percentage


class Hours(_Part):
    """`[policy.working_hours]`: when deciders are at work; requests expire at the end of their next working day."""

    timezone: Zone = "UTC"
    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")
    start: WallTime = time(9)
    end: WallTime = time(17)
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
        return next((f.name for f in self.freezes if matches(environment, f.environments) and f.holds(now)), None)

    def rule(self, name: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.name == name), None)
