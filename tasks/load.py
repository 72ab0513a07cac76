"""Finds jobs, providers and channels by name: those that ship, those of installed packages, those named in the settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from tasks.errors import LoadError
from tasks.job import Job, Params

JOBS_GROUP = "nightshift.jobs"
PROVIDERS_GROUP = "nightshift.providers"
CHANNELS_GROUP = "nightshift.channels"
PACKAGES = ("tasks", "schedules", "notifications", "worker")
T = TypeVar("T")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
PATH = re.compile(r"[\w.]+:[\w.]+")


@dataclass(frozen=True, slots=True)
class Named:
    """Something to load: what it is called, where its code is, and who says so."""

    name: str
    path: str
    said_by: str


def load_object(path: str) -> object:
    """What `module:attribute` names. Raises `LoadError` that says what is missing, and why the import failed."""
    if not PATH.fullmatch(path):
        message = f"{path!r}: expected `module:attribute`, for example `acme.checks:JOB`"
        raise LoadError(message)
    module_name, _, attributes = path.partition(":")
    try:
        value: object = import_module(module_name)
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything while it is imported
        message = f"{path}: importing {module_name} failed: {type(error).__name__}: {error}"
        raise LoadError(message) from error
    for attribute in attributes.split("."):
        if not hasattr(value, attribute):
            close = get_close_matches(attribute, dir(value), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            message = f"{path}: {module_name} has no {attribute}{hint}"
            raise LoadError(message)
        value = getattr(value, attribute)
    return value


def installed(group: str) -> Iterator[Named]:
    """What installed packages offer under `group`, in a stable order."""
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        yield Named(point.name, point.value, f"entry point {group} of {_package(point)}")


def load_named(group: str, shipped: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, object]:
    """Providers or channels by name. Raises `LoadError`, also for a name that two packages claim."""
    found: dict[str, tuple[Named, object]] = {}
    for named in (*_said(shipped, "Nightshift itself"), *installed(group), *_said(configured, "the settings")):
        _add(found, named.name, named, load_object(named.path))
    return {name: value for name, (_, value) in found.items()}


def load_jobs(shipped: Mapping[str, str], dotted: Sequence[str]) -> dict[str, Job[Any]]:
    """Every job by its name: `shipped` (name to path), entry points, and the paths in the settings.

    Raises `LoadError` for the first that cannot be loaded, is not a job, has a bad name or another job's name.
    """
    found: dict[str, tuple[Named, Job[Any]]] = {}
    settings = (Named("", path, "the settings") for path in dotted)
    for named in (*_said(shipped, "Nightshift itself"), *installed(JOBS_GROUP), *settings):
        job = _job(named)
        _add(found, job.name, named, job)
    return {name: job for name, (_, job) in found.items()}


def refuse_shadowing(packages: Sequence[str] = PACKAGES) -> None:
    """Raise `LoadError` unless all `packages` would be imported from the folder that this file's own package lies in."""
    home = Path(__file__).resolve().parents[1]
    for package in packages:
        spec = find_spec(package)
        origin = spec.origin if spec else None
        if origin is None:
            message = f"package {package} is missing from {home}: install Nightshift again"
            raise LoadError(message)
        if Path(origin).resolve() != home / package / "__init__.py":
            hint = "rename it, or take its folder off PYTHONPATH"
            message = f"{origin} shadows Nightshift's own package {package} in {home}: {hint}"
            raise LoadError(message)


def _said(paths: Mapping[str, str], by: str) -> Iterator[Named]:
    return (Named(name, path, by) for name, path in paths.items())


def _add(found: dict[str, tuple[Named, T]], name: str, named: Named, value: T) -> None:
    first, known = found.setdefault(name, (named, value))
    if known is not value:  # the same object named twice is harmless
        message = f"two are called {name!r}: {first.path} ({first.said_by}) and {named.path} ({named.said_by}); rename one"
        raise LoadError(message)


def _job(named: Named) -> Job[Any]:
    job = load_object(named.path)
    if not isinstance(job, Job):
        message = f"{named.path} ({named.said_by}): expected a Job, got {type(job).__name__}; see docs/add-a-job.md"
        raise LoadError(message)
    wrong = _what_is_wrong(job, named)
    if wrong:
        message = f"{named.path} ({named.said_by}): {wrong}"
        raise LoadError(message)
    return job


def _what_is_wrong(job: Job[Any], named: Named) -> str | None:
    if not NAME.fullmatch(job.name):
        return f"job name {job.name!r}: expected snake_case, at most 63 letters, digits and _, a letter first"
    if named.name and named.name != job.name:
        return f"listed as {named.name!r}, but the job calls itself {job.name!r}"
    if not issubclass(job.params, Params):
        return f"job {job.name}: params {job.params.__name__} is not a subclass of tasks.job.Params"
    if job.entries_per_run < 1 or job.time_limit <= timedelta(0):
        return f"job {job.name}: entries_per_run and time_limit must be positive"
    return None


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
