"""Signing in to the console: a one-time link is made for a person, and spent once."""

from datetime import timedelta

from worker.flow.errors import Refused
from worker.flow.shift import Shift
from worker.flow.verbs import note
from worker.ledger import links
from worker.records import Actor, ActorKind, Link
from worker.tokens import hash_token, new_link_token

LOGIN = "login"
LINK_LIFETIME = timedelta(minutes=30)


def make_login_link(shift: Shift, person: str, actor: Actor, lifetime: timedelta = LINK_LIFETIME) -> str:
    """A fresh token; the link is `<base url>/login/<token>`. Only its hash is kept."""
    token, now = new_link_token(), shift.clock()
    with shift.ledger.transaction() as tx:
        link = Link(
            sha256=hash_token(token),
            person=person,
            purpose=LOGIN,
            approval_id=None,
            channel=None,
            created_at=now,
            expires_at=now + lifetime,
        )
        links.insert_link(tx, link)
        note(tx, now, actor, "person.link_made", "person", person, expires_at=(now + lifetime).isoformat())
    return token


def spend_login_link(shift: Shift, token: str) -> str:
    """The person the link was made for. Raises `Refused` when it is unknown, spent or expired: it never says which."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        person = links.use(tx, hash_token(token), purpose=LOGIN, now=now)
        if person is None:
            message = "this link was used before, has expired or never existed: make a new one with `nightshift login`"
            raise Refused(message, code="link_spent")
        note(tx, now, Actor(ActorKind.PERSON, person), "person.signed_in", "person", person)
    return person
