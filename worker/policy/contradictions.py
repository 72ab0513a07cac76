"""Rules that could cover the same plan and demand different things of it, found before there is such a plan. Pure."""

from collections.abc import Collection, Iterator, Sequence

from worker.policy.globs import matches, overlap
from worker.policy.model import LEAST_RISK, Rule


def contradictions(
    rules: Sequence[Rule], *, jobs: Collection[str], environments: Collection[str]
) -> Iterator[tuple[int, int, str]]:
    """Positions of two rules, the earlier first, and an example of what both cover, among these jobs and environments."""
    for later, rule in enumerate(rules):
        for earlier, other in enumerate(rules[:later]):
            if other.demands != rule.demands and (example := _both(other, rule, jobs, environments)):
                yield earlier, later, example


def _both(one: Rule, other: Rule, jobs: Collection[str], environments: Collection[str]) -> str | None:
    job = _shared(one.jobs, other.jobs, jobs)
    environment = _shared(one.environments, other.environments, environments)
    risk = next((risk for risk in one.risks if risk in other.risks and risk.rank >= LEAST_RISK.rank), None)
    if None in (job, environment, risk) or not overlap(one.actions, other.actions) or not overlap(one.targets, other.targets):
        return None
    return f"{job} in {environment} at {risk} risk"


def _shared(some: Sequence[str], others: Sequence[str], names: Collection[str]) -> str | None:
    return next((name for name in sorted(names) if matches(name, some) and matches(name, others)), None)
