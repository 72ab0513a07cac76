"""Loading settings: `NIGHTSHIFT_…` variables over one TOML file over the defaults."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from worker.problems import Problem, did_you_mean, of_validation, problem
from worker.redaction import PROCESS
from worker.settings.model import Settings, known_zone

PREFIX = "NIGHTSHIFT_"
FILE_NAME = "nightshift.toml"
NO_SETTINGS = (
    "NIGHTSHIFT_CONFIG",
    "NIGHTSHIFT_TOKEN",
    "NIGHTSHIFT_CI",
    "NIGHTSHIFT_CONFORMANCE_DATA",
    "NIGHTSHIFT_TEST_",
    "NIGHTSHIFT_SECRET_",
)
"""Variables that are ours and are no setting; those that end in `_` are prefixes."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each where it came from: `default`, `NIGHTSHIFT_PORT`, `nightshift.toml:12`."""

    settings: Settings
    sources: Mapping[str, str]


class SettingsError(Exception):
    """Settings that cannot be used; every problem at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def load_settings(environ: Mapping[str, str], file: Path | None = None) -> Loaded:
    """Settings from `environ` and, beneath it, one TOML file: `file`, else `NIGHTSHIFT_CONFIG`, else the one in home.

    Raises `SettingsError` with every unknown variable, unknown key and value that is not accepted.
    """
    source = _File.find(environ, file)
    problems = [*_unknown_variables(environ), *source.unknown_keys()]
    given: dict[str, Any] = {name: source.table[name] for name in Settings.model_fields if name in source.table}
    sources = {name: source.at(name) for name in given}
    for name in Settings.model_fields:
        if (text := environ.get(variable(name))) is not None:
            given[name], sources[name] = _from_variable(name, text), variable(name)
    given["home"] = str(Path(given.get("home", "~/.nightshift")).expanduser().absolute())
    given.setdefault("timezone", machine_timezone(environ))
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problems += [_refused(source, sources, *fault) for fault in of_validation(error, Settings, given)]
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    _remember_passwords(settings)
    return Loaded(settings, {name: sources.get(name, "default") for name in Settings.model_fields})


def machine_timezone(environ: Mapping[str, str], localtime: Path = Path("/etc/localtime")) -> str:
    """The zone of `TZ`, else the one that `localtime` points at, else UTC."""
    _, _, linked = str(localtime.resolve()).partition("zoneinfo/")
    for name in (environ.get("TZ", "").removeprefix(":"), linked):
        try:
            if name:
                return known_zone(name)
        except ValueError:
            continue
    return "UTC"


@dataclass(frozen=True, slots=True)
class _File:
    """The TOML file, read; an empty one when there is none."""

    name: str
    text: str
    table: Mapping[str, Any]

    @classmethod
    def find(cls, environ: Mapping[str, str], file: Path | None) -> "_File":
        named = file or (Path(environ["NIGHTSHIFT_CONFIG"]) if environ.get("NIGHTSHIFT_CONFIG") else None)
        path = named or Path(environ.get("NIGHTSHIFT_HOME", "~/.nightshift"), FILE_NAME)
        try:
            text = path.expanduser().read_text(encoding="utf-8")
            return cls(path.name, text, tomllib.loads(text))
        except FileNotFoundError:
            if named is None:
                return cls(path.name, "", {})
            message = "there is no such file; NIGHTSHIFT_CONFIG or --config names it"
        except (OSError, UnicodeDecodeError) as error:
            message = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        except tomllib.TOMLDecodeError as error:
            message = f"is not TOML: {error}"
        raise SettingsError([Problem(str(path), None, "", "", message)])

    def at(self, name: str) -> str:
        line = problem(self.name, self.text, (name,), None, "").line
        return f"{self.name}:{line}" if line else self.name

    def unknown_keys(self) -> list[Problem]:
        unknown = [name for name in self.table if name not in Settings.model_fields]
        known = list(Settings.model_fields)
        return [
            problem(self.name, self.text, (name,), self.table[name], f"unknown setting; {did_you_mean(name, known)}")
            for name in unknown
        ]


def _unknown_variables(environ: Mapping[str, str]) -> list[Problem]:
    known = [variable(name) for name in Settings.model_fields]
    exact = {*known, *(name for name in NO_SETTINGS if not name.endswith("_"))}
    prefixes = tuple(name for name in NO_SETTINGS if name.endswith("_"))
    return [
        Problem("environment", None, name, "", f"unknown variable; {did_you_mean(name, known)}")
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in exact and not name.startswith(prefixes)
    ]


def _from_variable(name: str, text: str) -> object:
    annotation = Settings.model_fields[name].annotation
    if name in ("jobs", "callback_hosts", "providers"):
        return _several(text, pairs=name == "providers")
    return None if text == "" and annotation is not None and type(None) in getattr(annotation, "__args__", ()) else text


def _several(text: str, *, pairs: bool) -> object:
    if text.lstrip().startswith(("[", "{")) and not re.match(r"\s*\[[0-9a-fA-F:]+\]", text):
        try:
            return json.loads(text)
        except ValueError:
            return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return {name.strip(): path.strip() for name, _, path in (part.partition("=") for part in parts)} if pairs else parts


def _refused(source: _File, sources: Mapping[str, str], path: tuple[str | int, ...], value: object, message: str) -> Problem:
    name = str(path[0]) if path else ""
    given_by = sources.get(name, "default")
    if given_by.startswith(PREFIX):
        found = problem("environment", "", path, value, message)
        return Problem("environment", None, given_by, found.value, found.message)
    return problem(source.name, source.text, path, value, message)


def _remember_passwords(settings: Settings) -> None:
    for url in (settings.ledger_url, settings.broker_url):
        if url and (password := urlsplit(url).password):
            PROCESS.remember(password)
            PROCESS.remember(unquote(password))
