"""API tokens: made, rotated and revoked. The text is shown once; the ledger keeps its hash."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from worker.flow.errors import Forbidden, Invalid, NotFound, Refused
from worker.flow.shift import Shift
from worker.flow.verbs import note
from worker.ledger import people
from worker.ledger.rows import new_id
from worker.records import Actor, ActorKind, TokenRow
from worker.tokens import Grant, hash_token, new_api_token


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made."""

    row: TokenRow
    text: str = field(repr=False)
    """Shown now, and never again."""


def create_token(
    shift: Shift,
    name: str,
    grants: Sequence[Grant],
    actor: Actor,
    *,
    lifetime: timedelta,
    kind: ActorKind = ActorKind.TOKEN,
    replaces: str | None = None,
) -> NewToken:
    """Make a token. `replaces` is the id of one whose family it joins, so that idempotency keys go on. Raises `Invalid`.

    Of kind PERSON it stands for the person called `name`, and has no grants of its own: the configuration in force says.
    """
    if not name.strip():
        raise Invalid("a token needs a name: it is what the audit shows", field="name")
    if kind is ActorKind.PERSON:
        _require_person(shift, name, grants)
    elif not grants:
        raise Invalid("a token without any grant can do nothing: give a role or grants", field="grants")
    text, now = new_api_token(), shift.clock()
    with shift.ledger.transaction() as tx:
        known = {token.id: token for token in people.tokens(tx)}
        if replaces is not None and replaces not in known:
            raise NotFound(f"no token {replaces}", field="replaces")
        row = TokenRow(
            id=new_id(),
            name=name,
            family=known[replaces].family if replaces else new_id(),
            kind=kind,
            grants=[grant.model_dump(mode="json") for grant in grants],
            created_by=str(actor),
            created_at=now,
            expires_at=now + lifetime,
            revoked_at=None,
        )
        people.insert_token(tx, row, hash_token(text))
        note(tx, now, actor, "token.created", "token", row.id, name=name, expires_at=row.expires_at.isoformat())
    return NewToken(row, text)


def _require_person(shift: Shift, name: str, grants: Sequence[Grant]) -> None:
    if grants:
        raise Invalid("a person's token has no grants of its own: people.toml says what they may", field="grants")
    if shift.estate().person(name) is None:
        raise NotFound(f"nobody is called {name!r} in the configuration in force", field="person")


def person_of(shift: Shift, text: str) -> str:
    """Whose own token it is. Raises `Forbidden` (`token_unknown`, `token_revoked`, `token_expired`, `not_a_person`)."""
    with shift.ledger.read() as connection:
        row = people.token_by_hash(connection, hash_token(text))
    again = "`nightshift token create --person NAME` makes one"
    if row is None:
        raise Forbidden(f"no such token; {again}", code="token_unknown")
    if row.revoked_at is not None:
        raise Forbidden(f"token {row.name!r} was revoked at {row.revoked_at:%Y-%m-%d %H:%M} UTC", code="token_revoked")
    if row.expires_at <= shift.clock():
        raise Forbidden(f"token {row.name!r} expired at {row.expires_at:%Y-%m-%d %H:%M} UTC; {again}", code="token_expired")
    if row.kind is not ActorKind.PERSON:
        told = f"{row.kind}:{row.name} can ask and cannot decide: a decision needs a person's own token; {again}"
        raise Forbidden(told, code="not_a_person")
    return row.name


def revoke_token(shift: Shift, token_id: str, actor: Actor) -> None:
    """Dead from the next request on. Raises `NotFound`, `Refused`."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        if not people.revoke_token(tx, token_id, now):
            if token_id in {token.id for token in people.tokens(tx)}:
                raise Refused(f"token {token_id} was revoked before")
            raise NotFound(f"no token {token_id}")
        note(tx, now, actor, "token.revoked", "token", token_id)
