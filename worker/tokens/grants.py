"""What somebody may do: (verb, jobs, environments). Nothing is allowed that no grant says."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Verb = Literal["run", "ask", "read", "mute", "decide", "resolve", "operate", "admin"]
Role = Literal["viewer", "operator", "admin", "n8n"]
EVERYTHING = "*"


class Grant(BaseModel):
    """One permission. `*` stands for every job or every environment, also those to come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: Verb
    jobs: tuple[str, ...] = Field((EVERYTHING,), min_length=1)
    environments: tuple[str, ...] = Field((EVERYTHING,), min_length=1)
    ad_hoc: bool = False
    """With `run`: also targets that are not in the estate."""

    def covers(self, verb: Verb, job: str | None, environment: str | None, *, ad_hoc: bool) -> bool:
        """None asks about all jobs (or environments) at once, which a grant for some does not cover."""
        return (
            self.verb == verb
            and (EVERYTHING in self.jobs or job in self.jobs)
            and (EVERYTHING in self.environments or environment in self.environments)
            and (self.ad_hoc or not ad_hoc)
        )


def allows(
    grants: Iterable[Grant], verb: Verb, job: str | None = None, environment: str | None = None, *, ad_hoc: bool = False
) -> bool:
    """Whether one of `grants` covers the whole question; without `job` or `environment`: all of them."""
    return any(grant.covers(verb, job, environment, ad_hoc=ad_hoc) for grant in grants)


_ROLE_VERBS: Mapping[Role, Sequence[Verb]] = MappingProxyType(
    {
        "viewer": ("read",),
        "operator": ("run", "ask", "read", "mute", "decide", "resolve", "operate"),
        "admin": get_args(Verb),
        # A canvas triggers and asks; the yes is a person's.
        "n8n": ("run", "ask", "read"),
    }
)


def grants_of_role(role: Role, *, jobs: Sequence[str] = ("*",), environments: Sequence[str] = ("*",)) -> tuple[Grant, ...]:
    """The grants that `role` is a name for, narrowed to `jobs` and `environments`. Only `admin` may run ad-hoc targets."""
    return tuple(
        Grant(verb=verb, jobs=tuple(jobs), environments=tuple(environments), ad_hoc=role == "admin" and verb == "run")
        for verb in _ROLE_VERBS[role]
    )


ROLES: tuple[Role, ...] = get_args(Role)
