"""The line of a key in a TOML text."""

import tomllib

import pytest

from schedules.toml_lines import Path, locate

TEXT = '''# first = "line"
title = "x"
a.b.c = 1

[estate]
owner = "ops"   # [not.a.table]
hosts = [
  { name = "one" },  # ]
  { name = "two" },
]
note = """
[[fake]]
key = "inside"
"""
after_note = 1

[[estate.certificate]]
name = "www"
[estate.certificate.labels]
team = "web"

[[estate.certificate]]
name = 'literal # not a comment ['
  [[estate.certificate.address]]
  ip = "::1"
  [[estate.certificate.address]]
  ip = "::2"
labels = { team = "db", "odd key" = { x = [1, 2] } }

["quoted.table"]
"k\\u00e9y" = 1
'bare.not' = """quote at the end""""
last = 1979-05-27
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("a",), 3),
        (("a", "b", "c"), 3),
        (("estate",), 5),
        (("estate", "owner"), 6),
        (("estate", "hosts"), 7),
        (("estate", "hosts", 1, "name"), 7),
        (("estate", "note"), 11),
        (("estate", "after_note"), 15),
        (("estate", "certificate"), 17),
        (("estate", "certificate", 0), 17),
        (("estate", "certificate", 0, "name"), 18),
        (("estate", "certificate", 0, "labels"), 19),
        (("estate", "certificate", 0, "labels", "team"), 20),
        (("estate", "certificate", 1), 22),
        (("estate", "certificate", 1, "name"), 23),
        (("estate", "certificate", 1, "address", 0, "ip"), 25),
        (("estate", "certificate", 1, "address", 1), 26),
        (("estate", "certificate", 1, "address", 1, "labels", "odd key", "x", 1), 28),
        (("quoted.table",), 30),
        (("quoted.table", "kéy"), 31),
        (("quoted.table", "bare.not"), 32),
        (("quoted.table", "last"), 33),
    ],
)
def test_every_key_is_found_on_its_line(path: Path, line: int) -> None:
    tomllib.loads(TEXT)
    assert locate(TEXT, path) == line


def test_key_that_is_not_there_is_on_the_line_of_the_table_around_it() -> None:
    assert locate(TEXT, ("estate", "certificate", 1, "missing")) == 22
    assert locate(TEXT, ("nowhere",)) == 1


def test_windows_line_ends_and_a_missing_last_one_count_as_well() -> None:
    assert locate("a = 1\r\n\r\n[t]\r\nb = 2", ("t", "b")) == 4


def test_text_that_is_not_toml_still_gives_a_line() -> None:
    assert locate('a = "open\n[[x\n]] = 3', ("x",)) >= 1
