"""The gateway over a ward: people with links and sessions, tokens of every kind, and a picture of the whole ledger."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from html import unescape
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from tests.api.kit import CLI, Served
from tests.approvals.ward import PIN, Ward
from worker.api import create_app
from worker.flow.linking import mint
from worker.flow.nights import join_night
from worker.flow.signing_in import make_login_link
from worker.ledger import approvals, people
from worker.ledger.rows import new_id
from worker.ledger.tables import METADATA
from worker.records import ActorKind, Approval, LinkPurpose, TokenRow
from worker.settings import Settings
from worker.tokens import Grant, Keys, Sessions, grants_of_role, hash_token, new_api_token

ADMIN = grants_of_role("admin")
COUNTING = ("pin_tries",)
"""Tables that change when somebody guesses: nothing else may."""
Picture = Mapping[str, list[str]]


@dataclass
class Hall:
    """A ward with a front door."""

    ward: Ward
    app: FastAPI
    url: str
    settings: Settings
    clients: list[httpx.Client] = field(default_factory=list)
    frozen: Picture = field(default_factory=dict)
    """The picture that a script must leave as it is, and how many audit rows were on it."""
    audited: int = 0

    def freeze_picture(self) -> None:
        """From here on nothing may change."""
        self.frozen = self.picture()
        self.audited = len(self.ward.audit())

    def other_keys(self) -> Keys:
        """Those of another instance."""
        return Keys(self.ward.folder.parent / "other-keys")

    def client(self, token: str | None = None) -> httpx.Client:
        """Nobody in particular, or the bearer of an API token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.Client(base_url=self.url, headers=headers, follow_redirects=False, timeout=60, trust_env=False)
        self.clients.append(client)
        return client

    def token(
        self, kind: ActorKind = ActorKind.PERSON, name: str = "bo", grants: Sequence[Grant] = ADMIN, *, days: int = 1
    ) -> str:
        """An API token; of a person, what it may do is in the configuration."""
        text, now = new_api_token(), self.ward.rig.clock()
        row = TokenRow(
            id=new_id(),
            name=name,
            family=new_id(),
            kind=kind,
            grants=[grant.model_dump(mode="json") for grant in grants],
            created_by="test",
            created_at=now,
            expires_at=now + timedelta(days=days),
            revoked_at=None,
        )
        with self.ward.rig.ledger.transaction() as tx:
            people.insert_token(tx, row, hash_token(text))
        return text

    def link(
        self, approval: Approval, person: str = "bo", channel: str = "mail", purpose: LinkPurpose = LinkPurpose.DECIDE
    ) -> str:
        """The token of a fresh link."""
        return mint(self.ward.rig.shift, approval, person, channel, purpose)

    def opened(self, approval: Approval, person: str = "bo") -> httpx.Client:
        """A browser in which the person opened their link."""
        client = self.client()
        assert client.get(f"/a/{self.link(approval, person, new_id())}").status_code == 303
        return client

    def login_token(self, person: str = "bo") -> str:
        return make_login_link(self.ward.rig.shift, person, CLI)

    def signed_in(self, person: str = "bo") -> httpx.Client:
        client = self.client()
        assert client.post("/login", data={"token": self.login_token(person)}).status_code == 303
        return client

    def picture(self, without: Sequence[str] = ()) -> Picture:
        """Every row of every table."""
        with self.ward.rig.ledger.read() as connection:
            return {
                table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
                for table in METADATA.sorted_tables
                if table.name not in without
            }


def copy_of(ward: Ward, approval: Approval, number: int) -> Approval:
    """Another pending request for the same plan, as if it were of another subject."""
    copy = replace(approval, id=new_id(), subject=f"{approval.subject} {number}")
    with ward.rig.ledger.transaction() as tx:
        approvals.insert_approval(tx, copy)
    return copy


def form_of(page: str, approval: Approval | None = None) -> dict[str, str]:
    """The hidden members of the form that decides; without one, of the first form that is not the header's."""
    action = f"/approvals/{approval.id}/decide" if approval else r"/approvals/[^\"]+"
    found = re.search(rf'<form[^>]*action="{action}".*?</form>', page, re.DOTALL)
    assert found is not None, page
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', found[0]))


def text_of(page: str) -> str:
    """What a person reads of it."""
    return unescape(re.sub(r"<[^>]+>", " ", page))


def yes(page: str, **members: str) -> dict[str, str]:
    """The form as a person fills it in."""
    return {**form_of(page), "choice": "approve", "reason": "it must be", "pin": PIN, **members}


def page_of(client: httpx.Client, approval: Approval) -> str:
    answer = client.get(f"/approvals/{approval.id}")
    assert answer.status_code == 200, answer.text
    return answer.text


def decide_on(client: httpx.Client, approval: Approval, **members: str) -> httpx.Response:
    """Load the page, fill in the form, send it."""
    return client.post(f"/approvals/{approval.id}/decide", data=yes(page_of(client, approval), **members))


@contextmanager
def open_hall(ward: Ward, served: Served, **settings: Any) -> Iterator[Hall]:
    shift = ward.rig.shift

    def grants_of(name: str) -> Sequence[Grant]:
        known = shift.estate().person(name)
        return known.grants if known else ()

    made = Settings(home=ward.folder.parent, body_limit_kb=16, **settings)
    app = create_app(
        shift,
        made,
        Sessions(shift.keys, timedelta(hours=made.people_session_hours), shift.clock),
        grants_of=grants_of,
        join_night=partial(join_night, shift),
        broker_trouble=lambda: None,
    )
    hall = Hall(ward, app, served.url, made)
    served.app = app
    yield hall
    for client in hall.clients:
        client.close()
