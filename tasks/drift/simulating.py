"""What people read of a proposal: the diff, what cannot be undone, and what it costs to do nothing. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.context import Artifact
from tasks.drift.classes import Classified
from tasks.drift.findings import Sight
from tasks.drift.sets import WHOLE
from tasks.drift.telling import SECRET, listed, what_differs
from tasks.model import Json, Plan, Reversibility, Simulation, Step

_VALUE_LIMIT, _MOST_STEPS = 200, 50
_UNDONE = {Reversibility.R1: "in place", Reversibility.R2: "under a new identity", Reversibility.R3: "cannot be undone"}


_IF_NOT_REVERTED = (
    "If nothing is done: the cloud stays as it is; the next `pulumi up --refresh` of anybody makes these changes unasked, "
    "while a plain `pulumi up` does not see them"
)
_IF_PROGRAM_SAYS_OTHERWISE = (
    "The program must be changed, too: it still says otherwise, and the next `pulumi up` after this would put it back. "
    "If nothing is done: the next `pulumi up --refresh` puts it back at once"
)


_AS_READ = (
    "The values are those that two looks at the cloud agree on: Pulumi makes no plan of taking them into the state, "
    "so what is taken is whatever they are by then"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that a simulation is made of."""

    sight: Sight
    plan: Plan
    rows: Sequence[Classified]
    kept: Artifact | None = None
    """Pulumi's plan file."""
    patch: str | None = None
    """Of the program, as a unified diff."""


def simulate(shown: Shown, cli: str) -> Simulation:
    sight, plan = shown.sight, shown.plan
    state = sight.seen.state
    return Simulation(
        summary=f"{plan.parameters['verb']} {sight.place}: {what_differs(shown.rows)}",
        text="\n".join(_lines(shown)),
        irreversible=tuple(_irreversible(plan)),
        soft_pins={
            "state_sha256": state.sha256,
            "git_commit": state.git_commit,
            "pulumi": cli,
            "plan_file_sha256": shown.kept.sha256 if shown.kept else None,
        },
    )


def _lines(shown: Shown) -> Iterator[str]:
    steps = shown.plan.steps
    for step in steps[:_MOST_STEPS]:
        yield from _diff(step)
    if len(steps) > _MOST_STEPS:
        yield f"and {len(steps) - _MOST_STEPS} more resources"
    yield ""
    yield from _besides(shown)
    if shown.plan.parameters["verb"] == "accept":
        yield _AS_READ
    yield _cost(shown)
    if shown.kept:
        yield f"Pulumi's own plan is kept, encrypted, as {shown.kept.name} ({shown.kept.sha256[:12]})"
    if shown.patch:
        yield "\nThe program that says the same:\n"
        yield shown.patch


def _diff(step: Step) -> Iterator[str]:
    verb = step.arguments["operation"] if step.action == "revert" else "take into the state"
    name = f"{step.arguments['type']} {step.target.rpartition('::')[2]}"
    yield f"~ {name}: {verb}, {_UNDONE[step.reversibility]} ({step.reversibility})"
    before, after = step.before, step.after
    assert isinstance(before, Mapping)
    assert isinstance(after, Mapping)
    for path in before:
        name = f"{path}: " if path != WHOLE else ""
        yield f"-   {name}{_value(before[path])}"
        yield f"+   {name}{_value(after[path])}"


def _besides(shown: Shown) -> Iterator[str]:
    """What goes with the repair of a resource though nobody drifted it."""
    names = [
        f"{step.target.rpartition('::')[2]} {one['path']}" for step in shown.plan.steps for one in _told(step) if not one["drift"]
    ]
    if names:
        yield f"Goes with it, because Pulumi changes whole resources: {listed(names, 10)}"


def _told(step: Step) -> Iterator[Mapping[str, Json]]:
    told = step.arguments.get("changes")
    yield from (one for one in (told if isinstance(told, Sequence) else ()) if isinstance(one, Mapping))


def _cost(shown: Shown) -> str:
    if shown.plan.parameters["verb"] == "revert":
        return _IF_NOT_REVERTED
    if shown.patch is None and any(one.actual != one.desired for one in shown.rows):
        return _IF_PROGRAM_SAYS_OTHERWISE
    return "If nothing is done: the state keeps telling what is not so, until somebody refreshes it"


def _irreversible(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        name = step.target.rpartition("::")[2]
        match step.action, step.reversibility:
            case "revert", Reversibility.R3:
                yield f"{name} ({step.arguments['type']}) is lost with what it holds: {step.arguments['operation']}"
            case "revert", Reversibility.R2:
                yield f"{name} ({step.arguments['type']}) is made anew, with another id or address: {step.arguments['operation']}"
            case _:
                pass


def _value(value: Json) -> str:
    if isinstance(value, Mapping) and set(value) == {"secret"}:
        return SECRET
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 1]}…"
