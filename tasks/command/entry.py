"""The table `[[command]]` of the estate."""

import re
import shlex
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tasks.context import Entry
from tasks.model import Severity

REFERENCE = re.compile(r"(env|file|vault):.")
"""An environment value of this shape names a secret; anything else is the value itself."""

OWN_PREFIX = "NIGHTSHIFT_"
LIMIT_OF_A_RUN_SECONDS = 3600


def _not_ours(name: str) -> str:
    if name.startswith(OWN_PREFIX):
        message = f"{name} is Nightshift's own and never handed on; give the script what it needs in `env`"
        raise ValueError(message)
    return name


def _without_nul(text: str) -> str:
    if "\0" in text:
        message = "may not hold a NUL character"
        raise ValueError(message)
    return text


Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class CommandEntry(Entry):
    """One script to run, and how to read its answer."""

    argv: tuple[Text, ...] = Field(
        min_length=1, description="Program and arguments; never a shell. The program: an absolute path, or a name on PATH."
    )
    cwd: Path | None = Field(default=None, description="Folder it runs in; the root folder if not given.")
    timeout_seconds: float = Field(default=60, gt=0, lt=LIMIT_OF_A_RUN_SECONDS, description="Then it is ended, in seconds.")
    env: dict[Name, Text] = Field(
        default_factory=dict, description="Values for the script. `env:NAME` and `file:PATH` are read for the script alone."
    )
    pass_env: tuple[Annotated[Name, AfterValidator(_not_ours)], ...] = Field(
        default=("PATH", "LANG", "LC_ALL", "TZ", "HOME"), description="Names taken from the worker's own environment, if set."
    )
    memory_mb: int | None = Field(default=None, ge=16, description="Address space it may use, in MiB.")
    output_limit_kb: int = Field(default=1024, ge=1, le=8192, description="What it may print on both streams, in KiB.")
    severity: Severity = Field(default=Severity.MEDIUM, description="Of findings that do not say it themselves.")
    ok_exit_codes: tuple[int, ...] = Field(default=(0,), description="Exit codes that mean all is well.")
    nagios: bool = Field(default=False, description="Exit codes of monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown.")

    @model_validator(mode="after")
    def _program_is_findable(self) -> Self:
        program = self.argv[0]
        if not program or ("/" in program and not program.startswith("/")):
            message = f"argv: the program {program!r} is neither an absolute path nor a plain name to find on PATH"
            raise ValueError(message)
        return self

    @property
    def recheck(self) -> str:
        """The shell line with which a person runs it by hand."""
        line = shlex.join(self.argv)
        return f"cd {shlex.quote(str(self.cwd))} && {line}" if self.cwd else line
