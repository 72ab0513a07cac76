"""What jobs that run the operator's programs share: how a table names them, what they are given, what is kept of their output."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from tasks.context import SecretReader

REFERENCE = re.compile(r"(env|file|vault):.")
"""An environment value of this shape names a secret; anything else is the value itself."""

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")
"""Names of the worker's own environment that a program gets unless its entry says otherwise."""

_HARMLESS = re.compile(r"PATH|LANG|LC_[A-Z]+|TZ|HOME|USER|SHELL|TERM|PWD")
_SHORTEST_HIDDEN = 6
"""A shorter value (`1`, `true`) is everywhere: to mask it would leave nothing to read."""

_OWN_PREFIX = "NIGHTSHIFT_"
_LAST_LINES = 20
_LAST_CHARS = 4000


def _not_ours(name: str) -> str:
    if name.startswith(_OWN_PREFIX):
        message = f"{name} is Nightshift's own and never handed on; write what the program needs into the entry"
        raise ValueError(message)
    return name


def _without_nul(text: str) -> str:
    if "\0" in text:
        message = "may not hold a NUL character"
        raise ValueError(message)
    return text


def _findable(argv: tuple[str, ...]) -> tuple[str, ...]:
    program = argv[0] if argv else "/"
    if not program or ("/" in program and not program.startswith("/")):
        message = f"the program {program!r} is neither an absolute path nor a plain name to find on PATH"
        raise ValueError(message)
    return argv


Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
PassedName = Annotated[Name, AfterValidator(_not_ours)]
Argv = Annotated[tuple[Text, ...], AfterValidator(_findable)]


def read_secrets(environment: Mapping[str, str], read: SecretReader) -> dict[str, str]:
    """The values behind the references in `environment`, by name. Raises what `read` raises."""
    return {name: read(value) for name, value in environment.items() if REFERENCE.match(value)}


def all_environment(passed_on: Sequence[str], environment: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """All that a program finds in its environment."""
    passed = {name: os.environ[name] for name in passed_on if name in os.environ}
    return {**passed, **environment, **secrets}


def kept_back(passed_on: Sequence[str], secrets: Mapping[str, str]) -> tuple[str, ...]:
    """The values a program was given that nobody may read in its output: its secrets, and what it was passed on."""
    passed = [os.environ.get(name, "") for name in passed_on if not _HARMLESS.fullmatch(name)]
    return (*secrets.values(), *(value for value in passed if len(value) >= _SHORTEST_HIDDEN))


def last_lines(text: str) -> str:
    """The end of an output, as evidence."""
    return "\n".join(text.rstrip().splitlines()[-_LAST_LINES:])[-_LAST_CHARS:]
