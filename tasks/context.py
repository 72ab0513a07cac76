"""What a job is given to work with: read-only for check, plan and verify; `ApplyContext` for apply alone.

Providers are Protocols here, owned by the jobs that need them; `worker.wiring` puts the real ones in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tasks.errors import Cancelled, EntryError
from tasks.model import Json
from tasks.stacks import Stacks

EntryT = TypeVar("EntryT", bound="Entry")
Mode = Literal["observe", "propose", "execute"]


@dataclass(frozen=True, slots=True)
class Load:
    """What a look at an entry asks of the outside and of the worker; bounds how many run at once."""

    account: str = ""
    """What it shares with other entries and that takes only so many looks at once: a cloud account of `[accounts.NAME]`."""
    memory_mb: int = 0
    """At most so much memory, programs included, in MiB; 0: next to nothing."""


class Entry(BaseModel):
    """One thing the operator asked us to watch. A job subclasses it with the keys of its own estate table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, description="Unique within its table.")
    environment: str = Field("default", description="Where it lives; its mode says what we may do there.")
    owner: str = Field("", description="Who answers for it: a person or a team of people.toml.")
    labels: dict[str, str] = Field(default_factory=dict, description="Free words for selectors and routes.")

    estate_only: ClassVar[frozenset[str]] = frozenset()
    """Keys that only the operator may set, not the target of a request: files of the worker's own, for one."""
    write_only: ClassVar[frozenset[str]] = frozenset()
    """Keys whose secret references only `apply` may read."""

    def load(self) -> Load:
        """What a run over it weighs. A job whose looks are heavy, or are counted by somebody, overrides it."""
        return Load()


class Log(Protocol):
    """Structured log: a fixed event name, facts as fields. `run_id` is bound. Never pass a secret."""

    def info(self, event: str, **facts: object) -> None: ...
    def warning(self, event: str, **facts: object) -> None: ...
    def error(self, event: str, **facts: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored file, named by the SHA-256 of its bytes (hex)."""

    name: str
    sha256: str
    size: int
    media_type: str


class Artifacts(Protocol):
    """Files kept by their hash."""

    def put(self, name: str, content: bytes, *, media_type: str = "text/plain", secret: bool = False) -> Artifact:
        """Keep `content` (at most 16 MiB; `ValueError` beyond). `secret=True` encrypts it at rest."""
        ...


@dataclass(frozen=True, slots=True)
class Fact:
    """One version of something a job remembers about a subject."""

    value: Json
    version: int
    recorded_at: datetime


class History(Protocol):
    """Versioned facts per (job, subject, name). Writes become visible and durable with the run's outcome, or not at all."""

    def latest(self, subject: str, name: str) -> Fact | None: ...
    def versions(self, subject: str, name: str, limit: int = 30) -> Sequence[Fact]:
        """Newest first."""
        ...

    def record(self, subject: str, name: str, value: Json) -> None:
        """Keep `value` as the next version, unless it equals the latest one."""
        ...


class Reader(Protocol):
    """What a job may read of the ledger; all of it JSON-ready mappings as `GET /v1/...` shows them."""

    def findings(self, *, job: str | None = None, state: str | None = None) -> Sequence[Mapping[str, Json]]: ...
    def runs(self, *, job: str | None = None, limit: int = 100) -> Sequence[Mapping[str, Json]]: ...
    def approvals(self, *, state: str | None = None) -> Sequence[Mapping[str, Json]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One TLS handshake to make: connect to `address`:`port`, say `server_name` in SNI (None: no SNI)."""

    address: str
    """IPv4 or IPv6 literal."""
    port: int
    server_name: str | None
    timeout: timedelta
    """For connect and handshake together."""
    trust_anchors_pem: str | None = None
    """Trust only these certificates; None: the system's anchors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What the server presented. `trust_error` is None when the chain leads to a trust anchor at the probe's time.

    Of several errors the first that is not about time counts: a job judges the time of what was sent by its own clock.
    """

    chain_der: tuple[bytes, ...]
    """As sent, leaf first, DER."""
    protocol: str
    cipher: str
    trust_error: str | None
    trust_code: int
    """OpenSSL's X509_V_ERR number; 0 is X509_V_OK."""
    elapsed: timedelta
    trust_depth: int = 0
    """Where in the path the error lies: 0 is the leaf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFailure:
    """The handshake did not come about."""

    stage: Literal["connect", "handshake"]
    reason: str
    """snake_case code: `connect_refused`, `connect_timeout`, `not_tls`, `handshake_timeout`, `handshake_failed`, …"""
    detail: str
    elapsed: timedelta


class Tls(Protocol):
    """Looks at TLS servers; reads only."""

    def resolve(self, host: str, timeout: timedelta) -> Sequence[str]:
        """Every A and AAAA address of `host`, in a stable order. Raises `ProviderError(stage="resolve")`."""
        ...

    def read_anchors(self, path: Path) -> str:
        """The trust anchors in a PEM file, for `Probe.trust_anchors_pem`. Raises `ProviderError(stage="anchors")`."""
        ...

    def read_certificates(self, path: Path) -> Sequence[bytes]:
        """The certificates in a PEM file, DER, in the file's order. Raises `ProviderError(stage="certificate_file")`."""
        ...

    def handshakes(
        self,
        probes: Iterable[Probe],
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterable[tuple[Probe, Handshake | ProbeFailure]]:
        """Make all probes, many at a time; yields each with its result as it comes, and stops early once cancelled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run: argv, never a shell."""

    argv: tuple[str, ...]
    cwd: Path | None
    environment: Mapping[str, str]
    """All the environment it gets."""
    stdin: bytes
    timeout: timedelta
    output_limit_bytes: int
    memory_limit_bytes: int | None
    outlives: bool = False
    """It ends within its time-out even if we die meanwhile: a change cut off half-way is worse than one nobody watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How it ended. `exit_code` is None when it was ended by us or a signal; `ended_by` says which."""

    exit_code: int | None
    ended_by: Literal["itself", "signal", "timeout", "output_limit", "cancelled"]
    signal: int | None
    stdout: bytes
    stderr: bytes
    elapsed: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of one host, told apart from every other that ever had its number."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: str
    """Field 22 of /proc/PID/stat; empty where there is none."""


class Commands(Protocol):
    """Runs programs of the estate in a session of their own and leaves none of them behind."""

    def run(
        self,
        command: Command,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        before_start: Callable[[Process], None] | None = None,
    ) -> CommandResult:
        """Raises `ProviderError(stage="start")` when the program cannot be started.

        `before_start` is told the process that will keep the program until its end, before the program exists; if it
        raises, the program is never started.
        """
        ...


class SecretReader(Protocol):
    """Resolves `env:NAME`, `file:PATH`, … to the value, for one use. Raises `ProviderError(stage="secret")`."""

    def __call__(self, reference: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What `check`, `plan` and `verify` get. Its providers only read."""

    run_id: str
    job: str
    selected: Sequence[Entry]
    """The entries this run is to look at; every one of them gets at least one answer."""
    clock: Callable[[], datetime]
    """Aware, UTC."""
    log: Log
    make_scratch: Callable[[], Path]
    """See `scratch`; gives the same folder each time."""
    artifacts: Artifacts
    history: History
    estate: Sequence[Entry]
    """All entries of the job's table."""
    ledger: Reader
    progress: Callable[[int, int, str], None]
    """`progress(done, total, note)`; cheap, call it as often as you like."""
    cancelled: Callable[[], bool]
    """True once the run must stop: cancel, kill, drain or a lost lease."""
    tls: Tls
    commands: Commands
    stacks: Stacks
    secrets: SecretReader
    providers: Mapping[str, object]
    """Outsiders' providers by their name in settings."""

    @property
    def scratch(self) -> Path:
        """A folder of this run's own, made when it is first asked for, gone when the run ends."""
        return self.make_scratch()

    def entries(self, model: type[EntryT]) -> list[EntryT]:
        """The selected entries, typed."""
        wrong = [entry.name for entry in self.selected if not isinstance(entry, model)]
        if wrong:
            message = f"{self.job}: entries {', '.join(wrong)} are not of {model.__name__}"
            raise EntryError(message)
        return [entry for entry in self.selected if isinstance(entry, model)]

    def checkpoint(self) -> None:
        """Raise `Cancelled` if the run must stop; call it between units of work."""
        if self.cancelled():
            raise Cancelled(f"{self.job}: stopped at a boundary")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyContext(Context):
    """What `apply` alone gets: the same, with write credentials behind its providers.

    `commands` commits the process of a program to the ledger before it starts it; `secrets` also reads the references
    that stand under a key of the entry's `write_only`.
    """

    idempotency_key: str
    """`run_id:step`, for targets that can take one."""
