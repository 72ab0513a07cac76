"""What Linear says of a team and of an issue, as far as we read it. Tolerant: what we do not know is not looked at."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

OURS = "nightshift"
"""The member of an attachment's metadata that says that it is ours. Linear takes texts and numbers there."""
ENDED = "ended"
OPENED = ("unstarted", "backlog", "triage", "started")
CLOSED = frozenset({"completed", "canceled", "duplicate"})


def client_id(*parts: str) -> str:
    """An id of ours for something in Linear: the same for the same parts, so that it is never made twice.

    Linear asks for version 4 of UUIDs, whose other bits may be any.
    """
    return str(UUID(bytes=hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).digest()[:16], version=4))


class Answer(BaseModel):
    """Frozen, and tolerant of more."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class State(Answer):
    """Of a team's workflow. `type` is one of seven today."""

    id: str
    name: str = ""
    type: str
    position: float = 0.0


class _States(Answer):
    nodes: tuple[State, ...]


class Team(Answer):
    """Where issues are made."""

    id: str
    key: str
    states: _States

    def closing(self, name: str) -> State | None:
        """The state that says done: the one of that name, or the first that is completed."""
        return next((state for state in self._ordered() if (state.name == name if name else state.type == "completed")), None)

    def opening(self) -> State | None:
        """The state of what is to be done."""
        by_type = {state.type: state for state in reversed(self._ordered())}
        return next((by_type[kind] for kind in OPENED if kind in by_type), None)

    def _ordered(self) -> list[State]:
        return sorted(self.states.nodes, key=lambda state: state.position)


class Attachment(Answer):
    """One thing that an issue is about: a finding, a request."""

    url: str
    metadata: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return OURS in self.metadata

    @property
    def ended(self) -> bool:
        return bool(self.metadata.get(ENDED))


class _Page(Answer):
    has_next: bool = Field(alias="hasNextPage")
    end: str | None = Field(None, alias="endCursor")


class Attachments(Answer):
    """One page of them."""

    nodes: tuple[Attachment, ...]
    page: _Page = Field(alias="pageInfo")


class Comment(Answer):
    """One that we asked for."""

    id: str


class Comments(Answer):
    """Those that we asked for."""

    nodes: tuple[Comment, ...]


class Issue(Answer):
    """An issue as it stands. Its attachments are all there once `Desk.standing` has read every page."""

    id: str
    identifier: str
    title: str
    description: str | None
    priority: float
    trashed: bool | None = None
    archived_at: str | None = Field(None, alias="archivedAt")
    state: State
    comments: Comments
    attachments: Attachments

    @property
    def closed(self) -> bool:
        return self.state.type in CLOSED

    @property
    def away(self) -> bool:
        """Archived by Linear some time after it was closed, or thrown away by somebody."""
        return self.archived_at is not None or bool(self.trashed)

    def with_attachments(self, kept: Sequence[Attachment]) -> "Issue":
        """The same with all of them."""
        return self.model_copy(update={"attachments": self.attachments.model_copy(update={"nodes": tuple(kept)})})

    def says(self, message_id: str) -> bool:
        """Whether this message is in it already: it made the issue, or is a comment on it."""
        return bool(self.comments.nodes) or (self.description or "").rstrip().endswith(footer(message_id))


class _Teams(Answer):
    nodes: tuple[Team, ...]


class TeamAnswer(Answer):
    """Teams of one key: one or none."""

    teams: _Teams


class _Issues(Answer):
    nodes: tuple[Issue, ...]


class StandingAnswer(Answer):
    """Issues of one id: one or none."""

    issues: _Issues


class Done(Answer):
    """Of every mutation."""

    success: bool


def footer(message_id: str) -> str:
    """The end of every text of ours: by it we know our own after an answer was lost."""
    return f"`{message_id.replace('`', '')}`"
