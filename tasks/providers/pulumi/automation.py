"""Pulumi's Automation API with commands of our own beneath it: for backends whose states only the CLI knows how to read.

The API's own command has no deadline, hands on the whole of our environment, loses the exit code, and its `export_stack`,
`get_all_config` and `history` decrypt secrets; so of all of it only the listing is used, and never a typed event.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import StackError
from tasks.model import Json
from tasks.providers.pulumi.backends import Checkpoint
from tasks.providers.pulumi.backends.opening import shown
from tasks.providers.pulumi.cli import Cli
from tasks.providers.pulumi.granting import compose
from tasks.providers.pulumi.reasons import reason_of
from tasks.providers.pulumi.running import run
from tasks.stacks import Listed, Lock, Stack

if TYPE_CHECKING:
    from pulumi.automation import LocalWorkspace

PATIENCE = timedelta(minutes=5)
_LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class CliBackend:
    """`StateReader` through the CLI: `gs://…`, `azblob://…`. It knows no lock, and lists by reading every state."""

    url: str
    credentials: Mapping[str, str]
    cli: Cli
    folder: Path
    """Where each command gets a folder of its own."""

    def listed(self) -> Sequence[Listed]:
        with self._place() as (place, environment):
            summaries = workspace(self.cli, place, environment).list_stacks(include_all=True)
        return sorted((_listed(one.name) for one in summaries), key=lambda stack: stack.full_name)

    def checkpoint(self, stack: Stack) -> Checkpoint:
        said = self._ask("stack", "export", "--stack", stack.full_name)
        return Checkpoint(content=json.dumps(said, sort_keys=True, separators=(",", ":")).encode(), updated_at=None)

    def lock(self, stack: Stack) -> Lock | None:  # noqa: ARG002 - the CLI does not tell
        return None

    def last_update(self, stack: Stack) -> Mapping[str, Json]:
        said = self._ask("stack", "history", "--json", "--page-size", "1", "--stack", stack.full_name)
        newest = said[0] if isinstance(said, list) and said else {}
        return {name: value for name, value in newest.items() if name == "environment"}

    def _ask(self, *words: str) -> Any:  # noqa: ANN401 - it came out of JSON
        with self._place() as (place, environment):
            return json.loads(kept_command(self.cli, environment).run([*words], str(place), {}).stdout)

    @contextmanager
    def _place(self) -> Iterator[tuple[Path, Mapping[str, str]]]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="command-", dir=self.folder, ignore_cleanup_errors=True) as made, _told(self.url):
            home = Path(made).resolve()
            yield home, compose(self.url, self.credentials, cli=self.cli, home=home, plugins=None)


def workspace(cli: Cli, folder: Path, environment: Mapping[str, str]) -> "LocalWorkspace":
    """A workspace of the Automation API in `folder`, every command of which is ours."""
    from pulumi.automation import LocalWorkspace  # noqa: PLC0415 - 0.5 s and 44 MB

    return LocalWorkspace(work_dir=str(folder), pulumi_command=kept_command(cli, environment))


def kept_command(cli: Cli, environment: Mapping[str, str], deadline: timedelta = PATIENCE) -> Any:  # noqa: ANN401 - made here
    """A `PulumiCommand` under our keeper: own session, deadline, files, exactly this environment, its real exit code.

    Raises the API's own `CommandError`, with `exit_code` on it.
    """
    from pulumi.automation import CommandResult, PulumiCommand  # noqa: PLC0415 - as above
    from pulumi.automation.errors import create_command_error  # noqa: PLC0415
    from semver import VersionInfo  # noqa: PLC0415

    class KeptCommand(PulumiCommand):
        def __init__(self) -> None:
            self.command, self.version = str(cli.path), VersionInfo.parse(cli.version)

        def run(
            self,
            args: list[str],
            cwd: str,
            additional_env: Mapping[str, str],
            on_output: object = None,  # noqa: ARG002 - nobody here listens
            on_error: object = None,  # noqa: ARG002
        ) -> CommandResult:
            ours = {
                name: value for name, value in additional_env.items() if name.startswith("PULUMI_") and name not in environment
            }
            argv = [self.command, *args, "--non-interactive"]
            with tempfile.TemporaryDirectory(prefix="said-", dir=cwd) as folder:
                ran = run(argv, cwd=Path(cwd), environment={**environment, **ours}, folder=Path(folder), deadline=deadline)
                code = -1 if ran.exit_code is None else ran.exit_code
                result = CommandResult(ran.stdout.read_text("utf-8", "replace"), ran.errors(), code)
            if code != 0:
                error = create_command_error(result)
                error.exit_code = code  # type: ignore[attr-defined]  # what the API forgets
                raise error
            return result

    return KeptCommand()


@contextmanager
def _told(url: str) -> Iterator[None]:
    from pulumi.automation.errors import CommandError  # noqa: PLC0415 - as above

    try:
        yield
    except CommandError as error:
        said, code = str(error), getattr(error, "exit_code", None)
        found = reason_of(said, code)
        reason = "backend_unreachable" if found == "failed" else found
        message = f"the backend {shown(url)} cannot be read by the CLI: {said.strip()[:_LONGEST_REASON]}"
        raise StackError(message, reason=reason, stage="backend") from None
    except ValueError:
        message = f"the backend {shown(url)} cannot be read by the CLI: what it said is not JSON"
        raise StackError(message, reason="backend_unreachable", stage="backend") from None


def _listed(full_name: str) -> Listed:
    organization, _, rest = full_name.rpartition("/")[0].rpartition("/")
    return Listed(organization=organization or "organization", project=rest, name=full_name.rpartition("/")[2])
