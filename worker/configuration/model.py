"""What a configuration says, validated; the same whether it comes from files or from a revision in the ledger."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from notifications.config import RoutesConfig
from schedules.schedule import Schedule
from tasks.context import Entry, Mode
from tasks.job import Job
from worker.policy import Policy
from worker.tokens import Grant, grants_of_role
from worker.tokens.pins import is_pin_hash

EVERYWHERE = "*"
PersonRole = Literal["viewer", "operator", "admin"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Defaults(_Part):
    """`[defaults]` of estate.toml: what entries that do not say get."""

    environment: str = Field("default", min_length=1)
    owner: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class Environment(_Part):
    """`[environments.NAME]` of estate.toml."""

    mode: Mode = Field("observe", description="observe: findings only; propose: shows what it would ask; execute: asks and does.")


class Account(_Part):
    """`[accounts.NAME]` of estate.toml: a cloud account, or whatever else entries share that takes only so much at once."""

    at_once: int = Field(ge=1, le=1000, description="So many runs may look at it at the same time.")


def _pin_hash(text: str) -> str:
    if not is_pin_hash(text):
        raise ValueError("not a PIN's hash; make one with `nightshift people pin NAME`")
    return text


def _mailbox(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError("no e-mail address; accepted: one such as ana@example.com")
    return text


RESERVED = frozenset({"operator", "nobody"})
"""`operator` is whoever can run our command line on the machine itself."""


def _name(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text)
    if plain != text or text != text.strip() or not text.isprintable() or " for " in text or set(text) & set(",:"):
        raise ValueError("accepted: letters, digits and spaces as they are usually written, without `,`, `:` and ` for `")
    if text.casefold() in RESERVED:
        raise ValueError(f"is reserved; accepted: any name but {', '.join(sorted(RESERVED))}")
    return text


class Person(_Part):
    """`[[person]]` of people.toml."""

    name: Annotated[str, AfterValidator(_name)] = Field(min_length=1, max_length=100, description="unique; what the audit shows")
    email: Annotated[str, AfterValidator(_mailbox)] | None = None
    chat: dict[str, str] = Field(default_factory=dict)
    """Identities by kind of channel: `{slack = "U0123"}`."""
    roles: dict[str, tuple[PersonRole, ...]] = Field(default_factory=dict)
    """By environment; `*` is every one."""
    pin_hash: Annotated[str, AfterValidator(_pin_hash)] | None = Field(None, repr=False)

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What the roles amount to."""
        return tuple(
            grant
            for environment, roles in self.roles.items()
            for role in roles
            for grant in grants_of_role(role, environments=(environment,))
        )


class Configuration(_Part):
    """One validated set of estate, people, policy, routes and schedules."""

    format: Literal[1] = 1
    defaults: Defaults = Defaults()
    environments: dict[str, Environment] = Field(default_factory=dict)
    accounts: dict[str, Account] = Field(default_factory=dict)
    estate: dict[str, tuple[dict[str, JsonValue], ...]] = Field(default_factory=dict)
    """By job; each entry as written, with the defaults filled in."""
    people: tuple[Person, ...] = ()
    policy: Policy = Policy()
    routes: dict[str, JsonValue] = Field(default_factory=dict)
    """As written; `routing` is its meaning."""
    schedules: tuple[Schedule, ...] = ()

    @cached_property
    def content(self) -> dict[str, Any]:
        """All of it as JSON; `Configuration.model_validate` reads it back."""
        content = self.model_dump(mode="json")
        if not self.accounts:
            # What does not use them has the same digest as before there were any, and older processes can read it.
            del content["accounts"]
        return content

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the content as canonical JSON: sorted members, no spaces, UTF-8."""
        text = json.dumps(self.content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def routing(self) -> RoutesConfig:
        """Channels, routes, the digest, quiet hours and caps; secrets are still references."""
        return RoutesConfig.model_validate(self.routes)

    @property
    def modes(self) -> Mapping[str, Mode]:
        """By environment; one that is not declared has `observe`."""
        return MappingProxyType({name: environment.mode for name, environment in self.environments.items()})

    def entries(self, job: Job[Any]) -> Sequence[Entry]:
        """The job's entries in the file's order, typed. A job without a table has one entry of its own name."""
        if job.entry is None:
            return (Entry(name=job.name, **self.defaults.model_dump()),)
        return tuple(job.entry.model_validate(entry) for entry in self.estate.get(job.name, ()))

    def person(self, name: str) -> Person | None:
        """By name, or by e-mail address in any case."""
        return next((p for p in self.people if p.name == name or (p.email or "").lower() == name.lower()), None)
