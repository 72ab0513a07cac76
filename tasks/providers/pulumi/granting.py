"""What the processes of a look find in their environment: what the stack was granted, what Pulumi needs, and nothing else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.context import SecretReader
from tasks.errors import ProviderError, StackError
from tasks.masking import Mask
from tasks.programs import REFERENCE
from tasks.providers.pulumi.cli import Cli
from tasks.stacks import Backend, Stack

_OURS = {
    "PULUMI_DEBUG_COMMANDS": "true",  # or there is no --event-log
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # the cache is shared, and installing in parallel is not safe
    "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",  # a stack whose configuration file is not here
    "NO_COLOR": "1",
}
_SHORTEST_HIDDEN = 6


@dataclass(frozen=True, slots=True)
class Granted:
    """An environment, and the mask over its secrets."""

    environment: Mapping[str, str]
    mask: Mask


def read_credentials(backend: Backend, read: SecretReader) -> dict[str, str]:
    """The values of a backend's credentials. Raises `StackError(reason="backend_credentials")`."""
    return _resolved(backend.credentials, read, "backend_credentials", backend.url)


def grant(stack: Stack, read: SecretReader, *, cli: Cli, home: Path, plugins: Path | None) -> Granted:
    """For one command on `stack`; `home` is its own folder, which becomes its home, its PULUMI_HOME and where it puts its
    temporary files.
    """
    credentials = read_credentials(stack.backend, read)
    own = _resolved(stack.environment, read, "credentials_expired", stack.full_name)
    phrase = {}
    if stack.passphrase is not None:
        phrase = _resolved({"PULUMI_CONFIG_PASSPHRASE": stack.passphrase}, read, "passphrase_missing", stack.full_name)
    environment = compose(stack.backend.url, {**own, **credentials, **phrase}, cli=cli, home=home, plugins=plugins)
    plain = [value for name, value in stack.environment.items() if not REFERENCE.match(value) and _tells_a_secret(name)]
    secret = [own[name] for name, value in stack.environment.items() if REFERENCE.match(value)]
    hidden = [*credentials.values(), *phrase.values(), *secret, *plain]
    return Granted(environment, Mask.of([value for value in hidden if len(value) >= _SHORTEST_HIDDEN]))


def compose(url: str, granted: Mapping[str, str], *, cli: Cli, home: Path, plugins: Path | None) -> dict[str, str]:
    """All that a command finds, given what it was granted. Makes its PULUMI_HOME in `home`."""
    return {
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        **granted,
        **_OURS,
        "PATH": _path(granted, cli),
        "PULUMI_HOME": str(_pulumi_home(home, plugins)),
        "PULUMI_BACKEND_URL": url,
    }


def _path(own: Mapping[str, str], cli: Cli) -> str:
    """Plugins and language hosts lie beside the CLI; the rest are programs, not secrets."""
    return os.pathsep.join([str(cli.path.parent), own.get("PATH") or os.environ.get("PATH", os.defpath)])


def _pulumi_home(home: Path, plugins: Path | None) -> Path:
    """Private, so that a selected stack or stored login of somebody else's is never seen. The plugins are links to the shared
    ones, file by file: beside each folder the CLI notes when it was last used, and it takes no link for a plugin's folder.
    """
    folder = home / ".pulumi"
    (folder / "plugins").mkdir(parents=True, mode=0o700)
    if plugins is not None and plugins.is_dir():
        for plugin in os.scandir(plugins):
            if plugin.is_dir() and not os.path.exists(f"{plugin.path}.partial"):  # noqa: PTH110 - os.scandir gives strings
                ours = folder / "plugins" / plugin.name
                ours.mkdir()
                for part in os.scandir(plugin.path):
                    (ours / part.name).symlink_to(os.path.realpath(part.path))
    return folder


def _tells_a_secret(name: str) -> bool:
    return any(word in name.upper() for word in ("SECRET", "PASSWORD", "TOKEN", "KEY", "PASSPHRASE", "CREDENTIAL"))


def _resolved(values: Mapping[str, str], read: SecretReader, reason: str, of: str) -> dict[str, str]:
    found = {}
    for name, value in values.items():
        try:
            found[name] = read(value) if REFERENCE.match(value) else value
        except ProviderError as error:  # its message names the reference, never a value
            message = f"{of}: {name} cannot be read: {error}"
            raise StackError(message, reason=reason, stage="secret") from None
    return found
