"""`Stacks` by the Pulumi CLI and by reading the backends themselves."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.context import SecretReader
from tasks.errors import ProviderError, StackError
from tasks.model import Json
from tasks.providers.pulumi.asking import ask
from tasks.providers.pulumi.automation import CliBackend
from tasks.providers.pulumi.backends import Checkpoint, StateReader, open_backend
from tasks.providers.pulumi.checkpoint import Deployment, parse, resource_of, sha256_of
from tasks.providers.pulumi.cli import Cli, find_cli
from tasks.providers.pulumi.commands import argv as look_argv
from tasks.providers.pulumi.commands import by_hand
from tasks.providers.pulumi.examining import Remark, examine
from tasks.providers.pulumi.granting import Granted, grant, read_credentials
from tasks.providers.pulumi.judging import judge
from tasks.providers.pulumi.looking import Seen
from tasks.providers.pulumi.masking import Masker
from tasks.providers.pulumi.running import GRACE, MOST_OUTPUT_BYTES, run
from tasks.providers.pulumi.sources import open_program, pin, stand_in
from tasks.stacks import Backend, Listed, Look, Looked, Stack, State

PLUGINS = Path("~/.pulumi/plugins")
_NAME = re.compile(r"(?![.-])[\w.-]{1,128}", re.ASCII)
BY_CLI = ("gs://", "azblob://")
"""Backends that we only know through the CLI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulumiStacks:
    """`tasks.stacks.Stacks`.

    `mac` makes the fingerprints of secrets, under a key that stays with whoever made it. `cache` is a folder of ours that any
    number of processes share. `program` and `plugins` name another CLI and plugin cache than the user's own.
    """

    secrets: SecretReader
    mac: Callable[[bytes], str]
    cache: Path
    program: Path | None = None
    plugins: Path = PLUGINS
    grace: timedelta = GRACE
    most_output_bytes: int = MOST_OUTPUT_BYTES

    def version(self) -> str:
        return self.cli().version

    def cli(self) -> Cli:
        """The CLI in use. Raises `StackError`."""
        return find_cli(self.program, self.cache)

    def examined(self, *, needed: bool) -> Iterator[Remark]:
        """For `doctor`: see `examine`."""
        return examine(self.program, self.cache, self.plugins, needed=needed)

    def listed(self, backend: Backend) -> Sequence[Listed]:
        return self._reader(backend).listed()

    def pinned(self, stack: Stack) -> Stack:
        with _by_hand(stack, None):
            return pin(stack)

    def state(self, stack: Stack) -> State:
        reader = self._reader(stack.backend)
        with _by_hand(stack, None):
            checkpoint = reader.checkpoint(stack)
            return _state(stack, reader, checkpoint, parse(checkpoint, stack.full_name))

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
        with _by_hand(stack, looked), _folder(scratch) as folder:
            reader = self._reader(stack.backend)
            before = parse(reader.checkpoint(stack), stack.full_name)
            granted = self._granted(stack, folder)
            program, remarks = self._program(stack, looked, folder)
            log = folder / "events.jsonl"
            argv = look_argv(self.cli().path, stack, looked, log=log, save_plan=save_plan, targets=targets)
            ran = run(
                argv,
                cwd=program,
                environment=granted.environment,
                folder=folder,
                deadline=deadline,
                cancelled=cancelled,
                grace=self.grace,
                log=log,
                most_output_bytes=self.most_output_bytes,
            )
            if sha256_of(reader.checkpoint(stack)) != before.sha256:
                message = f"{stack.full_name}: its state moved while it was looked at"
                raise StackError(message, reason="raced", stage="look", retryable=True)
            seen = Seen(looked, before, Masker(self.mac, before.secret_paths, granted.mask)).read(log)
            return judge(stack, seen, ran, remarks)

    def identity(
        self,
        stack: Stack,
        argv: Sequence[str],
        *,
        deadline: timedelta,
        scratch: Path,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> str:
        with _by_hand(stack, None), _folder(scratch) as folder:
            return ask(
                stack, argv, self._granted(stack, folder), folder, deadline=deadline, cancelled=cancelled, grace=self.grace
            )

    def _reader(self, backend: Backend) -> StateReader:
        credentials = read_credentials(backend, self.secrets)
        if backend.url.startswith(BY_CLI):
            return CliBackend(backend.url, credentials, self.cli(), self.cache / "commands")
        return open_backend(backend.url, credentials)

    def _granted(self, stack: Stack, folder: Path) -> Granted:
        home = folder / "home"
        home.mkdir(mode=0o700)
        return grant(stack, self.secrets, cli=self.cli(), home=home, plugins=self.plugins.expanduser())

    def _program(self, stack: Stack, looked: Looked, folder: Path) -> tuple[Path, tuple[str, ...]]:
        """Where to run, and what is to be said about it. D goes on without the program, unless it is to run it."""
        if looked is Looked.D and not stack.run_program:
            try:
                return open_program(stack, cache=self.cache, folder=folder / "program"), ()
            except StackError as error:
                remarks = (str(error),) if stack.source else ()
                return stand_in(stack, folder / "stand-in"), remarks
        return open_program(stack, cache=self.cache, folder=folder / "program"), ()


@contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    """For one command, gone after it: home, output, event log and checkout may hold secrets."""
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="look-", dir=scratch, ignore_cleanup_errors=True) as made:
        yield Path(made).resolve()


@contextmanager
def _by_hand(stack: Stack, looked: Looked | None) -> Iterator[None]:
    """Whatever fails tells which stack, and the command with which a person looks again."""
    try:
        _refuse_odd_names(stack)
        yield
    except StackError as error:
        error.recheck = error.recheck or by_hand(stack, looked)
        raise
    except ProviderError as error:
        message = f"{stack.full_name}: {error}"
        again = by_hand(stack, looked)
        raise StackError(message, reason="failed", stage=error.stage, recheck=again, retryable=error.retryable) from None


def _refuse_odd_names(stack: Stack) -> None:
    """A name becomes a path in the backend and a word of a command line; a backend of somebody else's may list what it likes."""
    for name in filter(None, (stack.organization, stack.project, stack.name)):
        if not _NAME.fullmatch(name):
            message = f"{stack.full_name!r}: no stack of Pulumi has {name!r} in its name"
            raise StackError(message, reason="stack_missing", stage="backend")


def _state(stack: Stack, reader: StateReader, checkpoint: Checkpoint, deployment: Deployment) -> State:
    update = reader.last_update(stack)
    said = update.get("environment")
    environment = said if isinstance(said, Mapping) else {}
    return State(
        sha256=deployment.sha256,
        resources=tuple(resource_of(one, deployment) for one in deployment.resources if not one.get("delete")),
        pending_operations=tuple(f"{one.get('type', 'working on')} {one['resource']['urn']}" for one in deployment.pending),
        lock=reader.lock(stack),
        updated_at=checkpoint.updated_at or _ended(update),
        git_commit=str(environment["git.head"]) if environment.get("git.head") else None,
        git_dirty=environment.get("git.dirty") == "true",
    )


def _ended(update: Mapping[str, Json]) -> datetime | None:
    ended = update.get("endTime")
    return datetime.fromtimestamp(ended, UTC) if isinstance(ended, int | float) and ended else None
