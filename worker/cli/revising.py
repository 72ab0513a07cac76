"""The configuration commands."""

from dataclasses import asdict
from pathlib import Path
from zoneinfo import ZoneInfo

import worker.configuration as configured
from worker.cli.opening import actor, loaded, shift
from worker.cli.printing import say, show_facts, show_json, show_table
from worker.cli.refusals import Refusal
from worker.cli.work import TAIL
from worker.configuration import Configuration
from worker.flow.shown import jsonable, shown
from worker.ledger import revisions
from worker.wiring import House


def check(folder: Path | None, *, as_json: bool) -> None:
    """Say that the files are right, or raise what is wrong."""
    try:
        found = read(folder)
    except configured.ConfigurationError as error:
        if as_json:
            show_json({"problems": [asdict(problem) for problem in error.problems]})
        raise
    counts = {job: len(entries) for job, entries in found.estate.items()}
    if as_json:
        told_of = {"digest": found.digest, "entries": counts, "people": len(found.people), "schedules": len(found.schedules)}
        show_json(told_of | {"problems": []})
        return
    told = ", ".join(f"{number} {job}" for job, number in counts.items()) or "no entries"
    say(f"valid: {told}; {len(found.schedules)} schedules, {len(found.people)} people; digest {found.digest[:TAIL]}")


def diff(folder: Path | None, *, as_json: bool) -> None:
    """What differs between the files and what is in force."""
    new, opened = read(folder), shift()
    in_force = configured.current(opened.ledger)
    changes = configured.diff(in_force[1] if in_force else None, new)
    if as_json:
        show_json(jsonable(changes))
        return
    for change in changes:
        say(str(change))
    if not changes:
        say("no difference")


def apply(folder: Path | None, note: str) -> None:
    """Put the files in force."""
    opened = shift()
    applied = configured.apply(opened.ledger, read(folder), actor=actor(), note=note, at=opened.clock())
    say(f"revision {applied.id} is in force" + ("" if applied.changed else ", as before: nothing differs"))


def rollback(revision: int) -> None:
    """Put an earlier revision in force."""
    opened = shift()
    applied = configured.rollback(opened.ledger, revision, actor=actor(), at=opened.clock())
    say(f"revision {applied.id} is in force, with the content of revision {revision}")
    say("the files are as they were: `nightshift up` applies them again when one of them changes")


def show(number: int | None, *, as_json: bool) -> None:
    """A revision, and which there are."""
    with shift().ledger.read() as connection:
        found = revisions.current(connection) if number is None else revisions.get(connection, number)
        others = revisions.listing(connection)
    if found is None:
        raise Refusal(
            "no configuration is in force: `nightshift config apply`" if number is None else f"there is no revision {number}"
        )
    if as_json:
        show_json(shown(found))
        return
    show_facts(
        {"revision": found.id, "digest": found.digest, "applied by": found.applied_by, "at": found.applied_at, "note": found.note}
    )
    show_json(jsonable(found.content))
    rows = [(row.id, row.digest[:TAIL], row.applied_by, row.applied_at, row.note) for row in others]
    show_table(["revision", "digest", "applied by", "at", "note"], rows, empty="")


def read(folder: Path | None) -> Configuration:
    """The configuration that the files make. Raises `ConfigurationError`."""
    settings = loaded().settings
    return configured.check(folder or settings.home, House(settings).jobs, ZoneInfo(settings.timezone))
