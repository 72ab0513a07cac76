"""How commands show things: tables for people, JSON for programs, nothing that a terminal would obey."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_WIDTH_OF_PIPES = 160
_STYLES = {
    "critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan",
    "failed": "red", "needs_attention": "bold red", "cannot_tell": "magenta", "findings": "yellow",
    "succeeded": "green", "ok": "green", "running": "blue", "fail": "bold red", "warn": "yellow",
}  # fmt: skip


@cache
def console() -> Console:
    """Standard output; without colour and wide enough when nobody looks at it."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH_OF_PIPES
    return Console(highlight=False, markup=False, emoji=False, width=width)


def say(text: str) -> None:
    """One plain line, never wrapped or cut."""
    console().print(Text(clean(text)), soft_wrap=True)


def show_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """`value` on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """A table that folds in a narrow terminal; `empty` is said when there is no row."""
    if not rows:
        say(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console().print(table)


def show_facts(facts: Mapping[str, object]) -> None:
    """Names and values beneath each other; what is empty is left out."""
    given = {name: value for name, value in facts.items() if value not in (None, "", {}, [])}
    width = max(map(len, given), default=0)
    for name, value in given.items():
        console().print(Text(f"{name:<{width}}  ", style="bold"), _cell(value), sep="", soft_wrap=True)


def clean(text: str) -> str:
    """Certificates and scripts may say anything: nothing of it may steer a terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def clock(at: datetime | None) -> str:
    """An instant in the reader's zone."""
    return "" if at is None else at.astimezone(reader_zone()).strftime("%Y-%m-%d %H:%M:%S %Z")


@cache
def reader_zone() -> ZoneInfo:
    """That of `TZ`, else of this machine."""
    from worker.settings import machine_timezone

    return ZoneInfo(machine_timezone(os.environ))


def _cell(value: object) -> Text:
    if isinstance(value, datetime):
        value = clock(value)
    if isinstance(value, Mapping | list | tuple):
        value = json.dumps(value, ensure_ascii=False)
    text = clean("" if value is None else str(value))
    return Text(text, style=_STYLES.get(text, ""))
