"""What a job may see of Pulumi stacks: the values of one look, and the Protocol of the provider that looks.

Words of Pulumi: a *stack* is one instance of a program, its *state* lies in a *backend*, a *URN* names a resource in it.
The three looks (D, U, R) are explained at `Look`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from tasks.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Where states lie: `file:///var/lib/pulumi`, `s3://bucket?region=…`, `postgres://…`, `https://api.pulumi.com`.

    `credentials` are environment variables for the CLI by reference (`env:NAME`, `file:PATH`), read for one command at a time.
    """

    url: str
    credentials: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The program: a folder, or a git repository at a ref (`path` is then relative to its root)."""

    path: Path
    git_url: str | None = None
    git_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One stack to look at, with all that a command on it needs."""

    organization: str
    """`organization` in backends of one's own."""
    project: str
    name: str
    backend: Backend
    source: Source | None
    """None: only D can be looked at."""
    passphrase: str | None = None
    """Reference of the passphrase of its secrets provider."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the program and its providers, plain or by reference; they get nothing else of the worker's."""
    run_program: bool = False
    """Run the program in D too: for credentials that it makes. See Pulumi's `--run-program`."""

    @property
    def full_name(self) -> str:
        return f"{self.organization}/{self.project}/{self.name}"


class Looked(StrEnum):
    """What is compared with what. D: state and cloud. U: program and state. R: program and cloud."""

    D = "state_and_cloud"
    U = "program_and_state"
    R = "program_and_cloud"


ChangeKind = Literal["add", "update", "delete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyChange:
    """One property that differs. In D: `before` is the last known value, `after` the cloud's; in U and R the program's.

    A secret is masked: both values are None, `masked` is true, and `fingerprint` (HMAC of both) tells whether it moved.
    """

    path: str
    """Pulumi's property path: `tags.team`, `rules[0].port`."""
    kind: ChangeKind
    before: Json = None
    after: Json = None
    masked: bool = False
    fingerprint: str = ""
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceChange:
    """One resource that differs in a look. `operation` is Pulumi's word for it in a `refresh` or `preview`."""

    urn: str
    type: str
    name: str
    operation: Literal["create", "update", "replace", "delete"]
    properties: tuple[PropertyChange, ...] = ()
    """Empty for create and delete as a whole, and where the provider does not say what differs."""
    provider: str = ""
    """`fakecloud 1.0.0`; the version is empty where the state does not know one."""
    provider_name: str = ""
    """Name of the provider resource, `default_1_0_0` or an explicit one."""
    id: str = ""
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRead:
    """A resource that could not be looked at. `reason` is a stable code, `detail` Pulumi's own words, masked."""

    urn: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a stack saw. `complete` is false when Pulumi or a read failed: what is missing is unknown, not `same`.

    A look never writes and takes no lock. `state_before` and `state_after` are the SHA-256 of the state object; if they differ,
    the look raced an update and says nothing.
    """

    looked: Looked
    changes: tuple[ResourceChange, ...]
    same: int
    """Resources seen without a difference."""
    failed: tuple[FailedRead, ...]
    complete: bool
    state_before: str
    state_after: str
    elapsed: timedelta
    exit_code: int
    diagnostics: tuple[str, ...] = ()
    """Errors and warnings, masked, oldest first, cut at 100."""
    seen: tuple[str, ...] = ()
    """URNs that were looked at, changed or not."""
    refreshed: tuple[ResourceChange, ...] = ()
    """R only: what D is, seen on the way (Pulumi refreshes before it compares). As good as one more look at D."""
    hidden: tuple[ResourceChange, ...] = ()
    """D only: differences under `ignoreChanges`, which Pulumi calls `same`; found by comparing the inputs ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Who holds the stack's lock, since when."""

    user: str
    host: str
    pid: int
    since: datetime
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateResource:
    """One resource as the state has it, without values."""

    urn: str
    type: str
    id: str
    provider: str
    provider_name: str
    custom: bool
    """False for components, which have no cloud object of their own."""
    external: bool
    protected: bool
    ignored: tuple[str, ...]
    """Property paths under `ignoreChanges`: drift there is hidden from Pulumi, `blind` to us."""
    inputs: tuple[str, ...]
    """Top-level input names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A stack's state as it lies in the backend; read without lock, never decrypted."""

    sha256: str
    resources: tuple[StateResource, ...]
    pending_operations: tuple[str, ...]
    """`creating urn:…`."""
    lock: Lock | None
    updated_at: datetime | None
    git_commit: str | None
    """Of the program at the last update, as Pulumi's history tells."""
    git_dirty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A stack that a backend holds."""

    organization: str
    project: str
    name: str

    @property
    def full_name(self) -> str:
        return f"{self.organization}/{self.project}/{self.name}"


class Stacks(Protocol):
    """Looks at Pulumi stacks; reads only: no lock is taken, no state is written.

    Every method raises `StackError` (below `ProviderError`) with a stable `reason`:
    `pulumi_missing`, `pulumi_untested`, `backend_unreachable`, `backend_credentials`, `stack_missing`, `state_corrupt`,
    `wrong_passphrase`, `passphrase_missing`, `config_missing`, `program_failed`, `program_missing`, `plugin_missing`,
    `credentials_expired`, `timed_out`, `too_much_output`, `cancelled`, `raced`, `failed`.
    Its `recheck` is the command to run by hand.
    """

    def version(self) -> str:
        """Of the CLI in use, `3.259.0`."""
        ...

    def listed(self, backend: Backend) -> Sequence[Listed]:
        """Every stack of `backend`, by full name."""
        ...

    def pinned(self, stack: Stack) -> Stack:
        """The same stack with its program at the commit that the git ref is at now: all looks of a round see one program, and
        whether it moved since the last one is known without fetching it. A program in a folder, or at a commit, stays as it is.
        """
        ...

    def state(self, stack: Stack) -> State: ...

    def look(
        self,
        stack: Stack,
        looked: Looked,
        *,
        deadline: timedelta,
        scratch: Path,
        cancelled: Callable[[], bool] = lambda: False,
        save_plan: Path | None = None,
        targets: Sequence[str] = (),
    ) -> Look:
        """One look. `save_plan` (R only) keeps Pulumi's plan file, which is itself to be kept as a secret.

        With `targets` (R only) it is about these URNs alone, and says nothing about any other.

        Raises `StackError(reason="raced")`, retryable, when the state moved meanwhile.
        """
        ...

    def identity(
        self,
        stack: Stack,
        argv: Sequence[str],
        *,
        deadline: timedelta,
        scratch: Path,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> str:
        """Who the stack's credentials say we are: the output of `argv` (`aws sts get-caller-identity …`), stripped.

        It runs with exactly the environment that the stack's program gets. Raises `StackError`.
        """
        ...
