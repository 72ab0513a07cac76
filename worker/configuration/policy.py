"""policy.toml: rules and freezes, held against the jobs, environments and people that there are."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from worker.configuration.documents import Document
from worker.configuration.model import EVERYWHERE, Environment, Person
from worker.policy import Freeze, Policy, Rule, contradictions, matches
from worker.problems import Path, did_you_mean
from worker.tokens import allows

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What rules may speak of."""

    jobs: Collection[str]
    environments: Mapping[str, Environment]
    people: Sequence[Person] | None
    """None: people.toml has faults of its own, which are told first."""

    @property
    def places(self) -> Sequence[str]:
        """Names of environments."""
        return ["default", *(name for name in self.environments if name != "default")]

    def executed(self, rule: Rule) -> Iterator[str]:
        """Environments of the rule in which somebody must be able to say yes."""
        for name, environment in self.environments.items():
            if environment.mode == "execute" and matches(name, rule.environments):
                yield name


def read_policy(document: Document, known: Known, default_zone: ZoneInfo) -> Policy:
    """The policy; what is wrong is noted in `document`."""
    document.accept_only(("policy", "rule", "freeze"))
    document.refuse_inline_secrets((), document.table)
    rules, freezes = _tables(document, "rule", Rule), _tables(document, "freeze", Freeze, timezone=default_zone.key)
    settings = _settings(document, default_zone)
    if settings is None or document.problems:
        return Policy()
    for index, rule in enumerate(rules):
        _refuse_unknown(document, ("rule", index, "jobs"), rule.jobs, known.jobs, "job")
        _refuse_unknown(document, ("rule", index, "environments"), rule.environments, known.places, "environment")
        _refuse_undecidable(document, index, rule, known)
    for index, freeze in enumerate(freezes):
        _refuse_unknown(document, ("freeze", index, "environments"), freeze.environments, known.places, "environment")
    _refuse_contradictions(document, rules, known)
    return settings.model_copy(update={"rules": rules, "freezes": freezes})


def deciders(rule: Rule, people: Sequence[Person], job: str, environment: str) -> list[Person]:
    """Who may decide under this rule, with a PIN or without."""
    named = [person for person in people if not rule.people or person.name in rule.people]
    return [person for person in named if allows(person.grants, "decide", job, environment)]


def _settings(document: Document, zone: ZoneInfo) -> Policy | None:
    given = document.table.get("policy", {})
    if isinstance(given, Mapping):
        for name in ("rules", "freezes"):
            if name in given:
                document.refuse(("policy", name), f"write each as a table of its own, headed [[{name.removesuffix('s')}]]")
                return None
        hours = given.get("working_hours", {})
        if isinstance(hours, Mapping):
            given = {**given, "working_hours": {"timezone": zone.key, **hours}}
    return document.parsed(("policy",), Policy, given)


def _tables(document: Document, name: str, model: type[M], **defaults: str) -> tuple[M, ...]:
    rows = document.table.get(name, [])
    if not isinstance(rows, list):
        document.refuse((name,), f"write each {name} as a table of its own, headed [[{name}]]")
        return ()
    given = [{**defaults, **row} if isinstance(row, Mapping) else row for row in rows]
    parsed = [document.parsed((name, index), model, row) for index, row in enumerate(given)]
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        taken = str(row.get("name", index)) if isinstance(row, Mapping) else str(index)
        if first.setdefault(taken, index) != index:
            document.refuse((name, index, "name"), f"the name is taken by {name} {first[taken] + 1}")
    return tuple(part for part in parsed if part is not None)


def _refuse_unknown(document: Document, path: Path, globs: Sequence[str], known: Collection[str], kind: str) -> None:
    """A rule for what is not there is a slip of the pen; a freeze for it would freeze nothing."""
    for index, glob in enumerate(globs):
        if not any(matches(name, [glob]) for name in known):
            document.refuse((*path, index), f"no {kind} is called so; {did_you_mean(glob, [*known, EVERYWHERE])}")


def _refuse_undecidable(document: Document, index: int, rule: Rule, known: Known) -> None:
    """Nobody, or too few, could ever say yes: told now, not in the night."""
    if known.people is None:
        return
    names = [person.name for person in known.people]
    for position, name in enumerate(rule.people):
        if name not in names:
            told = f"nobody is called so in people.toml; {did_you_mean(name, names)}"
            document.refuse(("rule", index, "people", position), told)
    if rule.people and rule.approvers > len(set(rule.people)):
        document.refuse(("rule", index, "approvers"), f"rule {rule.name}: more than the {len(set(rule.people))} in `people`")
    if document.problems:
        return
    for environment in known.executed(rule):
        for job in (job for job in known.jobs if matches(job, rule.jobs)):
            able = [person.name for person in deciders(rule, known.people, job, environment)]
            if len(able) < rule.approvers:
                document.refuse(("rule", index, "approvers"), _too_few(rule, environment, able))
                return


def _too_few(rule: Rule, environment: str, able: Sequence[str]) -> str:
    must = f"rule {rule.name}: {rule.approvers} must agree" if rule.approvers > 1 else f"rule {rule.name}: somebody must agree"
    may = f"only {', '.join(able)} may" if able else "nobody may"
    return f"{must}, {may} decide in {environment}; give people the role operator or admin there, in people.toml"


def _refuse_contradictions(document: Document, rules: Sequence[Rule], known: Known) -> None:
    for earlier, later, example in contradictions(rules, jobs=known.jobs, environments=known.places):
        told = (
            f"contradicts rule {rules[earlier].name}: both cover {example}, and they differ in approvers, people, max_steps "
            "or max_percentage. Neither would allow it: tell them apart by jobs, actions, targets, environments or risks"
        )
        document.refuse(("rule", later, "name"), told)
