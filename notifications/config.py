"""`routes.toml`: channels, routes, the digest, quiet hours and caps, validated. Secrets stay references here."""

import re
from collections.abc import Callable, Sequence
from datetime import time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from notifications import options
from notifications.channel import Channel
from notifications.routes import Match, Route, Routes

Severity = Literal["info", "low", "medium", "high", "critical"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,8})([smhd])", value) if isinstance(value, str) else None
    if found is None or not int(found[1]):
        raise ValueError("is not a duration; accepted: a whole number and s, m, h or d, e.g. `30m`, `24h`, `7d`")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _clock(value: object) -> time:
    if isinstance(value, time) and value.tzinfo is None:
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError("is not a time of day; accepted: `08:30`, from `00:00` to `23:59`")
    return time.fromisoformat(value)


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (OSError, ValueError, LookupError):
        raise ValueError("is not a time zone; accepted: an IANA name such as `Europe/Zurich` or `UTC`") from None


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(lambda value: f"{value.total_seconds():.0f}s")]
Clock = Annotated[time, BeforeValidator(_clock), PlainSerializer(lambda value: f"{value:%H:%M}")]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


class ChannelConfig(BaseModel):
    """One destination: its kind, and the options that this kind accepts."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    kind: str = Field(description="`email`, `slack`, `linear`, `webhook`, `console`, an installed kind, or `module:Class`.")

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, kind: str) -> str:
        options.channel_class(kind)
        return kind

    @model_validator(mode="after")
    def _options_are_accepted(self) -> Self:
        options.check_options(self.kind, self.options)
        return self

    @property
    def options(self) -> dict[str, Any]:
        """All keys but `kind`; secrets as references."""
        return dict(self.model_extra or {})


class MatchConfig(_Table):
    """All that are given must hold; none given matches every finding."""

    severity: Severity = Field("info", description="This one or worse.")
    environments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    jobs: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class RouteConfig(_Table):
    """Which findings and requests go to which channels."""

    channels: tuple[str, ...] = Field(min_length=1, description="Names of tables under `channels`.")
    match: MatchConfig = Field(default_factory=MatchConfig)
    when: Literal["now", "digest"] = "now"
    again_after: Duration | None = Field(None, description="Tell an open finding again after this; never if left out.")
    resolved: bool = Field(default=True, description="Whether a channel that was told is also told of the end.")
    quiet: bool = Field(default=True, description="Whether quiet hours are honoured.")
    go_on: bool = Field(default=False, alias="continue", description="Whether later routes may match as well.")
    approvals: bool = Field(default=True, description="Whether requests for approval go this way too, by their risk.")

    def to_route(self) -> Route:
        match = Match(**{name: getattr(self.match, name) for name in MatchConfig.model_fields})
        return Route(
            channels=self.channels,
            match=match,
            when=self.when,
            again_after=self.again_after,
            resolved=self.resolved,
            quiet=self.quiet,
            go_on=self.go_on,
            approvals=self.approvals,
        )


class DigestConfig(_Table):
    """The morning digest."""

    at: Clock = Field(time(8, 30), description="Local time of day.")
    timezone: Zone = Field(ZoneInfo("UTC"), description="IANA name of the time zone of `at`.")
    channels: tuple[str, ...] = Field((), description="Who gets it; empty: shown on the console page only.")


class QuietHoursConfig(_Table):
    """When nobody is told at once, unless the route says otherwise."""

    start: Clock
    end: Clock = Field(description="Before `start`: on the next day.")
    timezone: Zone = ZoneInfo("UTC")

    @model_validator(mode="after")
    def _have_a_length(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"quiet hours start and end at {self.start:%H:%M}; leave them out, or give them a length")
        return self


class ApprovalsConfig(_Table):
    """How those who may decide on a request are told in person."""

    personal: tuple[str, ...] | None = Field(
        None, description="Channels that can address a person; left out: every e-mail channel; empty: none."
    )


def _name(value: str) -> str:
    if ">" in value or not value:
        raise ValueError("is no name of a channel; accepted: a name without `>`")
    return value


class RoutesConfig(_Table):
    """The whole of `routes.toml`."""

    channels: dict[Annotated[str, AfterValidator(_name)], ChannelConfig] = Field(default_factory=dict)
    routes: tuple[RouteConfig, ...] = ()
    digest: DigestConfig = Field(default_factory=DigestConfig)
    approvals: ApprovalsConfig = Field(default_factory=ApprovalsConfig)
    quiet_hours: QuietHoursConfig | None = None
    caps: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="Messages an hour by channel; what is beyond becomes one summary."
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        named: list[tuple[tuple[str | int, ...], str]] = []
        for number, route in enumerate(self.routes):
            named += [(("routes", number, "channels", place), name) for place, name in enumerate(route.channels)]
        named += [(("digest", "channels", place), name) for place, name in enumerate(self.digest.channels)]
        named += [(("caps", name), name) for name in self.caps]
        personal = list(enumerate(self.approvals.personal or ()))
        named += [(("approvals", "personal", place), name) for place, name in personal]
        unknown = [_unknown_channel(loc, name, sorted(self.channels)) for loc, name in named if name not in self.channels]
        mute = [
            _impersonal(place, name, self._addressing())
            for place, name in personal
            if name in self.channels and name not in self._addressing()
        ]
        if unknown or mute:
            raise ValidationError.from_exception_data("routes", unknown + mute)
        return self

    @property
    def personal(self) -> tuple[str, ...]:
        """The channels by which people get messages of their own."""
        if self.approvals.personal is not None:
            return self.approvals.personal
        return tuple(name for name, channel in self.channels.items() if channel.kind == "email")

    def _addressing(self) -> list[str]:
        return [name for name, channel in self.channels.items() if options.addresses_people(channel.kind)]

    def to_routes(self) -> Routes:
        """The values that `notifications.routes` decides by."""
        return Routes(tuple(route.to_route() for route in self.routes), digest_channels=self.digest.channels)


def build_channel(config: ChannelConfig, read_secret: Callable[[str], str]) -> Channel:
    """The channel that `config` describes. Raises what `read_secret` raises, and `ValueError` if a secret does not fit."""
    return options.build(config.kind, config.options, read_secret)


def _unknown_channel(loc: tuple[str | int, ...], name: str, known: Sequence[str]) -> InitErrorDetails:
    text = f"no channel is called {name!r}; accepted: {', '.join(known) or 'none, for no channel is configured'}"
    return InitErrorDetails(type=PydanticCustomError("unknown_channel", "{text}", {"text": text}), loc=loc, input=name)


def _impersonal(place: int, name: str, known: Sequence[str]) -> InitErrorDetails:
    text = f"channel {name!r} cannot address one person; accepted: {', '.join(known) or 'none of these channels can'}"
    error = PydanticCustomError("impersonal_channel", "{text}", {"text": text})
    return InitErrorDetails(type=error, loc=("approvals", "personal", place), input=name)
