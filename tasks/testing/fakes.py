"""Everything a `Context` holds, in memory: real implementations of the Protocols, with what they saw left open to read."""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from tasks.context import (
    ApplyContext,
    Artifact,
    Command,
    CommandResult,
    Commands,
    Context,
    Entry,
    Fact,
    Handshake,
    Probe,
    ProbeFailure,
    Process,
    SecretReader,
    Tls,
)
from tasks.errors import ProviderError
from tasks.model import Json
from tasks.stacks import Stacks
from tasks.testing.stacks import FakeStacks

ARTIFACT_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    now: datetime = datetime(2026, 11, 21, 2, 14, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class CancelSwitch:
    """`ctx.cancelled`. `cancel()` turns it on; `CancelSwitch(after=3)` turns itself on at the fourth question."""

    after: int | None = None
    asked: int = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.after is not None and self.asked > self.after

    def cancel(self) -> None:
        self.after = 0


@dataclass
class FakeLog:
    """Keeps `(level, event, facts)`."""

    events: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, **facts: object) -> None:
        self.events.append(("info", event, facts))

    def warning(self, event: str, **facts: object) -> None:
        self.events.append(("warning", event, facts))

    def error(self, event: str, **facts: object) -> None:
        self.events.append(("error", event, facts))


@dataclass
class FakeArtifacts:
    """Keeps the bytes by name in `kept`, and which names were stored as secret."""

    kept: dict[str, bytes] = field(default_factory=dict)
    secret: set[str] = field(default_factory=set)

    def put(self, name: str, content: bytes, *, media_type: str = "text/plain", secret: bool = False) -> Artifact:
        if len(content) > ARTIFACT_LIMIT_BYTES:
            message = f"artifact {name}: {len(content)} bytes, at most {ARTIFACT_LIMIT_BYTES}"
            raise ValueError(message)
        self.kept[name] = content
        if secret:
            self.secret.add(name)
        return Artifact(name, hashlib.sha256(content).hexdigest(), len(content), media_type)


@dataclass
class FakeHistory:
    """Facts of earlier runs in `facts`, oldest first; what this run records waits in `recorded` until `commit()`."""

    clock: Callable[[], datetime] = field(default_factory=FakeClock)
    facts: dict[tuple[str, str], list[Fact]] = field(default_factory=dict)
    recorded: list[tuple[str, str, Json]] = field(default_factory=list)

    def latest(self, subject: str, name: str) -> Fact | None:
        return next(iter(self.versions(subject, name, 1)), None)

    def versions(self, subject: str, name: str, limit: int = 30) -> Sequence[Fact]:
        return self.facts.get((subject, name), [])[::-1][:limit]

    def record(self, subject: str, name: str, value: Json) -> None:
        self.recorded.append((subject, name, value))

    def commit(self) -> None:
        """What the ledger does with the run's outcome: make the records visible, each as a next version."""
        for subject, name, value in self.recorded:
            before = self.latest(subject, name)
            if before is None or before.value != value:
                version = before.version + 1 if before else 1
                self.facts.setdefault((subject, name), []).append(Fact(value, version, self.clock()))
        self.recorded.clear()


@dataclass
class FakeLedger:
    """Rows to read, as `GET /v1/...` would show them."""

    finding_rows: list[Mapping[str, Json]] = field(default_factory=list)
    run_rows: list[Mapping[str, Json]] = field(default_factory=list)
    approval_rows: list[Mapping[str, Json]] = field(default_factory=list)

    def findings(self, *, job: str | None = None, state: str | None = None) -> Sequence[Mapping[str, Json]]:
        return _matching(self.finding_rows, job=job, state=state)

    def runs(self, *, job: str | None = None, limit: int = 100) -> Sequence[Mapping[str, Json]]:
        return _matching(self.run_rows, job=job)[:limit]

    def approvals(self, *, state: str | None = None) -> Sequence[Mapping[str, Json]]:
        return _matching(self.approval_rows, state=state)


def _matching(rows: Sequence[Mapping[str, Json]], **wanted: str | None) -> Sequence[Mapping[str, Json]]:
    return [row for row in rows if all(value is None or row.get(key) == value for key, value in wanted.items())]


@dataclass
class FakeProgress:
    """Keeps every report as `(done, total, note)`."""

    reports: list[tuple[int, int, str]] = field(default_factory=list)

    def __call__(self, done: int, total: int, note: str) -> None:
        self.reports.append((done, total, note))


@dataclass
class FakeTls:
    """Answers from a script: `addresses` by host, `results` by (address, port), `anchors` and `certificates` by path.

    A host without a script does not resolve; an address without one refuses the connection.
    """

    addresses: dict[str, Sequence[str]] = field(default_factory=dict)
    results: dict[tuple[str, int], Handshake | ProbeFailure] = field(default_factory=dict)
    anchors: dict[Path, str] = field(default_factory=dict)
    certificates: dict[Path, Sequence[bytes]] = field(default_factory=dict)
    probed: list[Probe] = field(default_factory=list)

    def resolve(self, host: str, timeout: timedelta) -> Sequence[str]:  # noqa: ARG002 - a script takes no time
        if host not in self.addresses:
            message = f"{host}: no such host"
            raise ProviderError(message, stage="resolve")
        return self.addresses[host]

    def read_anchors(self, path: Path) -> str:
        if path not in self.anchors:
            message = f"{path}: no such file"
            raise ProviderError(message, stage="anchors")
        return self.anchors[path]

    def read_certificates(self, path: Path) -> Sequence[bytes]:
        if path not in self.certificates:
            message = f"{path}: no such file"
            raise ProviderError(message, stage="certificate_file")
        return self.certificates[path]

    def handshakes(
        self,
        probes: Iterable[Probe],
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterable[tuple[Probe, Handshake | ProbeFailure]]:
        for probe in probes:
            if cancelled():
                return
            self.probed.append(probe)
            yield probe, self.results.get((probe.address, probe.port), _refused(probe))


def _refused(probe: Probe) -> ProbeFailure:
    detail = f"{probe.address}:{probe.port} refused the connection"
    return ProbeFailure(stage="connect", reason="connect_refused", detail=detail, elapsed=timedelta(0))


def finished(stdout: str = "", stderr: str = "", *, exit_code: int = 0) -> CommandResult:
    """A program that ended by itself, for `FakeCommands`."""
    return CommandResult(
        exit_code=exit_code, ended_by="itself", signal=None, stdout=stdout.encode(), stderr=stderr.encode(), elapsed=timedelta(0)
    )


@dataclass
class FakeCommands:
    """Answers from a script by argv, and keeps what it was asked to run. An argv without a script cannot be started."""

    results: dict[tuple[str, ...], CommandResult] = field(default_factory=dict)
    ran: list[Command] = field(default_factory=list)

    def run(
        self,
        command: Command,
        *,
        cancelled: Callable[[], bool] = lambda: False,  # noqa: ARG002 - at once
        before_start: Callable[[Process], None] | None = None,  # noqa: ARG002 - no process is started
    ) -> CommandResult:
        self.ran.append(command)
        if command.argv not in self.results:
            message = f"{command.argv[0]}: no such program"
            raise ProviderError(message, stage="start")
        return self.results[command.argv]


@dataclass
class FakeSecrets:
    """Values by reference, e.g. `{"env:TOKEN": "s3cret"}`; any other reference cannot be read."""

    values: dict[str, str] = field(default_factory=dict)

    def __call__(self, reference: str) -> str:
        if reference not in self.values:
            message = f"{reference}: no such secret"
            raise ProviderError(message, stage="secret")
        return self.values[reference]


def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="nightshift-scratch-")).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeContext(Context):
    """A whole `Context` for a job's test: `FakeContext(selected=[entry])`; give what the test is about, read the rest after.

    `scratch` is a new folder, removed when the interpreter ends. `tls`, `commands` and `secrets` take the real ones, too.
    """

    run_id: str = "run-1"
    job: str = "job"
    selected: Sequence[Entry] = ()
    clock: FakeClock = field(default_factory=FakeClock)
    log: FakeLog = field(default_factory=FakeLog)
    make_scratch: Callable[[], Path] = field(default_factory=lambda: cache(_scratch))
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)
    history: FakeHistory = field(default_factory=FakeHistory)
    estate: Sequence[Entry] = ()
    ledger: FakeLedger = field(default_factory=FakeLedger)
    progress: FakeProgress = field(default_factory=FakeProgress)
    cancelled: CancelSwitch = field(default_factory=CancelSwitch)
    tls: Tls = field(default_factory=FakeTls)
    commands: Commands = field(default_factory=FakeCommands)
    stacks: Stacks = field(default_factory=FakeStacks)
    secrets: SecretReader = field(default_factory=FakeSecrets)
    providers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeApplyContext(FakeContext, ApplyContext):
    """The same for `Remedy.apply`: nothing in it changes the world either, unless you put real providers in."""

    idempotency_key: str = "run-1:step"
