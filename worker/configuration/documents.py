"""The files of a configuration as text, table and lines, with what was found wrong with them."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from worker.problems import Path as KeyPath
from worker.problems import Problem, did_you_mean, of_validation, problem, value_at
from worker.redaction import is_secret_name

FILES = ("estate.toml", "people.toml", "policy.toml", "routes.toml")
SCHEDULES_FOLDER = "schedules"
POLICY_TESTS = "policy_tests.toml"
READ_ELSEWHERE = ("nightshift.toml", POLICY_TESTS)
"""Files of the same folder that are no part of a configuration."""
REFERENCE = re.compile(r"[a-z][a-z0-9]*:\S+")
M = TypeVar("M", bound=BaseModel)

_AT_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)")


class ConfigurationError(Exception):
    """Files that make no configuration; every problem at once. What was in force stays in force."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read. A file that is not there is an empty one."""

    file: str
    text: str
    table: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, path: KeyPath, message: str) -> None:
        """Note what is wrong at `path`."""
        self.problems.append(problem(self.file, self.text, path, value_at(self.table, path), message))

    def accept_only(self, known: tuple[str, ...]) -> None:
        """Refuse top-level keys that are not `known`."""
        for name in self.table:
            if name not in known:
                self.refuse((name,), f"unknown table; {did_you_mean(name, known)}")

    def parsed(self, path: KeyPath, model: type[M], given: object) -> M | None:
        """`given`, which stands at `path`, as `model`; None when it is refused."""
        try:
            return model.model_validate(given)
        except ValidationError as error:
            for inner, value, message in of_validation(error, model, given):
                self.problems.append(problem(self.file, self.text, (*path, *inner), value, message))
            return None

    def refuse_inline_secrets(self, path: KeyPath, value: object) -> None:
        """A revision is kept in clear: what is named like a secret may only be a reference to one."""
        for inner, leaf in _leaves(path, value):
            named = next((str(part) for part in reversed(inner) if isinstance(part, str)), "")
            if isinstance(leaf, str) and leaf and is_secret_name(named) and not REFERENCE.fullmatch(leaf):
                self.refuse(inner, "a secret is given by reference; accepted: env:NAME or file:PATH")


def read(path: Path) -> Document:
    """The file at `path`, named by its last part in messages."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return Document(path.name, "", {})
    except OSError as error:
        return Document(path.name, "", {}, [Problem(path.name, None, "", "", f"cannot be read: {error.strerror}")])
    except UnicodeDecodeError as error:
        return Document(path.name, "", {}, [Problem(path.name, None, "", "", f"is not UTF-8 at byte {error.start}")])
    try:
        return Document(path.name, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.fullmatch(str(error))
        message, line = (found[1], int(found[2])) if found else (str(error), text.count("\n") + 1)
        return Document(path.name, text, {}, [Problem(path.name, line, "", "", f"is not TOML: {message}")])


def misnamed(folder: Path) -> Iterator[Problem]:
    """Files whose names are nearly, but not quite, those that are read."""
    known = (*FILES, *READ_ELSEWHERE)
    for path in sorted(folder.glob("*.toml")):
        advice = did_you_mean(path.name, known)
        if path.name not in known and advice.startswith("did you mean"):
            yield Problem(path.name, None, "", "", f"is not read; {advice}")


def _leaves(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, object]]:
    match value:
        case Mapping():
            for name, member in value.items():
                yield from _leaves((*path, str(name)), member)
        case list() | tuple():
            for index, member in enumerate(value):
                yield from _leaves((*path, index), member)
        case _:
            yield path, value


def as_json(value: Any) -> Any:  # noqa: ANN401 - whatever TOML can say
    """`value` as JSON says it: dates and times become text, a time without seconds as `08:30`."""
    match value:
        case Mapping():
            return {name: as_json(member) for name, member in value.items()}
        case list():
            return [as_json(member) for member in value]
        case time():
            return value.isoformat("auto" if value.second or value.microsecond else "minutes")
        case date():
            return value.isoformat()
        case _:
            return value
