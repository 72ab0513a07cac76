"""Secrets by reference: `env:NAME`, `file:PATH`. The value is read for one use and known to the redactor from then on."""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.errors import ProviderError
from worker.logs import get_log
from worker.redaction import PROCESS, Redactor

Scheme = Callable[[str], str]
"""Given what follows the colon, the value. Raises `SecretError`; its message never holds a value."""

_LOG = get_log(__name__)


class SecretError(ProviderError):
    """A secret that cannot be read. Names the reference and what to do, never a value."""

    def __init__(self, message: str) -> None:
        super().__init__(message, stage="secret")


class Secrets:
    """Reads references. A vault is one more scheme: `{"vault": read_from_vault}`."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        home: Path,
        schemes: Mapping[str, Scheme] | None = None,
        redactor: Redactor = PROCESS,
    ) -> None:
        self._environ = environ
        self._home = home
        self._schemes: Mapping[str, Scheme] = {"env": self._variable, "file": self._file, **(schemes or {})}
        self._redactor = redactor

    def __call__(self, reference: str) -> str:
        """The value behind `reference`."""
        scheme, colon, name = reference.partition(":")
        if not colon or scheme not in self._schemes:
            known = ", ".join(f"{known}:…" for known in sorted(self._schemes))
            # What stands here instead of a reference may be the secret itself.
            message = f"not a secret reference; accepted: {known}"
            raise SecretError(message)
        value = self._schemes[scheme](name)
        if not value:
            message = f"{reference}: the secret is empty"
            raise SecretError(message)
        self._redactor.remember(value)
        return value

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None:
            message = f"env:{name}: the variable {name} is not set in the environment of this process"
            raise SecretError(message)
        return value

    def _file(self, name: str) -> str:
        path = self._home / Path(name).expanduser()
        try:
            with path.open(encoding="utf-8") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                value = file.read()
        except UnicodeDecodeError:
            message = f"file:{name}: not UTF-8 text"
            raise SecretError(message) from None
        except OSError as error:
            message = f"file:{name}: cannot be read: {error.strerror}"
            raise SecretError(message) from None
        if mode & 0o077:
            _LOG.warning("secret_file_open_to_others", reference=f"file:{name}", mode=f"{mode:04o}", wanted="0600")
        return value.removesuffix("\n").removesuffix("\r")
