"""What the operator writes down about a stack, and what a run may be told."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path, PurePath
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.context import Entry, Load
from tasks.job import Params
from tasks.model import Severity
from tasks.programs import Argv, Name, Text
from tasks.stacks import Backend, Source, Stack

_STACK_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
"""What Pulumi takes for organization, project and stack."""


class _Rule(BaseModel):
    """A rule names resources by type and properties by path; `*` stands for any text, as in `aws:ec2/*` and `tags.*`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field("*", description="Resource type, such as `aws:s3/bucket:Bucket`.")
    path: str = Field("*", description="Property path, such as `tags.team`; of a resource that is gone it is empty.")


class IgnoreRule(_Rule):
    """`[[drift.ignore]]`: differences that are noise. Known drift is rather muted: that has an owner and is told again."""

    reason: str = Field(min_length=3, max_length=500, description="Why nobody needs to hear of it.")
    until: date | None = Field(None, description="The last day it holds.")


class SeverityRule(_Rule):
    """`[[drift.severity]]`: the first rule that fits decides, before the rules that ship."""

    severity: Severity
    gone: bool | None = Field(None, description="Only resources that are gone (true) or still there (false).")


class DriftEntry(Entry):
    """One stack to look at; or, without `stack`, a whole backend, whose stacks that no entry names are told of."""

    backend: str = Field(min_length=1, description="Where states lie: `file:///srv/pulumi`, `s3://bucket?region=…`, `https://…`.")
    credentials: dict[Name, Text] = Field(
        default_factory=dict, description="Variables for reaching the backend, each by reference: `env:NAME`, `file:PATH`."
    )
    organization: str = Field(
        "organization", pattern=_STACK_NAME, description="As the backend has it; `organization` in backends of one's own."
    )
    project: str | None = Field(None, pattern=_STACK_NAME, description="Of the stack.")
    stack: str | None = Field(None, pattern=_STACK_NAME, description="Its name. Unset: the entry is the whole backend.")
    path: str | None = Field(None, description="Folder of the program; with `git_url` relative to the root of the repository.")
    git_url: str | None = Field(None, description="Repository of the program.")
    git_ref: str | None = Field(None, description="Branch, tag or commit.")
    passphrase: str | None = Field(None, description="Reference of the passphrase of the stack's secrets.")
    variables: dict[Name, Text] = Field(
        default_factory=dict,
        description="All the environment that program and providers get; values by reference are read for them alone.",
    )
    run_program: bool = Field(default=False, description="Run the program for D, too: for credentials that it makes.")
    full: bool = Field(default=False, description="Compare the program every night, whether or not anything moved.")
    proposes: Literal["revert", "accept"] = Field("revert", description="What is proposed about drift.")
    ignore: tuple[IgnoreRule, ...] = ()
    severity: tuple[SeverityRule, ...] = ()
    gone_percent: float = Field(
        30, gt=0, le=100, description="More of a provider's resources gone than this is taken for a fault of the credentials."
    )
    identity_command: Argv = Field((), description="Says whom the stack's credentials belong to; asked when too much is gone.")
    identity: str | None = Field(None, description="What that must say somewhere, such as an account number.")
    who_command: Argv = Field(
        (), description="Says who changed a resource, of which it is told `{id}`, `{urn}`, `{type}`, `{name}`; its line is shown."
    )
    timeout_seconds: float = Field(240, gt=0, le=540, description="For one look, in seconds.")
    lock_minutes: float = Field(60, ge=0, description="A lock that is older is told of.")
    flips: int = Field(4, ge=2, le=20, description="A property that changed so often within 14 days is told of as flapping.")

    account: str = Field("", description="Cloud account that it is read with, of `[accounts.NAME]`: so many looks go on at once.")
    memory_mb: int = Field(600, ge=0, le=1_000_000, description="MiB that a look takes with its providers; so many go on.")

    estate_only: ClassVar[frozenset[str]] = frozenset({
        "backend", "credentials", "path", "git_url", "passphrase", "variables", "identity_command", "who_command",
    })  # fmt: skip

    @field_validator("credentials")
    @classmethod
    def _by_reference(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not text.startswith(("env:", "file:", "vault:")):
                message = f"{name} is written in clear; write a reference: `env:NAME` or `file:PATH`"
                raise ValueError(message)
        return value

    @field_validator("passphrase")
    @classmethod
    def _passphrase_by_reference(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("env:", "file:", "vault:")):
            message = "a passphrase in clear; write a reference: `env:NAME` or `file:PATH`"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if (self.project is None) != (self.stack is None):
            raise ValueError("`project` and `stack` belong together: both for a stack, none for a whole backend")
        if self.stack is None and (self.path or self.git_url):
            raise ValueError("a program belongs to a stack: name `project` and `stack`, too")
        if self.path and not self.git_url and not PurePath(self.path).is_absolute():
            raise ValueError(f"{self.path!r} is not an absolute path")
        if self.path and self.git_url and (PurePath(self.path).is_absolute() or ".." in PurePath(self.path).parts):
            raise ValueError(f"{self.path!r} leads out of the repository: with `git_url` the path is relative to its root")
        if bool(self.identity_command) != bool(self.identity):
            raise ValueError("`identity_command` and `identity` belong together: who is asked, and what it must say")
        return self

    def load(self) -> Load:
        return Load(account=self.account, memory_mb=self.memory_mb)

    @property
    def place(self) -> str:
        """`project/stack`, or the backend: the subject of findings."""
        return f"{self.project}/{self.stack}" if self.stack else self.backend

    @property
    def deadline(self) -> timedelta:
        return timedelta(seconds=self.timeout_seconds)

    def to_backend(self) -> Backend:
        return Backend(url=self.backend, credentials=self.credentials)

    def to_stack(self) -> Stack:
        """For an entry that names a stack."""
        return self.stack_called(self.project or "", self.stack or "", source=self._source())

    def stack_called(self, project: str, name: str, *, source: Source | None = None, organization: str = "") -> Stack:
        """Another stack of the same backend, looked at with the same credentials."""
        return Stack(
            organization=organization or self.organization,
            project=project,
            name=name,
            backend=self.to_backend(),
            source=source,
            passphrase=self.passphrase,
            environment=self.variables,
            run_program=self.run_program and source is not None,
        )

    def _source(self) -> Source | None:
        if not self.path and not self.git_url:
            return None
        return Source(path=Path(self.path or "."), git_url=self.git_url, git_ref=self.git_ref)


class DriftParams(Params):
    """How a run looks."""

    full: bool = Field(default=False, description="Compare the programs, too, whether or not anything moved.")


def known_stacks(estate: Sequence[Entry], backend: str) -> set[str]:
    """Full names of the stacks of `backend` that entries name."""
    entries = [entry for entry in estate if isinstance(entry, DriftEntry)]
    return {entry.to_stack().full_name for entry in entries if entry.stack and entry.backend == backend}
