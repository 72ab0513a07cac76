"""What is done with an issue in Linear: looked up, made, commented on, kept up to date. Every write may come twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from notifications import render
from notifications.channel import ChannelError
from notifications.linear import documents, words
from notifications.linear.standing import (
    ENDED,
    OURS,
    Answer,
    Attachment,
    Comment,
    Comments,
    Done,
    Issue,
    StandingAnswer,
    Team,
    TeamAnswer,
)
from notifications.linear.transport import Refused, Talk, Unanswered
from notifications.message import Message, MessageKind

AnswerT = TypeVar("AnswerT", bound=Answer)
_TITLE = 200


@dataclass(frozen=True, slots=True)
class Desk:
    """One delivery's work. Raises `ChannelError`."""

    talk: Talk

    def team(self, key: str) -> Team:
        found = _read(TeamAnswer, self.talk.ask(documents.TEAM, key=key)).teams.nodes
        if not found:
            raise ChannelError(f"Linear shows no team with the key {key!r} to this token", permanent=True)
        return found[0]

    def standing(self, issue_id: str, comment_id: str) -> Issue | None:
        """The issue with all its attachments, and this comment if it is there; None: there is no such issue."""
        kept: list[Attachment] = []
        after: str | None = None
        while True:
            answer = _read(StandingAnswer, self.talk.ask(documents.STANDING, issue=issue_id, comment=comment_id, after=after))
            if not answer.issues.nodes:
                return None
            issue = answer.issues.nodes[0]
            kept += issue.attachments.nodes
            after = issue.attachments.page.end
            if not issue.attachments.page.has_next or after is None:
                return issue.with_attachments(kept)

    def create(self, team: Team, issue_id: str, comment_id: str, message: Message) -> Issue:
        """Make the issue, unless somebody was faster."""
        given = {
            "id": issue_id,
            "teamId": team.id,
            "title": words.title(message),
            "description": words.description(message),
            "priority": words.priority(message),
        }
        try:
            self._do(documents.CREATE_ISSUE, "issueCreate", input=given)
        except (Unanswered, Refused) as error:
            # It may be there all the same, made by this request or by an earlier one: its id tells.
            return self._there(issue_id, comment_id, error)
        return self._there(issue_id, comment_id, Unanswered("Linear does not show the issue that it made"))

    def comment(self, issue: Issue, comment_id: str, message: Message) -> Issue:
        """Say it on the issue, once."""
        given = {"id": comment_id, "issueId": issue.id, "body": words.comment(message)}
        try:
            self._do(documents.CREATE_COMMENT, "commentCreate", input=given)
        except (Unanswered, Refused) as error:
            there = self._there(issue.id, comment_id, error)
            if not there.comments.nodes:
                raise
            return there
        return issue.model_copy(update={"comments": Comments(nodes=(Comment(id=comment_id),))})

    def settle(self, team: Team, issue: Issue, message: Message, done: str) -> str:
        """Note what the message is about, and open or close the issue accordingly; says which, if either."""
        items = self._noted(issue, message)
        if words.opens(message) and issue.away:
            self._do(documents.UNARCHIVE_ISSUE, "issueUnarchive", issue=issue.id)
        change = changes(team, issue, items, message, done)
        if change:
            self._do(documents.UPDATE_ISSUE, "issueUpdate", issue=issue.id, input=change)
        if "stateId" not in change:
            return ""
        return ", opened again" if issue.closed else ", closed"

    def rewrite(self, issue: Issue, comment_id: str, message: Message) -> None:
        """Show `message` in the place of what was said."""
        if comment_id:
            self._do(documents.UPDATE_COMMENT, "commentUpdate", comment=comment_id, input={"body": words.comment(message)})
            return
        change = {"title": words.title(message), "description": words.description(message)}
        self._do(documents.UPDATE_ISSUE, "issueUpdate", issue=issue.id, input=change)

    def _noted(self, issue: Issue, message: Message) -> Mapping[str, Attachment]:
        """What the issue is about, by address, with what `message` says of one of them."""
        items = {item.url: item for item in issue.attachments.nodes if item.ours}
        item = item_of(message)
        if item is None or items.get(item.url) == item:
            return items
        given = {
            "issueId": issue.id,
            "url": item.url,
            "title": words.title(message),
            "subtitle": f"{'over' if item.ended else message.severity}, {render.instant(message.at)}",
            "metadata": dict(item.metadata),
        }
        self._do(documents.ATTACH, "attachmentCreate", input=given)
        return {**items, item.url: item}

    def _there(self, issue_id: str, comment_id: str, error: ChannelError) -> Issue:
        """The issue, whatever became of what was asked; raises `error` if it is not there."""
        issue = self.standing(issue_id, comment_id)
        if issue is None:
            raise error
        return issue

    def _do(self, document: str, name: str, **variables: object) -> None:
        if not _read(Done, self.talk.ask(document, **variables).get(name)).success:
            raise Refused("Linear says that it did not do it")


def item_of(message: Message) -> Attachment | None:
    """What a message is about, as an attachment: known by the address of its page. None: it has none, as a digest."""
    url = next((button.url for button in message.buttons if button.url.startswith(("https://", "http://"))), None)
    if url is None or message.thread is None:
        return None
    return Attachment(url=url, metadata={OURS: message.thread, ENDED: int(words.ends(message)), "severity": message.severity})


def changes(team: Team, issue: Issue, items: Mapping[str, Attachment], message: Message, done: str) -> dict[str, Any]:
    """How the issue is to change. Its priority only rises, and a state that people gave it stays while nothing is news."""
    going_on = [item for item in items.values() if not item.ended]
    if not words.opens(message):
        over = bool(items) and not going_on and words.ends(message) and not issue.closed
        return {"stateId": _state(team, done)} if over else {}
    change: dict[str, Any] = {}
    if issue.closed and (state := team.opening()) is not None:
        change["stateId"] = state.id
    wanted = words.priority(message)
    if wanted and (not issue.priority or wanted < issue.priority):
        change["priority"] = wanted
    if message.kind is MessageKind.FINDING_OPENED and len(going_on) == 1 and issue.title != words.title(message):
        change["title"] = words.title(message)
    return change


def _state(team: Team, done: str) -> str:
    state = team.closing(done)
    if state is None:
        raise ChannelError(f"team {team.key} has no state {done!r}" if done else f"team {team.key} has no completed state")
    return state.id


def _read(model: type[AnswerT], value: object) -> AnswerT:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "all of it"
        raise Unanswered(f"Linear's answer is not what was asked for ({where})") from None
