import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from notifications.channel import ChannelError
from notifications.webhook import TOLERANCE, WebhookChannel, post_signed, sign, verify
from tests.notifications.values import MESSAGE, NOW, message
from tests.notifications.web import WebServer, web_server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STAMP = int(NOW.timestamp())


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


def post(server: WebServer) -> ChannelError:
    with pytest.raises(ChannelError) as refused:
        post_signed(server.url, SECRET, "m1", b"{}", now=NOW, timeout=timedelta(seconds=5))
    return refused.value


def test_signature_is_the_one_of_the_published_example() -> None:
    """From the test of the reference libraries of standardwebhooks.com."""
    assert (
        sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_receiver_can_verify_what_was_sent(server: WebServer) -> None:
    WebhookChannel(url=server.url, secret=SecretStr(SECRET)).deliver(MESSAGE)

    path, headers, body = server.requests[0]
    assert path == "/hook?token=bearer-canary"
    assert headers["webhook-id"] == MESSAGE.id
    assert verify(
        SECRET, headers["webhook-id"], headers["webhook-timestamp"], body, headers["webhook-signature"], now=datetime.now(UTC)
    )


def test_body_carries_type_timestamp_and_all_that_the_message_says(server: WebServer) -> None:
    WebhookChannel(url=server.url, secret=SecretStr(SECRET)).deliver(MESSAGE)

    event = json.loads(server.requests[0][2])
    assert event["type"] == "finding.opened"
    assert event["timestamp"] == "2026-11-21T02:14:00Z"
    assert event["data"]["title"] == MESSAGE.title
    assert event["data"]["facts"] == {"id": "f1", "reason": "expired"}
    assert event["data"]["links"] == [{"label": "Open the finding", "url": "https://night.example.org/findings/f1"}]


def test_verify_takes_any_of_several_signatures() -> None:
    assert verify(SECRET, "m1", str(STAMP), b"x", f"v1,AAAA {sign(SECRET, 'm1', STAMP, b'x')}", now=NOW)


@pytest.mark.parametrize(
    ("secret", "identity", "timestamp", "body", "shift"),
    [
        ("another", "m1", str(STAMP), b"x", timedelta(0)),
        (SECRET, "m2", str(STAMP), b"x", timedelta(0)),
        (SECRET, "m1", str(STAMP + 1), b"x", timedelta(0)),
        (SECRET, "m1", str(STAMP), b"y", timedelta(0)),
        (SECRET, "m1", str(STAMP), b"x", TOLERANCE + timedelta(seconds=1)),
        (SECRET, "m1", str(STAMP), b"x", -TOLERANCE - timedelta(seconds=1)),
        (SECRET, "m1", "soon", b"x", timedelta(0)),
        (SECRET, "m1", "٣", b"x", timedelta(0)),
        (SECRET, "m1", "9" * 5000, b"x", timedelta(0)),
    ],
)
def test_verify_refuses_what_differs_in_anything(
    secret: str, identity: str, timestamp: str, body: bytes, shift: timedelta
) -> None:
    signature = sign(SECRET, "m1", STAMP, b"x")

    assert verify(SECRET, "m1", str(STAMP), b"x", signature, now=NOW)
    assert not verify(secret, identity, timestamp, body, signature, now=NOW + shift)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_what_will_not_change_is_permanent(server: WebServer, status: int) -> None:
    server.status = status

    refused = post(server)

    assert refused.permanent is True
    assert str(status) in str(refused)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Sat, 21 Nov 2026 02:15:00 -0000", 60.0),
        ("99999999999", 86400.0),
        ("soon", None),
    ],
)
def test_what_may_pass_is_tried_again_when_the_other_side_says(
    server: WebServer, status: int, retry_after: str | None, seconds: float | None
) -> None:
    server.status = status
    server.headers = {} if retry_after is None else {"Retry-After": retry_after}

    refused = post(server)

    assert (refused.permanent, refused.retry_after_seconds) == (False, seconds)


def test_an_n8n_that_migrates_its_database_has_taken_nothing_though_it_answers_200(server: WebServer) -> None:
    server.status, server.said = 200, b"n8n is starting up. Please wait"

    refused = post(server)

    assert (refused.permanent, "has taken nothing" in str(refused)) == (False, True)


def test_a_redirect_is_not_followed(server: WebServer) -> None:
    with web_server() as elsewhere:
        server.status, server.headers = 307, {"Location": elsewhere.url}

        refused = post(server)

    assert refused.permanent is True
    assert "redirect" in str(refused)
    assert elsewhere.requests == []


@pytest.mark.parametrize("status", [307, 404, 503])
def test_an_error_never_shows_the_path_of_the_url(server: WebServer, status: int) -> None:
    server.status = status

    assert "canary" not in repr(post(server))


@pytest.mark.parametrize("url", ["ftp://example.org/x", "example.org", "https://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="starts with https:// or http://"):
        WebhookChannel(url=url, secret=SecretStr(SECRET))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!"])
def test_a_secret_that_signs_nothing_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret is"):
        WebhookChannel(url="https://example.org/", secret=SecretStr(secret))


def test_an_id_of_any_script_is_still_sent_and_verifiable(server: WebServer) -> None:
    WebhookChannel(url=server.url, secret=SecretStr(SECRET)).deliver(message(id="fünf\r\nX-Evil: 1"))

    _, headers, body = server.requests[0]
    assert headers["X-Evil"] is None
    assert verify(
        SECRET, headers["webhook-id"], headers["webhook-timestamp"], body, headers["webhook-signature"], now=datetime.now(UTC)
    )
