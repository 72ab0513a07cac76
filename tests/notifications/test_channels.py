"""What every channel promises, on real servers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import pytest
from pydantic import SecretStr

from notifications.channel import Channel, ChannelError
from notifications.console import ConsoleChannel
from notifications.email import EmailChannel
from notifications.webhook import WebhookChannel
from tests.notifications.values import MESSAGE
from tests.notifications.web import WebServer, web_server
from tests.support.mail import MailServer, mail_server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class World(Protocol):
    """The other side of one channel."""

    @property
    def channel(self) -> Channel: ...

    def ids(self) -> list[str]:
        """Of every message that arrived, in order."""
        ...

    def refuse(self, *, permanent: bool) -> None: ...
    def hang(self) -> None: ...


@dataclass
class MailWorld:
    server: MailServer
    channel: EmailChannel

    def ids(self) -> list[str]:
        return [mail["Message-ID"] for mail in self.server.mails]

    def refuse(self, *, permanent: bool) -> None:
        self.server.answer = "554 no such thing here" if permanent else "451 try later"

    def hang(self) -> None:
        self.server.hangs = True
        self.channel = replace(self.channel, timeout_seconds=0.3)


@dataclass
class WebWorld:
    server: WebServer
    channel: WebhookChannel

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.server.requests]

    def refuse(self, *, permanent: bool) -> None:
        self.server.status = 410 if permanent else 503

    def hang(self) -> None:
        self.server.hangs = True
        self.channel = replace(self.channel, timeout_seconds=0.3)


@pytest.fixture
def mail() -> Iterator[World]:
    with mail_server() as server:
        channel = EmailChannel(
            host="127.0.0.1", port=server.port, security="none", sender="night@example.org", recipients=("ana@example.org",)
        )
        yield MailWorld(server, channel)


@pytest.fixture
def web() -> Iterator[World]:
    with web_server() as server:
        yield WebWorld(server, WebhookChannel(url=server.url, secret=SecretStr(SECRET)))


@pytest.fixture(params=["mail", "web"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


def test_a_message_arrives(world: World) -> None:
    delivery = world.channel.deliver(MESSAGE)

    assert delivery.detail
    assert len(world.ids()) == 1


def test_the_same_message_twice_has_the_same_id(world: World) -> None:
    world.channel.deliver(MESSAGE)
    world.channel.deliver(MESSAGE)

    first, second = world.ids()
    assert first == second
    assert MESSAGE.id in first


@pytest.mark.parametrize("permanent", [True, False])
def test_a_refusal_says_whether_to_try_again(world: World, *, permanent: bool) -> None:
    world.refuse(permanent=permanent)

    with pytest.raises(ChannelError) as refused:
        world.channel.deliver(MESSAGE)

    assert refused.value.permanent is permanent


def test_a_server_that_hangs_ends_in_an_error_that_names_the_time(world: World) -> None:
    world.hang()

    with pytest.raises(ChannelError, match=r"did not answer within 0\.3 s") as hung:
        world.channel.deliver(MESSAGE)

    assert hung.value.permanent is False


def test_a_server_that_is_away_is_tried_again() -> None:
    with mail_server() as gone:
        pass
    mail = EmailChannel(host="127.0.0.1", port=gone.port, security="none", sender="n@example.org", recipients=("a@example.org",))
    web = WebhookChannel(url=f"http://127.0.0.1:{gone.port}/", secret=SecretStr(SECRET))
    for channel in (mail, web):
        with pytest.raises(ChannelError, match=re.escape(f"127.0.0.1:{gone.port}")) as away:
            channel.deliver(MESSAGE)
        assert away.value.permanent is False


def test_console_prints_everything_a_message_says(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleChannel().deliver(replace(MESSAGE, body="[red]not markup[/red] \x1b[31mnot an escape", sections=()))

    printed = capsys.readouterr().out
    assert MESSAGE.title in printed
    assert "[red]not markup[/red] [31mnot an escape" in printed
    assert "Reason: expired" in printed
    assert "https://night.example.org/findings/f1" in printed
    assert "\x1b" not in printed


def test_console_that_is_closed_is_a_permanent_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (tmp_path_factory.mktemp("out") / "closed").open("w") as stream:
        monkeypatch.setattr("sys.stderr", stream)  # the stream itself is what is tested

    with pytest.raises(ChannelError, match="stderr takes no message") as refused:
        ConsoleChannel(stream="stderr").deliver(MESSAGE)

    assert refused.value.permanent is True


def test_every_channel_says_the_same_for_machines_or_people(mail: MailWorld, web: WebWorld) -> None:
    mail.channel.deliver(MESSAGE)
    web.channel.deliver(MESSAGE)

    text = mail.server.mails[0].get_body(("plain",))
    assert text is not None
    event = json.loads(web.server.requests[0][2])
    for said in (MESSAGE.body, "192.0.2.7", "https://night.example.org/findings/f1"):
        assert said in text.get_content()
        assert said in json.dumps(event, ensure_ascii=False)
