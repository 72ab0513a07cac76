"""Golden cases of a policy: policy_tests.toml says of plans what the rules are meant to say, and is held against them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from tasks.model import Plan, Reversibility, Step
from worker.configuration.documents import POLICY_TESTS, ConfigurationError, Document, read
from worker.configuration.model import Configuration
from worker.policy import Allowed, Assessment, Denied, Policy, assess, judge, within_blast_radius
from worker.problems import Problem, did_you_mean
from worker.records import Risk

FROZEN = "frozen"
Texts = Annotated[tuple[str, ...], Field(min_length=1)]


class Case(BaseModel):
    """`[[case]]`: a plan, and what the policy must say to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, description="a sentence that says what is meant")
    job: str = Field(description="name of a job")
    actions: Texts = Field(description="one a step; with fewer actions than steps they go round")
    targets: Texts = Field(description="one a step; with fewer targets than steps they go round")
    environment: str = Field("default", description="where it is")
    reversibility: Reversibility = Field(Reversibility.R3, description="of every step: R1, R2 or R3")
    risk: Risk | None = Field(None, description="instead of what the reversibility amounts to")
    steps: int | None = Field(None, ge=1, le=10_000, strict=True, description="as many as actions or targets, if left out")
    changed: int | None = Field(None, ge=1, strict=True, description="entries changed within 24 hours, with this one")
    entries: int | None = Field(None, ge=1, strict=True, description="entries of the job in the environment")
    at: AwareDatetime | None = Field(None, description="an instant with its offset: also ask the freezes")
    expected: Literal["allowed", "denied"] = Field(description="allowed or denied")
    rule: str | None = Field(None, description="with allowed: by which rule")
    approvers: int | None = Field(None, strict=True, description="with allowed: how many must agree")
    code: str | None = Field(None, description="with denied: no_rule, contradiction, too_many_steps, blast_radius or frozen")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.expected == "allowed" and self.code is not None:
            raise ValueError('`code` belongs to `expected = "denied"`')
        if self.expected == "denied" and (self.rule is not None or self.approvers is not None):
            raise ValueError('`rule` and `approvers` belong to `expected = "allowed"`')
        if (self.changed is None) != (self.entries is None):
            raise ValueError("give both of `changed` and `entries`")
        return self

    def plan(self) -> Plan:
        """The plan it speaks of, as far as a policy looks at it."""
        number = self.steps or max(len(self.actions), len(self.targets))
        pairs = islice(zip(cycle(self.actions), cycle(self.targets), strict=False), number)
        steps = tuple(
            Step(id=f"{position}", action=action, target=target, reversibility=self.reversibility)
            for position, (action, target) in enumerate(pairs, 1)
        )
        return Plan(job=self.job, scope="", account="", finding_keys=(), steps=steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a policy says to a plan."""

    verdict: Literal["allowed", "denied"]
    assessment: Assessment
    rule: str | None = None
    approvers: int | None = None
    people: Sequence[str] = ()
    code: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A case, and what came of it. `wrong` names what differs; empty: as expected."""

    case: Case
    ruling: Ruling
    wrong: Sequence[str]


def read_cases(path: Path, configuration: Configuration, jobs: Sequence[str]) -> list[Case]:
    """The cases of a file. Raises `ConfigurationError` with every problem."""
    if not path.exists():
        told = f"there is no such file; write cases into {POLICY_TESTS} beside policy.toml, see docs/policy.md"
        raise ConfigurationError([Problem(str(path), None, "", "", told)])
    document = read(path)
    document.accept_only(("case",))
    rows = document.table.get("case", [])
    if not isinstance(rows, list):
        document.refuse(("case",), "write each case as a table of its own, headed [[case]]")
        rows = []
    cases = [document.parsed(("case", index), Case, row) for index, row in enumerate(rows)]
    for index, case in enumerate(cases):
        if case:
            _refuse_unknown(document, index, case, configuration, jobs)
    if not rows and not document.problems:
        document.refuse((), "there is no [[case]] in it: it would prove nothing")
    if document.problems:
        raise ConfigurationError(document.problems)
    return [case for case in cases if case]


def rule_on(policy: Policy, case: Case) -> Ruling:
    """What the policy says to the case's plan."""
    plan = case.plan()
    assessment = assess(plan, case.environment)
    if case.risk is not None:
        assessment = Assessment(case.risk, [*assessment.reasons, f"the case says {case.risk}"])
    verdict = judge(policy, plan, case.environment, assessment.risk)
    if isinstance(verdict, Allowed) and case.changed and case.entries:
        verdict = within_blast_radius(verdict.rule, changed=case.changed, entries=case.entries) or verdict
    if isinstance(verdict, Denied):
        return Ruling(verdict="denied", assessment=assessment, code=verdict.code, why=verdict.why)
    if case.at and (freeze := policy.frozen(case.environment, case.at)):
        return Ruling(verdict="denied", assessment=assessment, code=FROZEN, why=f"freeze {freeze} of policy.toml holds then")
    rule = verdict.rule
    return Ruling(verdict="allowed", assessment=assessment, rule=rule.name, approvers=rule.approvers, people=rule.people)


def held_against(policy: Policy, cases: Sequence[Case]) -> list[Result]:
    """Every case held against the policy."""
    return [_result(case, rule_on(policy, case)) for case in cases]


def _result(case: Case, ruling: Ruling) -> Result:
    pairs = {"expected": (case.expected, ruling.verdict)}
    for key in ("rule", "approvers", "code"):
        if (expected := getattr(case, key)) is not None:
            pairs[key] = (expected, getattr(ruling, key))
    wrong = [f"{key}: expected {expected}, is {found}" for key, (expected, found) in pairs.items() if expected != found]
    return Result(case=case, ruling=ruling, wrong=wrong)


def _refuse_unknown(document: Document, index: int, case: Case, configuration: Configuration, jobs: Sequence[str]) -> None:
    """A case about what is not there would be denied for the wrong reason."""
    environments = ["default", *configuration.environments]
    rules = [rule.name for rule in configuration.policy.rules]
    for key, value, known in (
        ("job", case.job, jobs),
        ("environment", case.environment, environments),
        ("rule", case.rule, rules),
    ):
        if value is not None and value not in known:
            document.refuse(("case", index, key), f"no {key} is called so; {did_you_mean(value, known)}")
