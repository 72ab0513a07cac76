"""From a folder of files to one configuration, or to every problem in them."""

import hashlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from notifications.config import RoutesConfig
from tasks.job import Job
from worker.configuration.documents import FILES, SCHEDULES_FOLDER, ConfigurationError, Document, as_json, misnamed, read
from worker.configuration.estate import read_estate
from worker.configuration.model import Configuration
from worker.configuration.nights import read_schedules
from worker.configuration.people import read_people
from worker.configuration.policy import Known, read_policy
from worker.problems import Problem

DEFAULT_ROUTES = {"channels": {"console": {"kind": "console"}}, "digest": {"channels": ["console"]}}


def check(folder: Path, jobs: Mapping[str, Job[Any]], default_zone: ZoneInfo) -> Configuration:
    """The configuration that the files in `folder` make; every file is optional.

    `jobs` are all jobs by name; `default_zone` is that of schedules that name none. Raises `ConfigurationError` with
    every problem of every file.
    """
    if not folder.is_dir():
        raise ConfigurationError([Problem(str(folder), None, "", "", "there is no such folder")])
    documents = {name: read(folder / name) for name in FILES}
    estate = read_estate(documents["estate.toml"], jobs)
    people = read_people(documents["people.toml"], estate.environments)
    sound = not documents["people.toml"].problems
    known = Known(jobs=jobs.keys(), environments=estate.environments, people=people if sound else None)
    policy = read_policy(documents["policy.toml"], known, default_zone)
    routes = _routes(documents["routes.toml"], default_zone)
    schedules, problems = read_schedules(folder, jobs, estate, default_zone)
    found = [*misnamed(folder), *(problem for document in documents.values() for problem in document.problems), *problems]
    if found:
        raise ConfigurationError(sorted(found, key=lambda problem: (problem.file, problem.line or 0)))
    return Configuration(
        defaults=estate.defaults,
        environments=dict(estate.environments),
        accounts=dict(estate.accounts),
        estate=dict(estate.entries),
        people=people,
        policy=policy,
        routes=routes,
        schedules=schedules,
    )


class Watcher:
    """Tells when the files of a folder have changed since it last looked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = fingerprint(folder)

    def changed(self) -> bool:
        """True once per change of content; touching a file is none."""
        before, self._seen = self._seen, fingerprint(self._folder)
        return self._seen != before


def fingerprint(folder: Path) -> str:
    """SHA-256 over names and bytes of the configuration files that are there."""
    digest = hashlib.sha256()
    for path in _paths(folder):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _paths(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in FILES)
    yield from sorted((folder / SCHEDULES_FOLDER).glob("*.toml"))


def _routes(document: Document, zone: ZoneInfo) -> dict[str, Any]:
    """The routes as written, in `zone` where they name none. Without a file: the digest, on the console page's channel."""
    routes: dict[str, Any] = as_json(document.table) or deepcopy(DEFAULT_ROUTES)
    routes.setdefault("digest", {})
    for name in ("digest", "quiet_hours"):
        if isinstance(table := routes.get(name), dict):
            table.setdefault("timezone", zone.key)
    if document.parsed((), RoutesConfig, routes):
        document.refuse_inline_secrets((), document.table)
    return routes
