"""The lines of a TOML text at which keys stand, which `tomllib` does not tell. For valid TOML; a guess for any other."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache

Path = tuple[str | int, ...]

_KEY = re.compile(r"""\s*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)\s*(\.?)""")
# Longest first: what must not be looked into, what opens or closes, and the end of a line.
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'" r"|\#[^\n]*" r"|[\[\]{}]" r"|\n",
    re.DOTALL,
)


def locate(text: str, path: Path) -> int:
    """The line, from 1, of the key or table at `path`, e.g. `("schedule", 2, "select", "owners")`.

    What lies inside an inline table or an array is on the line its outermost key stands on. For a path that is not
    there, the line of the nearest table around it; line 1 if there is none.
    """
    lines = _lines(text)
    return next((lines[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in lines), 1)


@lru_cache(maxsize=16)
def _lines(text: str) -> Mapping[Path, int]:
    lines: dict[Path, int] = {}
    sizes: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text):
        brackets = 2 if statement.startswith("[[") else 1 if statement.startswith("[") else 0
        keys = _keys(statement[brackets:])
        path = _resolved(() if brackets else table, keys, sizes)
        if brackets == 2:  # noqa: PLR2004 - `[[` is how TOML writes one more element of an array
            lines.setdefault(path, line)
            sizes[path] = sizes.get(path, 0) + 1
            path = (*path, sizes[path] - 1)
        elif brackets:
            path = _element(path, sizes)
        if brackets:
            table = path
        for depth in range(1, len(path) + 1):
            lines.setdefault(path[:depth], line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header or `key = value` with the line it begins on; a value may span lines."""
    depth, start = 0, 0
    for token in _TOKEN.finditer(text + "\n"):
        found = token[0]
        depth += (found in ("[", "{")) - (found in ("]", "}"))
        if found == "\n" and depth <= 0:
            statement = text[start : token.start()].lstrip()
            if statement and not statement.startswith("#"):
                yield text.count("\n", 0, token.start() - len(statement)) + 1, statement
            depth, start = 0, token.end()


def _keys(statement: str) -> tuple[str, ...]:
    keys: list[str] = []
    at = 0
    while found := _KEY.match(statement, at):
        keys.append(_plain(found[1]))
        at = found.end()
        if not found[2]:
            break
    return tuple(keys)


def _plain(key: str) -> str:
    if key[0] not in "\"'":
        return key
    plain: str = tomllib.loads(f"key = {key}")["key"]
    return plain


def _resolved(table: Path, keys: tuple[str, ...], sizes: Mapping[Path, int]) -> Path:
    """A dotted name that passes through an array of tables means its latest element."""
    path = table
    for key in keys:
        path = (*_element(path, sizes), key)
    return path


def _element(path: Path, sizes: Mapping[Path, int]) -> Path:
    return (*path, sizes[path] - 1) if path in sizes else path
