"""What a run is to look at: its parameters, and the entries of the estate or of the request that they name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tasks.context import Entry
from tasks.job import Job, Params
from worker.flow.errors import Invalid
from worker.flow.shift import Estate


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a run is to look at. `missing` were named when the run was made, and the estate has them no more."""

    params: Params
    known: Sequence[Entry] = ()
    """Of the estate."""
    targets: Sequence[Entry] = ()
    """Of the request alone."""
    missing: Sequence[str] = ()

    @property
    def entries(self) -> Sequence[Entry]:
        return [*self.known, *self.targets]


def select(job: Job[Any], params: Mapping[str, Any], estate: Estate) -> Selection:
    """Validate the parameters of a run and find its entries. Raises `Invalid`."""
    try:
        checked = job.params.model_validate(params)
        targets = [_ad_hoc(job, target, estate) for target in checked.targets]
    except ValidationError as error:
        raise Invalid(_explain(error, job), code="invalid_parameter", field=_field(error)) from error
    table = estate.table(job)
    _refuse_taken_names(job, [target.name for target in targets], table)
    if not checked.entries and not targets:
        return Selection(params=checked, known=list(table.values()))
    named = dict.fromkeys(checked.entries)
    missing = [name for name in named if name not in table]
    known = [table[name] for name in named if name in table]
    return Selection(params=checked, known=known, targets=targets, missing=missing)


def _refuse_taken_names(job: Job[Any], targets: Sequence[str], table: Mapping[str, Entry]) -> None:
    """Findings are kept by the entry's name: a target of that name would mend, on paper, what the estate's entry has."""
    taken = [name for name, times in Counter(targets).items() if times > 1 or name in table]
    if taken:
        message = f"{job.name}: the name {taken[0]!r} of a target is taken, by an entry of the estate or another target"
        raise Invalid(message, code="name_taken", field="params.targets")


def _ad_hoc(job: Job[Any], target: object, estate: Estate) -> Entry:
    if job.entry is None or not job.ad_hoc:
        message = f"{job.name} looks at entries of the estate only: `targets` is not accepted"
        raise Invalid(message, code="ad_hoc_refused", field="params.targets")
    given = job.entry.model_validate(target)
    stated = given.model_fields_set
    if refused := sorted(stated & job.entry.estate_only):
        message = f"{job.name}: {refused[0]!r} of a target is taken from the estate only"
        raise Invalid(message, code="ad_hoc_refused", field=f"params.targets.{refused[0]}")
    return given.model_copy(update={key: value for key, value in estate.defaults.items() if key not in stated})


def _explain(error: ValidationError, job: Job[Any]) -> str:
    known = ", ".join(sorted(job.params.model_fields))
    told = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'params'}: {item['msg']}" for item in error.errors())
    return f"{job.name}: {told} (parameters: {known})"


def _field(error: ValidationError) -> str:
    return ".".join(["params", *map(str, error.errors()[0]["loc"])])
