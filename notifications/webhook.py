"""A signed POST to any URL, as the Standard Webhooks convention has it (https://www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated
from urllib.parse import quote, urlsplit

import httpx
from pydantic import Field, SecretStr

from notifications.channel import ChannelError, Delivery
from notifications.message import Message

TOLERANCE = timedelta(minutes=5)
"""How far a timestamp may lie from the receiver's clock, either way."""
WORD_HEADER = "X-Nightshift-Webhook"
"""For receivers that check no signature and only compare a header."""

_MIGRATING = b"n8n is starting up"
"""n8n says so with a 200 to everything while it migrates its database: at each start, for long after an upgrade."""
_LONGEST_RETRY_AFTER = timedelta(days=1).total_seconds()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`. `timestamp` is in Unix seconds.

    `whsec_…` is Base64 of the key, as the convention says; any other secret is the key itself, in UTF-8.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def verify(secret: str, message_id: str, timestamp: str, body: bytes, signatures: str, *, now: datetime) -> bool:
    """Whether one of the space-separated `signatures` is ours and the timestamp is within `TOLERANCE` of `now`."""
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(int(timestamp) - now.timestamp()) > TOLERANCE.total_seconds():
        return False
    expected = sign(secret, message_id, int(timestamp), body).encode()
    return any(hmac.compare_digest(expected, given.encode()) for given in signatures.split(" "))


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
    if not key:
        message = "a webhook secret is `whsec_` and Base64, or any text that is not empty"
        raise ValueError(message) from None
    return key


@dataclass(frozen=True, kw_only=True)
class WebhookChannel:
    """A URL that is told everything, for machines."""

    url: str | SecretStr
    """Of http or https. May be a reference: some URLs are secrets themselves."""
    secret: SecretStr
    ca_file: str | None = None
    """PEM file of the authority to trust instead of the system's."""
    timeout_seconds: Annotated[float, Field(gt=0, le=10)] = 10.0
    """For the connection, for sending and for the answer each."""

    def __post_init__(self) -> None:
        _key(self.secret.get_secret_value())
        if isinstance(self.url, str):
            _origin(self.url)

    def deliver(self, message: Message) -> Delivery:
        return post_signed(
            self.url if isinstance(self.url, str) else self.url.get_secret_value(),
            self.secret.get_secret_value(),
            message.id,
            body(message),
            now=datetime.now(UTC),
            timeout=timedelta(seconds=self.timeout_seconds),
            ca_file=self.ca_file,
        )


def body(message: Message) -> bytes:
    """What a webhook carries: `type`, `timestamp`, `data`; all that the message says, and its facts for machines."""
    event = {
        "type": message.kind.value.replace("_", ".", 1),
        "timestamp": message.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": {
            "title": message.title,
            "body": message.body,
            "severity": message.severity,
            "thread": message.thread,
            "fields": [{"label": field.label, "value": field.value} for field in message.fields],
            "sections": [
                {"heading": section.heading, "lines": [{"text": line.text, "url": line.url} for line in section.lines]}
                for section in message.sections
            ],
            "links": [{"label": button.label, "url": button.url} for button in message.buttons],
            "facts": dict(message.data),
        },
    }
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")


def post_signed(
    url: str,
    secret: str,
    message_id: str,
    content: bytes,
    *,
    now: datetime,
    timeout: timedelta,
    ca_file: str | None = None,
    word: str | None = None,
) -> Delivery:
    """POST `content` once. No redirect is followed. Raises `ChannelError`, which names the host and never the whole URL."""
    origin = _origin(url)
    timestamp = int(now.timestamp())
    message_id = quote(message_id, safe=":")  # a header holds neither line breaks nor other scripts
    headers = {
        "content-type": "application/json",
        "user-agent": "nightshift",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, content),
    }
    if word is not None:
        headers[WORD_HEADER] = word
    try:
        with (
            httpx.Client(timeout=timeout.total_seconds(), verify=_trust(ca_file), follow_redirects=False) as client,
            client.stream("POST", url, content=content, headers=headers) as response,
        ):
            return _judge(response, origin, now)
    except httpx.TimeoutException:
        message = f"{origin} did not answer within {timeout.total_seconds():g} s"
        raise ChannelError(message) from None
    except httpx.TransportError as error:
        message = f"{origin} cannot be reached: {error}"
        raise ChannelError(message) from None


def _trust(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _origin(url: str) -> str:
    """`https://host:port`: as much of a URL as may be told, for its path or query is often a secret."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "a webhook url starts with https:// or http:// and a host"
        raise ValueError(message)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _judge(response: httpx.Response, origin: str, now: datetime) -> Delivery:
    code = response.status_code
    if response.is_success and _MIGRATING in _short_answer(response):
        message = f"{origin} answered {code}: n8n is starting, and has taken nothing"
        raise ChannelError(message)
    if response.is_success:
        return Delivery(detail=f"{origin} answered {code}")
    if response.is_redirect:
        message = f"{origin} answered {code}, a redirect, which is not followed: configure the address that it leads to"
        raise ChannelError(message, permanent=True)
    retryable = code in {408, 425, 429} or response.is_server_error
    message = f"{origin} answered {code}{', it wants no more of these' if code == httpx.codes.GONE else ''}"
    raise ChannelError(message, permanent=not retryable, retry_after_seconds=_retry_after(response, now) if retryable else None)


def _short_answer(response: httpx.Response) -> bytes:
    """Whatever else a receiver says is not waited for: it has taken it."""
    if not re.fullmatch("[0-9]{1,2}", response.headers.get("content-length", "")):
        return b""
    with suppress(httpx.TransportError):
        return response.read()
    return b""


def _retry_after(response: httpx.Response, now: datetime) -> float | None:
    """RFC 9110 section 10.2.3: seconds, or a date. Nonsense is no answer; more than a day is a day."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)  # `-0000` says UTC and nothing of the sender's zone
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_RETRY_AFTER)
