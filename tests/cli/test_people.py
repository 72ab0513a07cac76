"""People at the command line: who may decide, their PINs, and tokens of their own."""

import stat
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from worker.tokens import verify_pin

PIN = "482915"
PEOPLE = """\
# Who is who.
[[person]]
name = "ana"   # the first
roles = { production = ["operator"] }

[[person]]
roles = { "*" = ["viewer"] }
name = "ben"
# no PIN needed: only looks
"""
PRODUCTION = '[environments.production]\nmode = "execute"\n'


@pytest.fixture
def staffed(cli: Cli) -> Cli:
    """Two people; nothing in force yet."""
    (cli.home / "people.toml").write_text(PEOPLE)
    estate = cli.home / "estate.toml"
    estate.write_text(PRODUCTION + estate.read_text())
    return cli


@pytest.fixture
def in_force(staffed: Cli) -> Cli:
    staffed("migrate")
    staffed("config", "apply")
    return staffed


def hash_in(path: Path, name: str) -> str:
    people = tomllib.loads(path.read_text())["person"]
    return str(next(person["pin_hash"] for person in people if person["name"] == name))


def test_a_pin_becomes_the_line_for_the_file_and_is_itself_not_shown(cli: Cli) -> None:
    line = cli("people", "pin", "Ana", typed=f"{PIN}\n{PIN}\n")
    assert line.startswith('pin_hash = "$argon2id$')
    assert verify_pin(tomllib.loads(line)["pin_hash"], PIN)
    assert PIN not in line


def test_a_short_pin_and_two_that_differ_are_refused(cli: Cli) -> None:
    assert "at least 6" in cli("people", "pin", "Ana", typed="12\n12\n", code=1)
    assert "at least 6" in cli("people", "pin", "Ana", "--stdin", typed="\n", code=1)
    assert "without a pattern" in cli("people", "pin", "Ana", "--stdin", typed="123456\n", code=1)
    cli("people", "pin", "Ana", typed=f"{PIN}\n{PIN}1\n", code=1)


def test_a_pin_is_written_into_the_file_whose_comments_stay(staffed: Cli) -> None:
    path = staffed.home / "people.toml"
    path.chmod(0o640)
    staffed("people", "pin", "ben", "--write", "--stdin", typed=f"{PIN}\n")
    first = path.read_text()
    assert verify_pin(hash_in(path, "ben"), PIN)
    assert [line for line in first.splitlines() if not line.startswith("pin_hash")] == PEOPLE.splitlines()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    staffed("people", "pin", "ben", "--write", "--stdin", typed="173946\n")
    assert verify_pin(hash_in(path, "ben"), "173946")
    assert len(path.read_text().splitlines()) == len(first.splitlines())


@pytest.mark.parametrize(
    ("people", "told"),
    [
        (PEOPLE, "nobody is called 'anna'; did you mean ana?"),
        ("[[person]\n", "is not TOML"),
        ('person = [{ name = "anna" }]\n', "written in a way that is not changed by itself: put in pin_hash"),
        (None, "write a [[person]] called anna into it first"),
    ],
)
def test_a_file_that_a_pin_cannot_be_written_into_stays_as_it_is(cli: Cli, people: str | None, told: str) -> None:
    path = cli.home / "people.toml"
    if people is not None:
        path.write_text(people)
    assert told in cli("people", "pin", "anna", "--write", "--stdin", typed=f"{PIN}\n", code=1)
    assert (path.read_text() if path.exists() else None) == people


def test_people_are_listed_with_where_they_decide_and_who_lacks_a_pin(in_force: Cli) -> None:
    ana, ben = in_force.json("people")
    assert (ana["decides_in"], ana["pin"], ben["decides_in"]) == (["production"], False, [])
    assert "nightshift people pin ana" in in_force("people", "list")
    in_force("people", "pin", "ana", "--write", "--stdin", typed=f"{PIN}\n")
    in_force("config", "apply")
    assert in_force.json("people", "list")[0]["pin"] is True
    assert "argon2" not in in_force("people") + str(in_force.json("people")) + in_force("config", "diff")


def test_a_login_link_is_made_for_somebody_there_is(in_force: Cli) -> None:
    assert "/login/" in in_force("login", "ana")


def test_a_persons_own_token_has_their_name_and_no_grants_of_its_own(in_force: Cli) -> None:
    made = in_force.json("token", "create", "--person", "ana")
    assert (made["kind"], made["name"], made["grants"]) == ("person", "ana", [])
    assert "what the person may" in in_force("token", "list")
