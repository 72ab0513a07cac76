"""Who calls, and what they may do: a token in `Authorization`, or a person's session cookie."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from pydantic import TypeAdapter

from worker.api.gateway import Gateway, Here
from worker.api.problems import ProblemError
from worker.flow.errors import Forbidden
from worker.ledger import people
from worker.records import Actor, ActorKind, Trigger
from worker.tokens import Grant, Session, Verb, allows, hash_token

COOKIE = "nightshift_session"
CSRF_HEADER = "X-CSRF-Token"
ON_BEHALF_HEADER = "X-On-Behalf-Of"
ASK = "ask"
"""The job whose questions are gates."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_GRANTS = TypeAdapter(tuple[Grant, ...])
_PERSONS = uuid.UUID("6e696768-7473-5869-8674-706572736f6e")
"""Any constant does: the families of persons' idempotency keys are made under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever makes a request."""

    actor: Actor
    grants: Sequence[Grant]
    family: str
    """Scope of idempotency keys: a token's family, kept when it is rotated; a person's own."""
    session: Session | None = None

    @property
    def trigger(self) -> Trigger:
        return Trigger.N8N if self.actor.kind is ActorKind.N8N else Trigger.API

    def may(self, verb: Verb, job: str | None = None, environment: str | None = None, *, ad_hoc: bool = False) -> bool:
        """Without `job` or `environment`: all of them."""
        return allows(self.grants, verb, job, environment, ad_hoc=ad_hoc)

    def require(self, verb: Verb, job: str | None = None, environment: str | None = None, *, ad_hoc: bool = False) -> None:
        """Raise `Forbidden`, naming what would be needed."""
        if self.may(verb, job, environment, ad_hoc=ad_hoc):
            return
        what = f"{job or 'every job'} in {f'environment {environment!r}' if environment else 'every environment'}"
        how = ", for targets that are not in the estate" if ad_hoc else ""
        held = sorted({grant.verb for grant in self.grants})
        message = f"{self.actor} has no grant `{verb}` on {what}{how}; its grants cover {', '.join(held) or 'nothing'}"
        raise Forbidden(message, code="ad_hoc_forbidden" if ad_hoc else None)

    def permit_asking(self, environment: str) -> None:
        """For `flow.gates`."""
        self.require("ask", ASK, environment)

    def require_somewhere(self, verb: Verb) -> None:
        """Raise `Forbidden` unless there is a job and an environment for which they may."""
        if not self.may_somewhere(verb):
            self.require(verb)

    def may_somewhere(self, verb: Verb) -> bool:
        """Whether there is a job and an environment for which they may."""
        return any(grant.verb == verb for grant in self.grants)

    def permit(self, job: str, environment: str, ad_hoc: bool) -> None:  # noqa: FBT001 - the shape of a Permit
        """For `flow.enqueue`."""
        self.require("run", job, environment, ad_hoc=ad_hoc)


def _caller(request: Request, here: Here) -> Caller:
    if "authorization" in request.headers:
        return by_token(request, here)
    caller = by_session(request, here)
    if caller is None:
        detail = "send `Authorization: Bearer nst_…`; `nightshift token create` makes a token"
        raise _unauthorized("token_missing", detail)
    if request.method not in SAFE_METHODS:
        check_csrf(here, caller, request.headers.get(CSRF_HEADER, ""))
    return caller


Who = Annotated[Caller, Depends(_caller)]


def by_token(request: Request, here: Gateway) -> Caller:
    """The token of the `Authorization` header. Every request asks the ledger: a revoked token is dead at once."""
    scheme, _, token = request.headers["authorization"].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthorized("token_malformed", "send `Authorization: Bearer nst_…`")
    with here.shift.ledger.read() as connection:
        row = people.token_by_hash(connection, hash_token(token.strip()))
    if row is None:
        raise _unauthorized("token_unknown", "no such token; `nightshift token create` makes one")
    if row.revoked_at is not None:
        raise _unauthorized("token_revoked", f"token {row.name!r} was revoked at {row.revoked_at:%Y-%m-%d %H:%M} UTC")
    if row.expires_at <= here.shift.clock():
        detail = f"token {row.name!r} expired at {row.expires_at:%Y-%m-%d %H:%M} UTC; `nightshift token create` makes a new one"
        raise _unauthorized("token_expired", detail)
    actor = Actor(row.kind, row.name, _on_behalf_of(request, row.kind))
    request.state.token_of = actor
    # A person's own token says who it is; what they may do is asked of the configuration in force, as for a session.
    of_person = row.kind is ActorKind.PERSON
    grants = tuple(here.grants_of(row.name)) if of_person else _GRANTS.validate_python(row.grants)
    return Caller(actor=actor, grants=grants, family=row.family)


def refuse_machines(request: Request, here: Gateway) -> None:
    """Raise `Forbidden` for the bearer of a token: pages, links and their forms are for people in browsers."""
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        caller = by_token(request, here)
        raise Forbidden(f"{caller.actor} comes with a token: pages are for people who are signed in", code="not_a_person")


def by_session(request: Request, here: Gateway) -> Caller | None:
    """The person of the session cookie, with what they may do now; None without a valid one."""
    session = here.sessions.read(request.cookies.get(COOKIE, ""))
    if session is None:
        return None
    return Caller(
        actor=Actor(ActorKind.PERSON, session.person),
        grants=tuple(here.grants_of(session.person)),
        family=str(uuid.uuid5(_PERSONS, session.person)),
        session=session,
    )


def check_csrf(here: Gateway, caller: Caller, token: str) -> None:
    """Raise a problem unless `token` came from a page of this very session."""
    if caller.session is None or not here.sessions.csrf_matches(caller.session, token):
        detail = (
            f"a session's write needs the CSRF token of its pages, as {CSRF_HEADER} or form member `csrf`; load the page again"
        )
        raise ProblemError(403, "csrf", detail)


def over_tls(request: Request, here: Gateway) -> bool:
    """Whether browsers reach us by TLS, so that cookies are for TLS alone."""
    return request.url.scheme == "https" or (here.settings.base_url or "").startswith("https://")


def _on_behalf_of(request: Request, kind: ActorKind) -> str | None:
    named = request.headers.get(ON_BEHALF_HEADER)
    if named is None:
        return None
    if kind is not ActorKind.N8N:
        raise ProblemError(422, "on_behalf_of", "only a token of kind n8n speaks for others", field=ON_BEHALF_HEADER)
    if not re.fullmatch(r"[\w.@+\- ]{1,100}", named):
        detail = "accepted: up to 100 letters, digits, spaces and . @ + - _"
        raise ProblemError(422, "on_behalf_of", detail, field=ON_BEHALF_HEADER)
    return named


def _unauthorized(code: str, detail: str) -> ProblemError:
    return ProblemError(401, code, detail, headers={"WWW-Authenticate": 'Bearer realm="nightshift"'})
