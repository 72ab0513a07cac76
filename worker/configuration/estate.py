"""estate.toml: defaults, environments, and one table of entries per job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from tasks.context import Entry
from tasks.job import Job
from worker.configuration.documents import Document, as_json
from worker.configuration.model import Account, Defaults, Environment
from worker.problems import Path, accepted, did_you_mean

PartT = TypeVar("PartT", bound=BaseModel)
OWN_TABLES = ("defaults", "environments", "accounts")


@dataclass(frozen=True, slots=True)
class Estate:
    """What the file says, as far as it is right."""

    defaults: Defaults
    environments: Mapping[str, Environment]
    accounts: Mapping[str, Account]
    entries: Mapping[str, tuple[dict[str, Any], ...]]
    names: Mapping[str, Sequence[str]]
    """By job; also of entries that were refused, lest a schedule that names one be refused for it."""


def read_estate(document: Document, jobs: Mapping[str, Job[Any]]) -> Estate:
    """The estate; what is wrong is noted in `document`."""
    defaults = document.parsed(("defaults",), Defaults, document.table.get("defaults", {})) or Defaults()
    environments = _named(document, "environments", Environment)
    accounts = _named(document, "accounts", Account)
    _refuse_undeclared(document, ("defaults", "environment"), defaults.environment, environments)
    entries: dict[str, tuple[dict[str, Any], ...]] = {}
    names: dict[str, list[str]] = {}
    for name, rows in document.table.items():
        if name in OWN_TABLES or not (model := _entry_model(document, name, jobs)):
            continue
        if not isinstance(rows, list):
            document.refuse((name,), f"write each entry as a table of its own, headed [[{name}]]")
            continue
        found = [_entry(document, (name, index), row, model, defaults, accounts) for index, row in enumerate(rows)]
        _refuse_namesakes(document, name, found)
        for index, entry in enumerate(found):
            if entry:
                _refuse_undeclared(document, (name, index, "environment"), str(entry["environment"]), environments)
        entries[name] = tuple(entry for entry in found if entry)
        names[name] = [_name(entry or row) for entry, row in zip(found, rows, strict=True)]
    return Estate(defaults, environments, accounts, entries, names)


def _named(document: Document, heading: str, model: type[PartT]) -> dict[str, PartT]:
    """The tables `[heading.NAME]`. One that is refused has its name all the same, lest what names it be refused too."""
    tables = document.table.get(heading, {})
    if not isinstance(tables, Mapping):
        document.refuse((heading,), f"accepted: tables headed [{heading}.NAME]")
        return {}
    read = {name: document.parsed((heading, name), model, table) for name, table in tables.items()}
    return {name: part or model.model_construct() for name, part in read.items()}


def _entry_model(document: Document, table: str, jobs: Mapping[str, Job[Any]]) -> type[Entry] | None:
    with_entries = [name for name, job in jobs.items() if job.entry is not None and not job.gate]
    job = jobs.get(table)
    if job is None:
        document.refuse((table,), f"no job has this name; {did_you_mean(table, (*OWN_TABLES, *with_entries))}")
    elif table not in with_entries:
        document.refuse((table,), f"the job {table} takes no entries; {accepted((*OWN_TABLES, *with_entries))}")
    return job.entry if job and table in with_entries else None


def _entry(
    document: Document, path: Path, row: object, model: type[Entry], defaults: Defaults, accounts: Mapping[str, Account]
) -> dict[str, Any] | None:
    """The entry as written with the defaults filled in, or None when it is refused."""
    document.refuse_inline_secrets(path, row)
    parsed = document.parsed(path, model, row)
    if parsed is None:
        return None
    account = parsed.load().account
    if account and account not in accounts:
        document.refuse(
            (*path, "account"), f"no such account; {did_you_mean(account, list(accounts))} Declare it: [accounts.{account}]"
        )
    # Kept as written, not as parsed: what a later version of the job adds to its model does not change a revision.
    written = as_json(row) if isinstance(row, Mapping) else parsed.model_dump(mode="json", exclude_unset=True)
    labels = {**defaults.labels, **parsed.labels}
    return {
        "environment": defaults.environment,
        "owner": defaults.owner,
        **written,
        "name": parsed.name,
        **({"labels": labels} if labels else {}),
    }


def _name(row: object) -> str:
    return str(row.get("name", "")) if isinstance(row, Mapping) else str(row)


def _refuse_namesakes(document: Document, table: str, entries: list[dict[str, Any] | None]) -> None:
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if entry and first.setdefault(entry["name"], index) != index:
            document.refuse((table, index, "name"), f"the name is taken by entry {first[entry['name']] + 1} of this table")


def _refuse_undeclared(document: Document, path: Path, name: str, environments: Mapping[str, Environment]) -> None:
    if name != "default" and name not in environments:
        known = ["default", *environments]
        document.refuse(path, f"no such environment; {did_you_mean(name, known)} Declare it: [environments.{name}]")
