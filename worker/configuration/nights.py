"""schedules/*.toml against the estate: a schedule names a job that exists, entries it has, parameters it takes."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from schedules.errors import ScheduleFileError
from schedules.load import load_schedules
from schedules.schedule import Schedule
from tasks.job import Job
from worker.configuration.documents import SCHEDULES_FOLDER, Document, read
from worker.configuration.estate import Estate
from worker.problems import Problem, did_you_mean

SHIPPED = "nightly.toml"
FROM_ESTATE = ("entries", "targets")
"""Parameters that a schedule's selector stands for."""


def read_schedules(
    folder: Path, jobs: Mapping[str, Job[Any]], estate: Estate, zone: ZoneInfo
) -> tuple[tuple[Schedule, ...], list[Problem]]:
    """All schedules, by name, and what is wrong with them.

    Without a file of one's own: those that ship, for jobs that have entries.
    """
    documents = [read(path) for path in sorted((folder / SCHEDULES_FOLDER).glob("*.toml"))]
    if not documents:
        return _shipped(jobs, estate, zone), []
    schedules: dict[str, tuple[str, Schedule]] = {}
    problems: list[Problem] = []
    for bare in documents:
        document = Document(f"{SCHEDULES_FOLDER}/{bare.file}", bare.text, bare.table, bare.problems)
        for index, schedule in enumerate(_loaded(document, zone)):
            other, _ = schedules.setdefault(schedule.name, (document.file, schedule))
            if other != document.file:
                document.refuse(("schedule", index, "name"), f"is taken by a schedule of {other}")
            _refuse_strangers(document, index, schedule, jobs, estate)
        problems += document.problems
    return tuple(schedule for _, (_, schedule) in sorted(schedules.items())), problems


def _shipped(jobs: Mapping[str, Job[Any]], estate: Estate, zone: ZoneInfo) -> tuple[Schedule, ...]:
    text = (files("schedules") / SHIPPED).read_text(encoding="utf-8")
    usable = (schedule for schedule in load_schedules(text, SHIPPED, zone) if schedule.job in jobs)
    return tuple(sorted((s for s in usable if estate.names.get(s.job)), key=lambda schedule: schedule.name))


def _loaded(document: Document, zone: ZoneInfo) -> list[Schedule]:
    if document.problems:
        return []
    try:
        return load_schedules(document.text, document.file, zone)
    except ScheduleFileError as error:
        document.problems.extend(Problem(p.source, p.line, p.key, p.value or "", p.message) for p in error.problems)
        return []


def _refuse_strangers(document: Document, index: int, schedule: Schedule, jobs: Mapping[str, Job[Any]], estate: Estate) -> None:
    job = jobs.get(schedule.job)
    if job is None:
        document.refuse(("schedule", index, "job"), f"no such job; {did_you_mean(schedule.job, list(jobs))}")
        return
    names = estate.names.get(job.name, ()) if job.entry else [job.name]
    for key, wanted, known in _selected(schedule, names, estate):
        document.refuse(
            ("schedule", index, "select", key), f"{wanted} is not in the estate of {job.name}; {did_you_mean(wanted, known)}"
        )
    for key in FROM_ESTATE:
        if key in schedule.parameters:
            document.refuse(("schedule", index, "parameters", key), "is no parameter of a schedule; name entries by `select`")
    parameters = {key: value for key, value in schedule.parameters.items() if key not in FROM_ESTATE}
    document.refuse_inline_secrets(("schedule", index, "parameters"), parameters)
    document.parsed(("schedule", index, "parameters"), job.params, parameters)


def _selected(schedule: Schedule, names: Sequence[str], estate: Estate) -> Iterator[tuple[str, str, Sequence[str]]]:
    environments = ["default", *estate.environments]
    yield from (("entries", name, names) for name in schedule.select.entries if name not in names)
    yield from (("environments", name, environments) for name in schedule.select.environments if name not in environments)
