"""From what a check found to what would mend it: plan, seal, risk, policy. Reads the world, writes nothing."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from tasks.context import Context, Entry, Mode
from tasks.errors import Cancelled
from tasks.job import Job, Params
from tasks.model import Finding, Json, Plan, Simulation, Step
from worker.flow.masking import masked, masked_text
from worker.flow.shift import Estate
from worker.policy import Assessment, Denied, Rule, assess, judge
from worker.seal import Sealed, seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A sealed plan that a rule of the policy lets us ask for."""

    sealed: Sealed
    simulation: Simulation
    entry: Entry
    mode: Mode
    assessment: Assessment
    rule: Rule
    params: Mapping[str, Json]
    """Of the run that would carry it out."""
    gate: bool = False
    """Somebody else would: no run of ours carries it out."""
    requesters: Collection[str] = ()
    """People who want it, besides those behind the run that planned it."""


class PlanRefused(Exception):  # noqa: N818 - states a condition
    """A plan that no job should make: it names steps, findings or secrets that it must not."""


def propose(
    job: Job[Any],
    params: Params,
    estate: Estate,
    findings: Sequence[Finding],
    ctx: Context,
    interruptions: tuple[type[BaseException], ...],
) -> Iterator[Proposal]:
    """One proposal per entry, subject and cause that can be mended, is to be, and that a rule covers.

    What cannot be planned keeps its finding and gets a line in the run's log: it must not fail the check.
    """
    if job.remedy is None:
        return
    entries = {entry.name: entry for entry in ctx.selected}
    for (name, subject, cause), group in groupby(sorted(findings, key=_grouping), key=_grouping):
        entry = entries[name]
        if estate.mode(entry.environment) == "observe":
            continue
        try:
            ctx.checkpoint()
            proposal = _propose(job, params, estate, list(group), replace(ctx, selected=[entry]))
        except Cancelled:
            raise
        except Exception as error:
            if isinstance(error, interruptions):
                raise
            # Whatever else a remedy raises: its finding stands.
            told = masked_text(f"{type(error).__name__}: {error}")
            ctx.log.warning("not_planned", subject=subject, cause=cause, why=told)
            continue
        match proposal:
            case Denied(code, why):
                ctx.log.info("not_asked", subject=subject, cause=cause, code=code, why=why)
            case Proposal():
                yield proposal


def plan_for(
    job: Job[Any], params: Params, ctx: Context, findings: Sequence[Finding], subject: str, cause: str
) -> tuple[Plan, Simulation] | None:
    """What the remedy would do about `findings` now; None: nothing. Raises `PlanRefused`, and whatever the remedy raises."""
    assert job.remedy is not None
    made = job.remedy.plan(ctx, params, findings)
    if made is None:
        return None
    plan, simulation = made
    _refuse_strange(job, plan, {finding.key for finding in findings})
    text = seal(plan, subject=subject, cause=cause, rule="").content.decode()
    if "\\u0000" in text:
        raise PlanRefused("it holds a NUL character, which no ledger keeps")
    if masked_text(text) != text:
        raise PlanRefused("it holds a secret in clear: a plan names a secret by its reference")
    return plan, _masked(simulation)


def takes_back(plan: Plan, reverse: Step) -> set[str]:
    """The steps that a step of the rollback leads to, over others of the rollback, too."""
    found = {step.id: set(step.depends_on) for step in plan.rollback}
    left, seen = [reverse.id], set[str]()
    while left:
        following = found.get(left.pop(), set()) - seen
        seen |= following
        left += following
    return seen & {step.id for step in plan.steps}


def _propose(
    job: Job[Any], params: Params, estate: Estate, findings: Sequence[Finding], ctx: Context
) -> Proposal | Denied | None:
    (entry,) = ctx.selected
    subject, cause = findings[0].subject, findings[0].cause or findings[0].reason
    made = plan_for(job, params, ctx, findings, subject, cause)
    if made is None:
        return None
    plan, simulation = made
    assessment = assess(plan, entry.environment)
    verdict = judge(estate.policy, plan, entry.environment, assessment.risk)
    if isinstance(verdict, Denied):
        return verdict
    options = params.model_dump(mode="json", exclude={"entries", "targets"}, exclude_unset=True)
    return Proposal(
        sealed=seal(plan, subject=subject, cause=cause, rule=verdict.rule.name),
        simulation=simulation,
        entry=entry,
        mode=estate.mode(entry.environment) if job.gate or hasattr(job.remedy, "apply") else "propose",
        assessment=assessment,
        rule=verdict.rule,
        params={**options, "entries": [entry.name]},
        gate=job.gate,
    )


def _grouping(finding: Finding) -> tuple[str, str, str]:
    return finding.entry, finding.subject, finding.cause or finding.reason


def _refuse_strange(job: Job[Any], plan: Plan, keys: set[str]) -> None:
    steps = (*plan.steps, *plan.rollback)
    ids = [step.id for step in steps]
    unknown = {name for step in steps for name in step.depends_on} - set(ids)
    loose = [step.id for step in plan.rollback if not takes_back(plan, step)]
    for wrong, told in (
        (plan.job != job.name, f"it is of job {plan.job!r}"),
        (not plan.steps, "it has no steps"),
        (len(set(ids)) != len(ids), "two of its steps have the same id"),
        (bool(unknown), f"a step depends on {', '.join(sorted(unknown))}, which it does not have"),
        (bool(loose), f"{', '.join(loose)} of its rollback takes no step back: it depends on none"),
        (not set(plan.finding_keys) <= keys, "it names findings that it was not given"),
    ):
        if wrong:
            raise PlanRefused(f"the plan of {job.name} is refused: {told}")


def _masked(simulation: Simulation) -> Simulation:
    pins = masked(simulation.soft_pins)
    return Simulation(
        summary=masked_text(simulation.summary),
        text=masked_text(simulation.text),
        irreversible=tuple(map(masked_text, simulation.irreversible)),
        soft_pins=pins if isinstance(pins, Mapping) else {},
    )
