"""A schedules file (TOML) to Schedules. Everything that is wrong with a file is told at once, each with its line."""

import re
import tomllib
from datetime import timedelta
from math import isfinite
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from schedules.cron import parse_cron
from schedules.durations import parse_duration
from schedules.errors import ScheduleFileError
from schedules.schedule import CatchUp, Overlap, Schedule, Selector, Trigger
from schedules.table import Source, Table, did_you_mean, one_of, type_name
from schedules.toml_lines import Path

_CATCH_UP: tuple[CatchUp, ...] = ("skip", "one", "all")
_OVERLAP: tuple[Overlap, ...] = ("forbid", "queue", "replace")
_TRIGGER: tuple[Trigger, ...] = ("scheduler", "n8n")
_KEYS = (
    "name", "cron", "job", "timezone", "select", "parameters", "catch_up", "overlap", "jitter", "start_deadline",
    "trigger", "ping_url",
)  # fmt: skip
_SELECT_KEYS = ("entries", "environments", "owners", "labels")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_REFERENCE = re.compile(r"(env|file|vault):\S+")
_AT_LINE = re.compile(r"(.*) \(at line ([0-9]+), column [0-9]+\)")


def load_schedules(text: str, source: str, default_zone: ZoneInfo) -> list[Schedule]:
    """The schedules of one file, in its order. `source` is its name for messages; `default_zone` the instance's.

    Raises `ScheduleFileError` with every problem of the file. Whether a job exists, takes the parameters, and whether
    another file has a schedule of the same name is for the caller to see.
    """
    file = Source(source, text)
    schedules = [_schedule(table, default_zone) for table in _tables(file)]
    _refuse_namesakes(file, schedules)
    if file.problems:
        raise ScheduleFileError(file.problems)
    return schedules


def _tables(file: Source) -> list[Table]:
    try:
        content = tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.fullmatch(str(error))
        message, line = (found[1], int(found[2])) if found else (str(error), file.text.count("\n") + 1)
        file.refuse((), f"is not TOML: {message}", line=line)
        return []
    Table(file, (), content).accept_only(["schedule"])
    entries = content.get("schedule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        file.refuse(("schedule",), f"is {type_name(entries)}; accepted: tables headed `[[schedule]]`")
        return []
    return [Table(file, ("schedule", index), entry) for index, entry in enumerate(entries)]


def _schedule(table: Table, default_zone: ZoneInfo) -> Schedule:
    table.accept_only(_KEYS)
    table.require("name", "cron", "job")
    trigger: Trigger = table.parsed("trigger", one_of(_TRIGGER), "scheduler")
    if trigger == "n8n":
        table.require("start_deadline")
    return Schedule(
        name=table.parsed("name", _name, ""),
        cron=table.parsed("cron", _cron, ""),
        job=table.parsed("job", _filled, ""),
        zone=table.parsed("timezone", _zone, default_zone),
        select=_selector(table.table("select")),
        parameters=_parameters(table.table("parameters")),
        catch_up=table.parsed("catch_up", one_of(_CATCH_UP), "one"),
        overlap=table.parsed("overlap", one_of(_OVERLAP), "forbid"),
        jitter=table.parsed("jitter", parse_duration, timedelta(0)),
        start_deadline=table.parsed("start_deadline", _deadline, None),
        trigger=trigger,
        ping_url=table.parsed("ping_url", _ping_url, None, secret=True),
    )


def _selector(table: Table) -> Selector:
    table.accept_only(_SELECT_KEYS)
    labels = table.table("labels")
    return Selector(
        entries=table.strings("entries"),
        environments=table.strings("environments"),
        owners=table.strings("owners"),
        labels={key: labels.parsed(key, str, "") for key in labels.content},
    )


def _parameters(table: Table) -> dict[str, object]:
    """Parameters travel as JSON, which has no dates."""
    for path, value in _leaves(table.path, table.content):
        if not isinstance(value, str | int | float):
            table.source.refuse(path, f"is {type_name(value)}; write it as a string")
        elif isinstance(value, float) and not isfinite(value):
            table.source.refuse(path, "is not a number that JSON can say", str(value))
    return dict(table.content)


def _leaves(path: Path, value: object) -> list[tuple[Path, object]]:
    match value:
        case dict():
            inside = [_leaves((*path, key), item) for key, item in value.items()]
        case list():
            inside = [_leaves((*path, index), item) for index, item in enumerate(value)]
        case _:
            return [(path, value)]
    return [leaf for leaves in inside for leaf in leaves]


def _refuse_namesakes(file: Source, schedules: list[Schedule]) -> None:
    first: dict[str, int] = {}
    for index, schedule in enumerate(schedules):
        if schedule.name and first.setdefault(schedule.name, index) != index:
            line = file.line(("schedule", first[schedule.name], "name"))
            file.refuse(("schedule", index, "name"), f"is taken by the schedule on line {line}", repr(schedule.name))


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("is not a name; accepted: up to 63 of a-z, 0-9 and `-`, e.g. `nightly-certificates`")
    return text


def _cron(text: str) -> str:
    parse_cron(text)
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # a path outwards, a folder such as `Europe`, no such zone
        near = did_you_mean(text, sorted(available_timezones()))
        raise ValueError(f"is not a time zone;{near} accepted: a name of the IANA list, e.g. `Europe/Berlin`") from None


def _deadline(text: str) -> timedelta | None:
    deadline = parse_duration(text)
    if not deadline:
        raise ValueError("leaves no time to start; accepted: more than zero, e.g. `2h`")
    return deadline


def _ping_url(text: str) -> str | None:
    if _REFERENCE.fullmatch(text):
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an address to ping; accepted: an http(s) URL, or a reference such as `env:NIGHTLY_PING`")
    return text
