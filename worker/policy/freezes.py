"""Windows in which no effect step starts."""

from datetime import datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from schedules.walls import first_instant, instants_of, wall_at

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MIDNIGHT = time(0)

_DAY = timedelta(days=1)


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("no time zone; accepted: one such as Europe/Berlin or UTC") from None
    return text


def _wall(clock: time) -> time:
    if clock.tzinfo is not None:
        raise ValueError("a time of day has no offset; the key `timezone` says where")
    return clock


Zone = Annotated[str, AfterValidator(_zone)]
WallTime = Annotated[time, AfterValidator(_wall)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


class Freeze(BaseModel):
    """`[[freeze]]`: no effect step starts in this window. Either `from` and `until`, or `days` of each week."""

    # A revision keeps what the file says, and is read again: both by the alias.
    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    name: str = Field(min_length=1, max_length=100)
    environments: Names = Field(("*",), description="globs over names of environments")
    begins: AwareDatetime | None = Field(None, alias="from", description="an instant with its offset")
    until: AwareDatetime | None = Field(None, description="an instant with its offset; not frozen any more")
    days: tuple[Weekday, ...] = Field((), description="mon to sun, on which it starts")
    start: WallTime = Field(MIDNIGHT, description="with `days`")
    end: WallTime = Field(MIDNIGHT, description="with `days`; not after `start`: of the next day")
    timezone: Zone = Field("UTC", description="of `days`")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        weekly = bool(self.days)
        if weekly == (self.begins is not None and self.until is not None) or (weekly and (self.begins or self.until)):
            raise ValueError("accepted: `from` and `until`, or `days` with `start` and `end`")
        if not weekly and (self.start, self.end) != (MIDNIGHT, MIDNIGHT):
            raise ValueError("`start` and `end` belong to `days`")
        if self.begins is not None and self.until is not None and self.begins >= self.until:
            raise ValueError("`until` is not after `from`")
        return self

    def holds(self, now: datetime) -> bool:
        """Whether it is in force at `now`. The end itself is free."""
        if self.begins is not None and self.until is not None:
            return self.begins <= now < self.until
        zone = ZoneInfo(self.timezone)
        today = wall_at(now, zone).date()
        overnight = _DAY if self.end <= self.start else timedelta(0)
        for day in (today - _DAY, today):
            begins = first_instant(datetime.combine(day, self.start), zone)
            if WEEKDAYS[day.weekday()] in self.days and begins <= now < _last(datetime.combine(day + overnight, self.end), zone):
                return True
        return False


def _last(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock shows `wall` for the last time: a window goes on through the hour that comes twice."""
    instants = instants_of(wall, zone)
    return instants[-1] if instants else first_instant(wall, zone)
