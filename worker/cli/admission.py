"""The commands about tokens, links, people and keys."""

from collections.abc import Collection
from datetime import timedelta
from typing import get_args

from pydantic import ValidationError

from worker import configuration
from worker.cli.instance import console_url
from worker.cli.opening import actor, loaded, shift
from worker.cli.printing import say, show_json, show_table
from worker.cli.refusals import Refusal
from worker.cli.work import TAIL
from worker.flow import Shift
from worker.flow.api_tokens import NewToken
from worker.flow.api_tokens import create_token as make_token
from worker.flow.api_tokens import revoke_token as kill_token
from worker.flow.errors import NotFound
from worker.flow.shown import shown
from worker.flow.signing_in import LINK_LIFETIME, make_login_link
from worker.ledger import people
from worker.records import ActorKind, TokenRow
from worker.tokens import ROLES, Grant, Keys, Verb, grants_of_role
from worker.tokens.grants import EVERYTHING

OPERATOR = "operator"
"""Whoever can start commands in the home of an instance; needs no entry in people.toml."""
AD_HOC = "ad_hoc"
_GRANT_PARTS = 3


def create_token(
    name: str, role: str | None, grants: list[str], days: float | None, replaces: str | None, *, as_json: bool
) -> None:
    """Make it and show it."""
    opened = shift()
    lifetime = timedelta(days=loaded().settings.token_days if days is None else days)
    kind = ActorKind.N8N if role == "n8n" else ActorKind.TOKEN
    replaced = _token_id(opened, replaces) if replaces else None
    made = make_token(opened, name, _grants(opened, role, grants), actor(), lifetime=lifetime, kind=kind, replaces=replaced)
    _show(made, as_json=as_json)


def create_persons_token(name: str, days: float | None, replaces: str | None, *, as_json: bool) -> None:
    """The same for a person of the configuration in force; the configuration says what it may."""
    opened = shift()
    lifetime = timedelta(days=loaded().settings.token_days if days is None else days)
    replaced = _token_id(opened, replaces) if replaces else None
    made = make_token(opened, _person(opened, name), [], actor(), lifetime=lifetime, kind=ActorKind.PERSON, replaces=replaced)
    _show(made, as_json=as_json)


def _show(made: NewToken, *, as_json: bool) -> None:
    if as_json:
        show_json(shown(made.row) | {"token": made.text})
    else:
        say(made.text)


def list_tokens(*, as_json: bool) -> None:
    """All of them, also those that expired."""
    opened = shift()
    with opened.ledger.read() as connection:
        rows = people.tokens(connection)
    if as_json:
        show_json([shown(row) for row in rows])
        return
    now = opened.clock()
    shown_rows = [
        (
            row.id[-TAIL:],
            row.name,
            _may(row),
            row.expires_at,
            "revoked" if row.revoked_at else "expired" if row.expires_at <= now else "valid",
        )
        for row in rows
    ]
    show_table(
        ["token", "name", "may", "expires", "state"], shown_rows, empty="No tokens: `nightshift token create NAME --role …`."
    )


def _may(row: TokenRow) -> str:
    if row.kind is ActorKind.PERSON:
        return "what the person may"
    return ", ".join(sorted({str(grant["verb"]) for grant in row.grants}))


def revoke_token(text: str) -> None:
    """By id, or by its end."""
    opened = shift()
    kill_token(opened, _token_id(opened, text), actor())
    say("revoked")


def login(person: str | None, *, as_json: bool) -> None:
    """Make a link and show it."""
    opened = shift()
    name = _person(opened, person) if person else OPERATOR
    link = login_link(opened, console_url(loaded().settings), name)
    if as_json:
        show_json({"url": link, "person": name, "expires_at": (opened.clock() + LINK_LIFETIME).isoformat()})
    else:
        say(link)


def login_link(opened: Shift, url: str, person: str = OPERATOR) -> str:
    """A one-time address that signs `person` in."""
    return f"{url}/login/{make_login_link(opened, person, actor())}"


def instance_keys() -> Keys:
    """Those of this home; made if there are none yet."""
    settings = loaded().settings
    return Keys(settings.home / "keys", settings.key_file)


def _grants(opened: Shift, role: str | None, texts: list[str]) -> list[Grant]:
    if role is not None and role not in ROLES:
        raise Refusal(f"--role {role}: accepted are {', '.join(ROLES)}")
    named = [grant for known in ROLES if known == role for grant in grants_of_role(known)]
    return [*named, *(_grant(text, opened.jobs) for text in texts)]


def _grant(text: str, jobs: Collection[str]) -> Grant:
    """`verb`, `verb:jobs`, `verb:jobs:environments`, lists with commas; `ad_hoc` after them."""
    verb, *rest = text.split(":")
    if len(rest) > _GRANT_PARTS or rest[2:] not in ([], [AD_HOC]):
        raise Refusal(f"--grant {text}: accepted is VERB[:JOBS[:ENVIRONMENTS[:{AD_HOC}]]], as in run:certificates:prod:{AD_HOC}")
    parts = [tuple(part.split(",")) if part else (EVERYTHING,) for part in (*rest, "", "")[:2]]
    try:
        grant = Grant.model_validate({"verb": verb, "jobs": parts[0], "environments": parts[1], "ad_hoc": bool(rest[2:])})
    except ValidationError:
        raise Refusal(f"--grant {text}: accepted verbs are {', '.join(get_args(Verb))}, as in run:certificates:prod") from None
    if unknown := sorted({*grant.jobs} - {*jobs, EVERYTHING}):
        raise Refusal(f"--grant {text}: no job is called {unknown[0]!r}: jobs are {', '.join(sorted(jobs))}, or {EVERYTHING}")
    return grant


def _token_id(opened: Shift, text: str) -> str:
    with opened.ledger.read() as connection:
        found = [row.id for row in people.tokens(connection) if row.id.endswith(text)]
    if len(found) != 1:
        raise NotFound(f"{len(found)} tokens end in {text}" if found else f"no token {text}: see `nightshift token list`")
    return found[0]


def _person(opened: Shift, name: str) -> str:
    in_force = configuration.current(opened.ledger)
    found = in_force[1].person(name) if in_force else None
    if found is None:
        known = ", ".join(person.name for person in in_force[1].people) if in_force else ""
        raise NotFound(f"nobody is called {name!r} in the configuration in force: people are {known or 'none'}")
    return found.name
