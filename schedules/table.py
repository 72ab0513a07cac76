"""One table of a TOML file, read key by key: what is wrong is collected, and reading goes on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from difflib import get_close_matches
from typing import TypeVar

from schedules.errors import Problem
from schedules.toml_lines import Path, locate

T = TypeVar("T")

_LONGEST_SHOWN = 80
_NAMES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"), (str, "a string"), (int, "an integer"), (float, "a float"), (list, "an array"), (dict, "a table"),
    ((date, time), "a date or time"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """The file being read, and what was found wrong with it."""

    name: str
    text: str
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        return locate(self.text, path)

    def refuse(self, path: Path, message: str, value: str | None = None, line: int | None = None) -> None:
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
        line = self.line(path) if line is None else line
        self.problems.append(Problem(source=self.name, line=line, key=key, value=value, message=message))


@dataclass(frozen=True, slots=True)
class Table:
    """The table at `path`. Every reading method reports what is wrong and returns its default instead."""

    source: Source
    path: Path
    content: Mapping[str, object]

    def accept_only(self, keys: Sequence[str]) -> None:
        for key in self.content.keys() - set(keys):
            self.source.refuse((*self.path, key), f"unknown key;{did_you_mean(key, keys)} accepted: {', '.join(keys)}")

    def require(self, *keys: str) -> None:
        for key in keys:
            if key not in self.content:
                self.source.refuse((*self.path, key), "is missing")

    def parsed(self, key: str, parse: Callable[[str], T], default: T, *, secret: bool = False) -> T:
        """A string, as `parse` makes it; its ValueError says what is accepted. A `secret` is never shown."""
        found = self.content.get(key)
        if found is None:
            return default
        if not isinstance(found, str):
            self._wrong_type(key, found, "a string")
            return default
        try:
            return parse(found)
        except ValueError as error:
            self.source.refuse((*self.path, key), str(error), "(not shown)" if secret else shown(found))
            return default

    def strings(self, key: str) -> tuple[str, ...]:
        found = self.content.get(key, [])
        if isinstance(found, list) and all(isinstance(item, str) and item for item in found):
            return tuple(found)
        self._wrong_type(key, found, 'an array of strings, e.g. ["one", "two"]')
        return ()

    def table(self, key: str) -> "Table":
        found = self.content.get(key, {})
        if not isinstance(found, dict):
            self._wrong_type(key, found, "a table")
            found = {}
        return Table(self.source, (*self.path, key), found)

    def _wrong_type(self, key: str, found: object, accepted: str) -> None:
        # The value may be a secret under a wrong key's name; its type says enough.
        self.source.refuse((*self.path, key), f"is {type_name(found)}; accepted: {accepted}")


def type_name(value: object) -> str:
    return next((name for types, name in _NAMES if isinstance(value, types)), type(value).__name__)


def shown(value: str) -> str:
    whole = repr(value)
    return whole if len(whole) <= _LONGEST_SHOWN else f"{whole[: _LONGEST_SHOWN - 1]}…"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f" did you mean `{close[0]}`?" if close else ""


def one_of(accepted: Sequence[T]) -> Callable[[str], T]:
    """A parser that takes the words of a Literal."""

    def parse(text: str) -> T:
        for word in accepted:
            if word == text:
                return word
        names = [str(word) for word in accepted]
        raise ValueError(f"is not accepted;{did_you_mean(text, names)} accepted: {', '.join(names)}")

    return parse
