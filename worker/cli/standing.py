"""What the doctor says of the policy: places without a rule, rules nobody can decide, windows that hold."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from worker import configuration
from worker.cli.work import TAIL
from worker.configuration import Configuration
from worker.configuration.policy import deciders
from worker.flow import Shift
from worker.flow.authorizing import deciders as deciders_of
from worker.ledger import approvals
from worker.policy import Rule, matches
from worker.records import ApprovalState

_MANY = 10_000
_NAMED = 5


class Remark(NamedTuple):
    """What is not as it should be, and what to do."""

    found: str
    advice: str


def remarks(opened: Shift) -> list[Remark]:
    """Everything of the policy in force that would keep an approved change from happening; empty: all is well."""
    in_force = configuration.current(opened.ledger)
    if in_force is None:
        return []
    found = in_force[1]
    jobs = list(opened.jobs)
    policy = [*_unruled(found), *_undecidable(found, jobs), *_pinless(found, jobs)]
    return [*policy, *_windows(opened, found), *_stranded(opened)]


def _unruled(found: Configuration) -> Iterator[Remark]:
    for name, mode in found.modes.items():
        if mode != "observe" and not any(matches(name, rule.environments) for rule in found.policy.rules):
            told = f"environment {name} is in mode {mode}, and no rule covers it: nothing is asked for there"
            yield Remark(told, "write a [[rule]] into policy.toml, or set its mode to observe")


def _undecidable(found: Configuration, jobs: Sequence[str]) -> Iterator[Remark]:
    for rule in found.policy.rules:
        remark = next(_lacking(found, rule, jobs), None)
        if remark is not None:
            yield remark


def _lacking(found: Configuration, rule: Rule, jobs: Sequence[str]) -> Iterator[Remark]:
    """A rule came to be in force with enough people; a PIN they may still lack."""
    for place, mode in found.modes.items():
        if mode != "execute" or not matches(place, rule.environments):
            continue
        for job in (job for job in jobs if matches(job, rule.jobs)):
            may = deciders(rule, found.people, job, place)
            able = [person.name for person in may if person.pin_hash]
            if len(able) < rule.approvers:
                without = [person.name for person in may if not person.pin_hash]
                told = f"rule {rule.name} can never be decided in {place}: {rule.approvers} must agree, with a PIN {_names(able)}"
                yield Remark(told, f"`nightshift people pin {without[0] if without else 'NAME'} --write`")


def _pinless(found: Configuration, jobs: Sequence[str]) -> Iterator[Remark]:
    """Enough others may be there; these would find a page on which they cannot decide."""
    lacking = dict[str, list[str]]()
    for place, mode in found.modes.items():
        rules = [rule for rule in found.policy.rules if mode == "execute" and matches(place, rule.environments)]
        able = [
            one for rule in rules for job in jobs if matches(job, rule.jobs) for one in deciders(rule, found.people, job, place)
        ]
        for name in dict.fromkeys(person.name for person in able if not person.pin_hash):
            lacking.setdefault(name, []).append(place)
    for name, places in lacking.items():
        yield Remark(f"{name} may decide in {', '.join(places)} and has no PIN", f"`nightshift people pin {name} --write`")


def _windows(opened: Shift, found: Configuration) -> Iterator[Remark]:
    now = opened.clock()
    for freeze in found.policy.freezes:
        if freeze.holds(now):
            told = f"freeze {freeze.name} of policy.toml holds for {', '.join(freeze.environments)}"
            yield Remark(told, "no effect step starts there until it ends: `nightshift policy show`")


def _stranded(opened: Shift) -> Iterator[Remark]:
    """Whoever could have decided may have left since it was asked."""
    estate = opened.estate()
    with opened.ledger.read() as connection:
        pending = approvals.listing(connection, states=(ApprovalState.PENDING,), limit=_MANY)
    lost = [
        approval.id[-TAIL:]
        for approval in pending
        if approval.mode == "execute" and not any(person.pin_hash for person in deciders_of(estate, approval))
    ]
    if lost:
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        advice = "whoever asked must not decide: give somebody else the role operator and a PIN, in people.toml"
        yield Remark(f"nobody may decide on {', '.join(lost[:_NAMED])}{more}", advice)


def _names(names: Sequence[str]) -> str:
    return f"only {', '.join(names)}" if names else "nobody"
