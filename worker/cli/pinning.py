"""Showing people, and making PINs of theirs."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import typer

from schedules.toml_lines import locate
from worker import configuration
from worker.cli.opening import loaded, shift
from worker.cli.printing import say, show_json, show_table
from worker.cli.refusals import Refusal
from worker.configuration import Configuration, Person
from worker.configuration.model import EVERYWHERE
from worker.problems import did_you_mean
from worker.tokens import allows, hash_pin
from worker.tokens.pins import refuse_guessable

_FILE = "people.toml"


def list_people(*, as_json: bool) -> None:
    """Of the configuration in force; never a PIN's hash."""
    in_force = configuration.current(shift().ledger)
    found = in_force[1] if in_force else Configuration()
    if as_json:
        show_json(
            [
                person.model_dump(mode="json", exclude={"pin_hash"})
                | {"pin": person.pin_hash is not None, "decides_in": decides_in(found, person)}
                for person in found.people
            ]
        )
        return
    rows = [
        (person.name, person.email, _roles(person), ", ".join(decides_in(found, person)), _pin(found, person))
        for person in found.people
    ]
    show_table(["person", "mail", "roles", "may decide in", "PIN"], rows, empty="Nobody: people.toml names people.")


def decides_in(found: Configuration, person: Person) -> list[str]:
    """Environments in which the person's roles let them decide; `*`: in every one."""
    if allows(person.grants, "decide"):
        return [EVERYWHERE]
    return [name for name in ("default", *found.environments) if allows(person.grants, "decide", None, name)]


def pin(name: str, *, write: bool, stdin: bool) -> None:
    """Make the line, and print it or put it where it belongs."""
    path = (loaded().settings.home / _FILE).resolve()
    position = _position(path, name) if write else None
    chosen = sys.stdin.readline().rstrip("\r\n") if stdin else _asked(name)
    try:
        hashed = hash_pin(chosen)
        refuse_guessable(chosen)
    except ValueError as error:
        raise Refusal(str(error)) from None
    if position is None:
        say(f'pin_hash = "{hashed}"')
        return
    _put(path, position, hashed)
    say(f"{path}: {name} has a new PIN; `nightshift config apply` puts it in force, a running `nightshift up` does so by itself")


def _asked(name: str) -> str:
    chosen: str = typer.prompt(f"PIN of {name}", hide_input=True, confirmation_prompt=True, err=True)
    return chosen


def _pin(found: Configuration, person: Person) -> str:
    if person.pin_hash:
        return "yes"
    return f"none: nightshift people pin {person.name}" if decides_in(found, person) else ""


def _roles(person: Person) -> str:
    return "; ".join(f"{where}: {', '.join(roles)}" for where, roles in person.roles.items())


def _position(path: Path, name: str) -> int:
    """Where the person stands in the file."""
    if not path.exists():
        raise Refusal(f"there is no {path}: write a [[person]] called {name} into it first")
    people = _parsed(path, _text(path)).get("person", [])
    names = [str(person.get("name")) if isinstance(person, dict) else "" for person in people]
    if name not in names:
        raise Refusal(f"{path}: nobody is called {name!r}; {did_you_mean(name, names)}")
    return names.index(name)


def _put(path: Path, position: int, hashed: str) -> None:
    """Change one line of the file, and nothing else; what would say anything else is not written."""
    text = _text(path)
    wanted = _parsed(path, text)
    person = wanted["person"][position]
    known = "pin_hash" in person
    lines = text.splitlines(keepends=True)
    at = locate(text, ("person", position, "pin_hash" if known else "name"))
    line = f"pin_hash = {json.dumps(hashed)}\n"
    before = lines[at - 1]
    if known:
        lines[at - 1] = line
    else:
        lines[at - 1] = before if before.endswith("\n") else before + "\n"
        lines.insert(at, line)
    person["pin_hash"] = hashed
    changed = "".join(lines)
    if _parsed(path, changed) != wanted:
        raise Refusal(f"{path}:{at}: this table is written in a way that is not changed by itself: put in {line.strip()}")
    _write(path, changed)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"{path} is not TOML: {error}") from None


def _write(path: Path, text: str) -> None:
    """Whoever sees the file sees all of it; its mode stays."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(text.encode("utf-8"))
    unfinished.chmod(path.stat().st_mode & 0o7777)
    unfinished.replace(path)
