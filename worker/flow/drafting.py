"""Drafting: what a request asks for becomes the runs that it would make, a few entries of the estate each."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tasks.context import Entry
from tasks.job import Job
from worker.flow.errors import Invalid, NotFound
from worker.flow.selecting import select
from worker.flow.shift import Estate, Shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One item of a request: a job and its parameters."""

    job: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    item: int
    job: Job[Any]
    options: Mapping[str, Any]
    entries: Sequence[Entry]
    ad_hoc: bool = False

    @property
    def params(self) -> dict[str, Any]:
        """Only names of the estate are kept: a run reads its entries from the configuration in force."""
        if self.ad_hoc:
            return {**self.options, "targets": [entry.model_dump(mode="json", exclude_unset=True) for entry in self.entries]}
        return {**self.options, "entries": [entry.name for entry in self.entries]}


def draft_orders(shift: Shift, orders: Iterable[Order], estate: Estate | None = None) -> tuple[list[Draft], Estate]:
    """The runs that `orders` would make, and the estate they were drawn from. Raises `Invalid`, `NotFound`."""
    estate = estate or shift.estate()
    return [draft for item, order in enumerate(orders) for draft in _drafts(shift, item, order, estate)], estate


def job_named(shift: Shift, name: str) -> Job[Any]:
    """Raises `NotFound` naming the nearest job."""
    if name in shift.jobs:
        return shift.jobs[name]
    near = difflib.get_close_matches(name, shift.jobs, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    message = f"no job is called {name!r}: {hint}jobs are {', '.join(sorted(shift.jobs))}"
    raise NotFound(message, code="unknown_job", field="job")


def _drafts(shift: Shift, item: int, order: Order, estate: Estate) -> list[Draft]:
    job = job_named(shift, order.job)
    selection = select(job, order.params, estate)
    if selection.missing:
        table = estate.table(job)
        near = difflib.get_close_matches(selection.missing[0], table, n=3)
        there = "1 entry" if len(table) == 1 else f"{len(table)} entries"
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {there}"
        message = f"the estate has no {job.name} entry {', '.join(map(repr, selection.missing))}: {hint}"
        raise NotFound(message, code="unknown_entry", field="params.entries")
    options = selection.params.model_dump(mode="json", exclude={"entries", "targets"}, exclude_unset=True)
    size = job.entries_per_run
    known = [Draft(item=item, job=job, options=options, entries=chunk) for chunk in _chunks(selection.known, size)]
    targets = [
        Draft(item=item, job=job, options=options, entries=chunk, ad_hoc=True) for chunk in _chunks(selection.targets, size)
    ]
    if not known and not targets:
        message = f"nothing to look at: the estate has no `[[{job.name}]]` entries"
        raise Invalid(message, code="nothing_selected", field="params.entries")
    return [*known, *targets]


def _chunks(entries: Sequence[Entry], size: int) -> list[Sequence[Entry]]:
    """At most `size` entries a run, all of one environment, as grants and modes are, and of one account."""
    alike = _alike if size > 1 else _environment
    chunks: list[Sequence[Entry]] = []
    for _, group in groupby(sorted(entries, key=alike), key=alike):
        members = list(group)
        chunks += [members[start : start + size] for start in range(0, len(members), size)]
    return chunks


def _environment(entry: Entry) -> tuple[str, ...]:
    return (entry.environment,)


def _alike(entry: Entry) -> tuple[str, ...]:
    return entry.environment, entry.load().account
