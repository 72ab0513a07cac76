import inspect
import re
import tomllib
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import Field, SecretStr, ValidationError

from notifications import CHANNELS
from notifications.channel import Delivery
from notifications.config import RoutesConfig, build_channel
from notifications.email import EmailChannel
from notifications.message import Message
from notifications.options import channel_class
from notifications.routes import Match, Route, Routes
from notifications.webhook import WebhookChannel

GOOD = """
[channels.team]
kind = "email"
host = "mail.example.org"
sender = "Nightshift <night@example.org>"
recipients = ["ops@example.org"]
username = "night"
password = "env:SMTP_PASSWORD"

[channels.events]
kind = "webhook"
url = "https://events.example.org/night"
secret = "file:webhook"

[[routes]]
channels = ["events"]
continue = true

[[routes]]
channels = ["team"]
again_after = "24h"
quiet = false
[routes.match]
severity = "high"
environments = ["production"]
labels = { tier = "front" }

[digest]
at = "08:30"
timezone = "Europe/Zurich"
channels = ["team"]

[quiet_hours]
start = "22:00"
end = "07:00"
timezone = "Europe/Zurich"

[caps]
team = 20
"""


class Chat:
    """An outsider's channel, as docs/add-a-channel.md shows one."""

    def __init__(self, *, room: str, token: SecretStr, retries: Annotated[int, Field(ge=0, le=5)] = 1) -> None:
        self.room, self.token, self.retries = room, token, retries

    def deliver(self, message: Message) -> Delivery:
        return Delivery(message.id)


def parsed(text: str) -> RoutesConfig:
    return RoutesConfig.model_validate(tomllib.loads(text))


def faults(text: str) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        parsed(text)
    return {".".join(map(str, fault["loc"])): fault["msg"].removeprefix("Value error, ") for fault in refused.value.errors()}


def test_a_whole_file_becomes_routes() -> None:
    config = parsed(GOOD)

    assert config.to_routes() == Routes(
        (
            Route(channels=("events",), go_on=True),
            Route(
                channels=("team",),
                match=Match(severity="high", environments=("production",), labels={"tier": "front"}),
                again_after=timedelta(days=1),
                quiet=False,
            ),
        ),
        digest_channels=("team",),
    )
    assert (config.digest.at, config.digest.timezone) == (time(8, 30), ZoneInfo("Europe/Zurich"))
    assert config.quiet_hours is not None
    assert (config.quiet_hours.start, config.quiet_hours.end) == (time(22), time(7))
    assert config.caps == {"team": 20}


def test_an_empty_file_is_a_good_one() -> None:
    assert parsed("").to_routes() == Routes()


def test_what_is_kept_as_json_reads_back_the_same() -> None:
    config = parsed(GOOD)

    kept = config.model_dump(mode="json", by_alias=True)

    assert RoutesConfig.model_validate(kept) == config
    assert kept["channels"]["team"]["password"] == "env:SMTP_PASSWORD"


def test_channels_are_built_with_their_secrets_read() -> None:
    channels = {name: build_channel(config, f"read {{}} {name}".format) for name, config in parsed(GOOD).channels.items()}

    assert isinstance(channels["team"], EmailChannel)
    assert channels["team"].password == SecretStr("read env:SMTP_PASSWORD team")
    assert channels["team"].recipients == ("ops@example.org",)
    assert isinstance(channels["events"], WebhookChannel)
    assert channels["events"].secret == SecretStr("read file:webhook events")


def test_a_url_may_be_a_reference_as_well() -> None:
    config = parsed('[channels.w]\nkind = "webhook"\nurl = "env:URL"\nsecret = "env:S"').channels["w"]

    channel = build_channel(config, {"env:URL": "https://example.org/t0ken", "env:S": "s"}.__getitem__)

    assert channel == WebhookChannel(url=SecretStr("https://example.org/t0ken"), secret=SecretStr("s"))


def test_an_outsiders_channel_is_named_by_its_path() -> None:
    path = f"{__name__}:Chat"
    config = parsed(f'[channels.c]\nkind = "{path}"\nroom = "ops"\ntoken = "env:TOKEN"').channels["c"]

    channel = build_channel(config, lambda _: "value")

    assert isinstance(channel, Chat)
    assert (channel.room, channel.token, channel.retries) == ("ops", SecretStr("value"), 1)


def test_what_an_outsiders_channel_accepts_is_checked_as_well() -> None:
    found = faults(f'[channels.c]\nkind = "{__name__}:Chat"\nroom = "ops"\ntoken = "env:TOKEN"\nretries = 9')

    assert found == {"channels.c.retries": "Input should be less than or equal to 5"}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("[chanels]", "chanels", "Extra inputs are not permitted"),
        ('[channels.x]\nhost = "a"', "channels.x.kind", "Field required"),
        (
            '[channels.x]\nkind = "fax"',
            "channels.x.kind",
            "unknown kind of channel 'fax'; accepted: console, email, linear, slack, webhook",
        ),
        (
            '[channels.x]\nkind = "no.such:Thing"',
            "channels.x.kind",
            "channel no.such:Thing cannot be loaded: No module named 'no'",
        ),
        ('[channels.x]\nkind = "json:dumps"', "channels.x.kind", "json:dumps is no channel: it has no method `deliver`"),
        ('[channels.x]\nkind = "console"\nstream = "tty"', "channels.x.stream", "Input should be 'stdout' or 'stderr'"),
        ('[channels.x]\nkind = "console"\ncolour = 1', "channels.x.colour", "unknown key; console accepts: stream"),
        ('[channels.x]\nkind = "webhook"\nurl = "https://a/"', "channels.x.secret", "is missing; webhook cannot do without it"),
        (
            '[channels.x]\nkind = "webhook"\nurl = "a"\nsecret = "env:S"',
            "channels.x",
            "a webhook url starts with https:// or http://",
        ),
        (GOOD.replace("host =", "port = 99999\nhost ="), "channels.team.port", "Input should be less than or equal to 65535"),
        (GOOD.replace("ops@example.org", "ops at example"), "channels.team.recipients.0", "is not a mail address; accepted:"),
        (GOOD.replace('username = "night"\n', ""), "channels.team", "username and password are given together or not at all"),
        (GOOD.replace('["events"]', '["evnts"]'), "routes.0.channels.0", "no channel is called 'evnts'; accepted: events, team"),
        (
            GOOD.replace('channels = ["team"]\n\n[quiet', 'channels = ["x"]\n\n[quiet'),
            "digest.channels.0",
            "no channel is called 'x'",
        ),
        (GOOD.replace("team = 20", "all = 20"), "caps.all", "no channel is called 'all'"),
        (GOOD.replace("team = 20", "team = 0"), "caps.team", "Input should be greater than or equal to 1"),
        (
            GOOD.replace('"24h"', '"a day"'),
            "routes.1.again_after",
            "is not a duration; accepted: a whole number and s, m, h or d",
        ),
        (GOOD.replace('"24h"', '"0h"'), "routes.1.again_after", "is not a duration"),
        (GOOD.replace('"24h"', "24"), "routes.1.again_after", "is not a duration"),
        (
            GOOD.replace('"high"', '"bad"'),
            "routes.1.match.severity",
            "Input should be 'info', 'low', 'medium', 'high' or 'critical'",
        ),
        (GOOD.replace('"08:30"', '"8.30"'), "digest.at", "is not a time of day; accepted: `08:30`"),
        (GOOD.replace("Europe/Zurich", "Europe/Zurigo"), "digest.timezone", "is not a time zone; accepted: an IANA name"),
        (GOOD.replace('"07:00"', '"22:00"'), "quiet_hours", "quiet hours start and end at 22:00"),
    ],
)
def test_a_fault_names_its_key_and_what_is_accepted(text: str, where: str, what: str) -> None:
    found = faults(text)

    assert where in found
    assert found[where].startswith(what)


@pytest.mark.parametrize("key", ["password", "pasword"])
def test_a_secret_in_the_file_is_refused_and_never_repeated(key: str) -> None:
    text = GOOD.replace('password = "env:SMTP_PASSWORD"', f'{key} = "canary-9c1"')

    with pytest.raises(ValidationError) as refused:
        parsed(text)

    assert "a secret is given by reference" in str(refused.value)
    assert "canary" not in str(refused.value)
    assert not any("canary" in str(fault["input"]) for fault in refused.value.errors() if fault["loc"][-1] == key)


def test_reading_routes_sends_nothing_and_reads_no_secret(tmp_path: Path) -> None:
    """A check of the configuration runs anywhere, also where the secrets are not."""
    config: Any = parsed(GOOD.replace("file:webhook", f"file:{tmp_path}/absent"))

    assert set(config.channels) == {"team", "events"}


def test_people_are_told_by_every_mail_channel_unless_the_table_says_otherwise() -> None:
    assert RoutesConfig.model_validate(tomllib.loads(GOOD)).personal == ("team",)
    for named in ((), ("team",)):
        config = RoutesConfig.model_validate({**tomllib.loads(GOOD), "approvals": {"personal": named}})
        assert config.personal == named


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("events", "channel 'events' cannot address one person; accepted: team"),
        ("nowhere", "no channel is called 'nowhere'; accepted: events, team"),
    ],
)
def test_a_channel_that_cannot_address_a_person_is_refused_for_people(name: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RoutesConfig.model_validate({**tomllib.loads(GOOD), "approvals": {"personal": ["team", name]}})
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("approvals", "personal", 1)
    assert fault["msg"] == said


def test_a_channel_name_has_no_arrow_for_that_is_how_a_person_by_it_is_written() -> None:
    with pytest.raises(ValidationError, match="a name without `>`"):
        RoutesConfig.model_validate({"channels": {"mail>ana": {"kind": "console"}}})


def test_a_route_may_leave_requests_out() -> None:
    config = RoutesConfig.model_validate(
        {"channels": {"c": {"kind": "console"}}, "routes": [{"channels": ["c"], "approvals": False}]}
    )
    assert [route.approvals for route in config.to_routes().routes] == [False]


@pytest.mark.parametrize("kind", CHANNELS)
def test_the_estates_page_lists_every_key_of_a_shipped_channel_and_no_other(kind: str) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "estate.md").read_text(encoding="utf-8")
    table = guide.partition(f'`kind = "{kind}"`')[2].partition("| --- | --- | --- | --- |\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(inspect.signature(channel_class(kind)).parameters)
