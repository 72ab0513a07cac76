"""One team in Linear: an issue for each cause, told on, and closed once everything that it is about is over."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, SecretStr

from notifications.channel import ChannelError, Delivery
from notifications.linear import words
from notifications.linear.desk import Desk
from notifications.linear.standing import Team, client_id
from notifications.linear.transport import Talk
from notifications.message import Message

_REPORTS = "reports"


@dataclass(frozen=True, kw_only=True)
class LinearChannel:
    """Issues in one team.

    Findings with one cause, and requests to mend them, share an issue, whose id follows from team and cause: it is never made
    twice. Each of them is an attachment of it, which says whether it is over; with the last one the issue is closed, and what
    comes back opens it again.
    """

    team: Annotated[str, Field(min_length=1, max_length=20)]
    """Its key, as its issues begin: `OPS` of `OPS-12`."""
    token: SecretStr
    """A personal API key, `lin_api_…`, or an OAuth token of an app."""
    done: str = ""
    """Name of the state that closes an issue; left out: the first of the team's that is completed."""
    api_url: str = "https://api.linear.app/graphql"
    timeout_seconds: Annotated[float, Field(gt=0, le=10)] = 10.0
    """For each request; a delivery takes two to six."""
    _teams: dict[str, Team] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.api_url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("api_url starts with https://: the token is not sent in the clear")
        token = self.token.get_secret_value()
        if not token or not token.isascii() or any(c.isspace() for c in token):
            raise ValueError("the token is empty, or has spaces, line breaks or letters beyond ASCII in it")

    def deliver(self, message: Message) -> Delivery:
        desk = self._desk()
        team = self._team(desk)
        issue_id = message.reply_to.partition(":")[0] if message.reply_to else _issue_id(team, message)
        comment_id = client_id(issue_id, message.id)
        issue = desk.standing(issue_id, comment_id)
        if issue is None and words.ends(message):
            return Delivery(detail=f"{team.key} has no issue of it")
        if issue is None:
            issue, did = desk.create(team, issue_id, comment_id, message), "made"
        elif not issue.says(message.id):
            issue, did = desk.comment(issue, comment_id, message), "commented on"
        else:
            did = "there already:"
        state = desk.settle(team, issue, message, self.done)
        said_in = f"{issue.id}:{comment_id}" if issue.comments.nodes else issue.id
        return Delivery(said_in, f"{did} {issue.identifier}{state}")

    def amend(self, reference: str, message: Message) -> Delivery:
        issue_id, _, comment_id = reference.partition(":")
        desk = self._desk()
        issue = desk.standing(issue_id, comment_id or issue_id)
        if issue is None or (comment_id and not issue.comments.nodes):
            raise ChannelError("what was to be edited is not in Linear any more", permanent=True)
        desk.rewrite(issue, comment_id, message)
        return Delivery(reference, f"edited in {issue.identifier}")

    def _desk(self) -> Desk:
        return Desk(Talk(self.token.get_secret_value(), self.api_url, self.timeout_seconds))

    def _team(self, desk: Desk) -> Team:
        """Asked once; its states are asked for again after a refusal."""
        if self.team not in self._teams:
            self._teams[self.team] = desk.team(self.team)
        return self._teams[self.team]


def _issue_id(team: Team, message: Message) -> str:
    return client_id(team.id, message.cause or message.thread or _REPORTS)
