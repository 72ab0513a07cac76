"""Showing the policy, and what it says to plans."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

import worker.configuration as configured
from worker.cli.opening import loaded, shift
from worker.cli.printing import clock, say, show_facts, show_json, show_table
from worker.cli.refusals import REFUSED, Refusal
from worker.cli.revising import read
from worker.configuration import Configuration, golden
from worker.configuration.documents import POLICY_TESTS
from worker.configuration.policy import deciders
from worker.flow.shown import jsonable
from worker.policy import Policy, Rule, matches
from worker.problems import did_you_mean, of_validation
from worker.wiring import House

_LISTED = ("name", "jobs", "actions", "targets", "environments", "risks")


def show(*, as_json: bool) -> None:
    """Of the configuration in force."""
    opened = shift()
    in_force = configured.current(opened.ledger)
    found = in_force[1] if in_force else Configuration()
    now = opened.clock()
    if as_json:
        shown = found.policy.model_dump(mode="json")
        shown["freezes"] = [{**freeze.model_dump(mode="json"), "holds": freeze.holds(now)} for freeze in found.policy.freezes]
        shown["rules"] = [
            {**rule.model_dump(mode="json"), "deciders": _deciders(found, rule, list(opened.jobs))} for rule in found.policy.rules
        ]
        show_json(shown)
        return
    rows = [
        (*(_told(getattr(rule, key)) for key in _LISTED), rule.approvers, _told(_deciders(found, rule, list(opened.jobs))))
        for rule in found.policy.rules
    ]
    empty = "No rules: nothing may be changed. Write them into policy.toml; see docs/policy.md."
    show_table(["rule", "jobs", "actions", "targets", "environments", "risks", "must agree", "may decide"], rows, empty=empty)
    _show_freezes(found.policy, [freeze.name for freeze in found.policy.freezes if freeze.holds(now)])


def try_out(file: Path | None, folder: Path | None, *, as_json: bool) -> int:
    """Hold the policy against its cases; returns the exit code."""
    home = folder or loaded().settings.home
    found = read(folder)
    cases = golden.read_cases(file or home / POLICY_TESTS, found, list(House(loaded().settings).jobs))
    results = golden.held_against(found.policy, cases)
    failed = [result for result in results if result.wrong]
    if as_json:
        show_json({"cases": [_result_shown(result) for result in results], "failed": len(failed)})
    else:
        rows = [(_verdict(result.ruling), result.case.name, "; ".join(result.wrong)) for result in results]
        show_table(["the policy says", "case", "differs"], rows, empty="")
        for result in failed:
            say(f"{result.case.name}: {result.ruling.why or 'allowed by rule ' + str(result.ruling.rule)}")
        say(f"{len(results)} cases, {len(failed)} differ")
    return REFUSED if failed else 0


def explain(
    job: str,
    actions: Sequence[str],
    targets: Sequence[str],
    environment: str,
    reversibility: str,
    steps: int | None,
    folder: Path | None,
    *,
    as_json: bool,
) -> None:
    """What the policy says to one plan."""
    found, house = read(folder), House(loaded().settings)
    given = {
        "name": "explain", "job": job, "actions": tuple(actions), "targets": tuple(targets), "environment": environment,
        "reversibility": reversibility, "steps": steps, "expected": "allowed",
    }  # fmt: skip
    try:
        case = golden.Case.model_validate(given)
    except ValidationError as error:
        path, value, message = next(of_validation(error, golden.Case, given))
        raise Refusal(f"--{path[0] if path else ''} {value}: {message}") from None
    if job not in house.jobs:
        raise Refusal(f"no job is called {job!r}; {did_you_mean(job, list(house.jobs))}")
    ruling = golden.rule_on(found.policy, case)
    rule = found.policy.rule(ruling.rule or "")
    now = house.shift.clock()
    told = {
        "verdict": _verdict(ruling),
        "why": ruling.why,
        "reversibility": reversibility,
        "risk": ruling.assessment.risk,
        "reasons": list(ruling.assessment.reasons),
        "rule": ruling.rule,
        "must agree": ruling.approvers,
        "may decide": [person.name for person in deciders(rule, found.people, job, environment)] if rule else [],
        "asked now, expires": found.policy.expiry(now)[0] if rule else None,
        "frozen now by": found.policy.frozen(environment, now),
        "mode": found.modes.get(environment, "observe"),
    }
    if as_json:
        show_json({name.replace(" ", "_").replace(",", ""): jsonable(value) for name, value in told.items()})
    else:
        show_facts(told | {"reasons": "; ".join(ruling.assessment.reasons), "may decide": _told(told["may decide"])})


def _show_freezes(policy: Policy, holding: Sequence[str]) -> None:
    rows = [
        (
            freeze.name,
            _told(freeze.environments),
            f"{clock(freeze.begins)} to {clock(freeze.until)}"
            if freeze.begins
            else f"{_told(freeze.days)} {freeze.start:%H:%M} to {freeze.end:%H:%M} {freeze.timezone}",
            "now" if freeze.name in holding else "",
        )
        for freeze in policy.freezes
    ]
    if rows:
        show_table(["freeze", "environments", "when", "holds"], rows, empty="")


def _deciders(found: Configuration, rule: Rule, jobs: Sequence[str]) -> list[str]:
    """Of every job and place that the rule is about, who may decide in one of them at least."""
    places = [name for name in ("default", *found.environments) if matches(name, rule.environments)]
    able = {
        person.name
        for job in jobs
        if matches(job, rule.jobs)
        for place in places
        for person in deciders(rule, found.people, job, place)
    }
    return [person.name for person in found.people if person.name in able]


def _verdict(ruling: golden.Ruling) -> str:
    if ruling.verdict == "denied":
        return f"denied: {ruling.code}"
    return f"allowed: {ruling.rule}, {ruling.approvers} must agree"


def _result_shown(result: golden.Result) -> dict[str, object]:
    ruling = result.ruling
    return {
        "name": result.case.name,
        "passed": not result.wrong,
        "differs": list(result.wrong),
        "verdict": ruling.verdict,
        "rule": ruling.rule,
        "approvers": ruling.approvers,
        "code": ruling.code,
        "why": ruling.why,
        "risk": str(ruling.assessment.risk),
    }


def _told(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list | tuple) else str(names)
