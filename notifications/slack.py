"""Slack, by an app's bot token: messages to a channel, direct messages to one person, and edits of both.

The app needs the scope `chat:write` and an invitation to the channel; no events, no interactivity. Slack has no idempotency
key for messages: one whose answer was lost may be there twice.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from notifications.block_kit import blocks, fallback
from notifications.channel import ChannelError, Delivery
from notifications.message import Message, Recipient

_TOO_MANY = 429
_SERVER_ERROR = 500
# https://docs.slack.dev/reference/methods/chat.postMessage#errors: these pass; whatever else Slack says, it will say again.
_PASSING = frozenset({
    "accesslimited", "fatal_error", "internal_error", "message_limit_exceeded", "rate_limited", "ratelimited",
    "request_timeout", "service_unavailable", "team_added_to_org",
})  # fmt: skip
_ADVICE: Mapping[str, str] = MappingProxyType({
    "account_inactive": "the app's token was taken away: install the app again",
    "channel_not_found": "no such channel, or a private one that the app was not invited to",
    "invalid_auth": "the token is wrong: `xoxb-…`, from the app's page OAuth & Permissions",
    "is_archived": "the channel is archived",
    "missing_scope": "the app lacks the scope chat:write",
    "not_in_channel": "invite the app: /invite @its-name in the channel",
    "token_revoked": "the app's token was taken away: install the app again",
    "user_not_found": "people.toml has a Slack id (`chat.slack`) that nobody has",
})  # fmt: skip
# slack_sdk writes whole requests at DEBUG, and people's links are in them: it gets a log that goes nowhere.
_NOWHERE = logging.getLogger("notifications.slack.nowhere")
_NOWHERE.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, kw_only=True)
class SlackChannel:
    """One channel of a workspace; people are told in direct messages by the same app."""

    channel: Annotated[str, Field(min_length=1)]
    """Its id (`C0123456789`); the name of a public one works too."""
    token: SecretStr
    """The app's bot token, `xoxb-…`."""
    api_url: str = "https://slack.com/api/"
    """Another one for GovSlack: `https://slack-gov.com/api/`."""
    timeout_seconds: Annotated[int, Field(gt=0, le=10)] = 10

    def __post_init__(self) -> None:
        if not self.api_url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("api_url starts with https://: the token is not sent in the clear")
        if not self.token.get_secret_value().isascii() or any(c.isspace() for c in self.token.get_secret_value()):
            raise ValueError("the token has spaces, line breaks or letters beyond ASCII in it")

    def reaches(self, person: Recipient) -> bool:
        return "slack" in person.chat

    def deliver(self, message: Message) -> Delivery:
        where = self.channel if message.to is None else message.to.chat.get("slack")
        if where is None:
            raise ChannelError(f"{message.to.name if message.to else ''} has no Slack id in people.toml", permanent=True)
        thread = None
        if message.reply_to is not None:
            # A direct message is known by the id of the conversation, which Slack gave with the first one.
            where, _, thread = message.reply_to.partition(":")
        quiet = {"unfurl_links": False, "unfurl_media": False}
        said = self._call("chat_postMessage", channel=where, thread_ts=thread, **quiet, **_shown(message))
        return Delivery(f"{said['channel']}:{said['ts']}", f"posted to {said['channel']}")

    def amend(self, reference: str, message: Message) -> Delivery:
        where, _, ts = reference.partition(":")
        said = self._call("chat_update", channel=where, ts=ts, parse="none", **_shown(message))
        return Delivery(f"{said['channel']}:{said['ts']}", f"edited in {said['channel']}")

    def _call(self, method: str, **members: Any) -> Mapping[str, Any]:  # noqa: ANN401 - the SDK's own types
        """One request, and no second one by itself: a message whose answer is lost may have arrived."""
        client = WebClient(
            token=self.token.get_secret_value(),
            base_url=self.api_url,
            timeout=self.timeout_seconds,
            logger=_NOWHERE,
            retry_handlers=[],
        )
        try:
            answer: Mapping[str, Any] = getattr(client, method)(**members).data
        except SlackApiError as error:
            raise _refused(error) from None
        except TimeoutError:
            raise ChannelError(f"Slack did not answer within {self.timeout_seconds} s") from None
        except (OSError, HTTPException, SlackClientError, ValueError) as error:
            timed_out = isinstance(getattr(error, "reason", None), TimeoutError)
            what = f"did not answer within {self.timeout_seconds} s" if timed_out else f"cannot be reached: {_cause(error)}"
            raise ChannelError(f"Slack {what}") from None
        return answer


def _shown(message: Message) -> dict[str, Any]:
    return {"text": fallback(message), "blocks": blocks(message)}


def _cause(error: Exception) -> str:
    """What urllib wraps; never the words of an error that may quote a header, and the token in it."""
    return str(getattr(error, "reason", type(error).__name__))


def _refused(error: SlackApiError) -> ChannelError:
    response = error.response
    status, headers = response.status_code, {name.lower(): value for name, value in response.headers.items()}
    code = response.data.get("error") if isinstance(response.data, Mapping) else None
    if status == _TOO_MANY or code in {"rate_limited", "ratelimited"}:
        after = str(headers.get("retry-after", ""))
        seconds = float(after) if after.isascii() and after.isdigit() else None
        return ChannelError("Slack wants fewer messages (429)", retry_after_seconds=seconds)
    if not isinstance(code, str) or not re.fullmatch(r"[a-z0-9_]{1,60}", code):
        # slack_sdk puts what is no JSON there: a proxy's page, which may quote what we sent.
        return ChannelError(f"Slack answered {status} without a word that we know", permanent=False)
    permanent = code not in _PASSING and status < _SERVER_ERROR
    advice = f": {_ADVICE[code]}" if code in _ADVICE else ""
    return ChannelError(f"Slack refused it as {code}{advice}", permanent=permanent)
