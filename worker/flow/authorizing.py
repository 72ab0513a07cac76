"""The one authorizer: who may decide on a request, and the proof that it is they who speak."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from worker.configuration import Person
from worker.flow.errors import Forbidden, Refused
from worker.flow.shift import Estate, Shift
from worker.ledger import links
from worker.records import Approval, Choice, Decision, PinTries
from worker.tokens import allows, verify_pin

TRIES = 5
"""Wrong PINs in a row before the first lock; see `worker.tokens.pins` for the sum."""
FIRST_LOCK, LONGEST_LOCK = timedelta(minutes=15), timedelta(hours=24)

_ONE_AT_A_TIME: dict[str, threading.Lock] = defaultdict(threading.Lock)


def deciders(estate: Estate, approval: Approval) -> list[Person]:
    """Everybody who may decide on it, by the configuration given."""
    return [person for person in estate.people if why_not(estate, approval, person.name) is None]


def why_not(estate: Estate, approval: Approval, name: str) -> Forbidden | None:
    """Why `name` may not decide on it; None: they may."""
    person = estate.person(name)
    if person is None:
        return Forbidden(f"{name} is nobody in people.toml any more: ask one of its people", code="not_a_decider")
    if not allows(person.grants, "decide", approval.job, approval.environment):
        where = f"{approval.job} in environment {approval.environment!r}"
        return Forbidden(f"{name} has no role that decides on {where}", code="not_a_decider")
    if approval.people and name not in approval.people:
        return Forbidden(f"rule {approval.rule!r} lets {', '.join(approval.people)} decide, not {name}", code="not_a_decider")
    rule = estate.policy.rule(approval.rule)
    if rule is not None and rule.people and name not in rule.people:
        told = f"rule {rule.name!r} lets {', '.join(rule.people)} decide by now, not {name}"
        return Forbidden(told, code="not_a_decider")
    if name in approval.requesters:
        return Forbidden(f"{name} asked for the run that led here: somebody else must decide", code="self_approval")
    return None


def still_entitled(estate: Estate, approval: Approval, decisions: Sequence[Decision]) -> str | None:
    """Why the yes does not hold any more; None: enough of those who said it may still say it."""
    said = [decision.person for decision in decisions if decision.choice is Choice.APPROVE]
    lost = [name for name in said if why_not(estate, approval, name) is not None]
    rule = estate.policy.rule(approval.rule)
    quorum = max(approval.quorum, rule.approvers if rule else approval.quorum)
    if len(set(said) - set(lost)) >= quorum:
        return None
    gone = f", {', '.join(lost)} may not decide any more" if lost else ""
    return f"{len(set(said) - set(lost))} of {quorum} approvals hold{gone}"


def authorize(shift: Shift, estate: Estate, approval: Approval, name: str, pin: str) -> Person:
    """`name`, who may decide on `approval` and knows their PIN. Raises `Forbidden`; wrong PINs are counted and lock.

    Takes about 50 ms, outside any transaction. One check a person at a time: many at once must not outrun the count.
    """
    if (refusal := why_not(estate, approval, name)) is not None:
        raise refusal
    person = estate.person(name)
    assert person is not None
    if person.pin_hash is None:
        told = f"{name} has no PIN: `nightshift people pin {name}` makes the line for people.toml"
        raise Forbidden(told, code="no_pin", field="pin")
    with _ONE_AT_A_TIME[name]:
        _prove(shift, person, pin)
    return person


def _prove(shift: Shift, person: Person, pin: str) -> None:
    with shift.ledger.read() as connection:
        tries = links.pin_tries(connection, person.name)
    now = shift.clock()
    if tries.locked_until is not None and tries.locked_until > now:
        told = f"too many wrong PINs: {person.name} may try again at {tries.locked_until:%Y-%m-%d %H:%M} UTC"
        raise Refused(told, code="pin_locked", field="pin")
    assert person.pin_hash is not None
    right = verify_pin(person.pin_hash, pin)
    if right and tries.failures == 0:
        return
    with shift.ledger.transaction() as tx:
        failures = 0 if right else links.pin_tries(tx, person.name).failures + 1
        lock = min(FIRST_LOCK * 2 ** min(failures - TRIES, 16), LONGEST_LOCK) if failures >= TRIES else None
        links.note_pin_tries(tx, PinTries(person=person.name, failures=failures, locked_until=now + lock if lock else None))
    if not right:
        left = max(TRIES - failures, 0)
        told = f"wrong PIN; {left} more tries before a lock" if left else "wrong PIN; locked for a while"
        raise Forbidden(told, code="wrong_pin", field="pin")
