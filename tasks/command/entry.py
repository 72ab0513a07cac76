"""The table `[[command]]` of the estate."""

import shlex
from pathlib import Path

from pydantic import Field

from tasks.context import Entry
from tasks.model import Severity
from tasks.programs import PASSED_ON, Argv, Name, PassedName, Text

LIMIT_OF_A_RUN_SECONDS = 3600


class CommandEntry(Entry):
    """One script to run, and how to read its answer."""

    argv: Argv = Field(
        min_length=1, description="Program and arguments; never a shell. The program: an absolute path, or a name on PATH."
    )
    cwd: Path | None = Field(default=None, description="Folder it runs in; the root folder if not given.")
    timeout_seconds: float = Field(default=60, gt=0, lt=LIMIT_OF_A_RUN_SECONDS, description="Then it is ended, in seconds.")
    env: dict[Name, Text] = Field(
        default_factory=dict, description="Values for the script. `env:NAME` and `file:PATH` are read for the script alone."
    )
    pass_env: tuple[PassedName, ...] = Field(
        default=PASSED_ON, description="Names taken from the worker's own environment, if set."
    )
    memory_mb: int | None = Field(default=None, ge=16, description="Address space it may use, in MiB.")
    output_limit_kb: int = Field(default=1024, ge=1, le=8192, description="What it may print on both streams, in KiB.")
    severity: Severity = Field(default=Severity.MEDIUM, description="Of findings that do not say it themselves.")
    ok_exit_codes: tuple[int, ...] = Field(default=(0,), description="Exit codes that mean all is well.")
    nagios: bool = Field(default=False, description="Exit codes of monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown.")

    @property
    def recheck(self) -> str:
        """The shell line with which a person runs it by hand."""
        line = shlex.join(self.argv)
        return f"cd {shlex.quote(str(self.cwd))} && {line}" if self.cwd else line
