"""The one authorizer: who may decide on a request, and the proof that it is they who speak."""

import hashlib
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from worker.configuration import Person
from worker.flow.errors import Forbidden, Refused
from worker.flow.shift import Estate, Shift
from worker.ledger import audit_rows, links
from worker.records import ActorKind, Approval, AuditEntry, Choice, Decision, PinTries, Run
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
    if any(_is(person, asked) for asked in approval.requesters):
        return Forbidden(f"{name} asked for the run that led here: somebody else must decide", code="self_approval")
    return None


def _is(person: Person, named: str) -> bool:
    """Whether somebody was named who may be this person: by name or address, however it is spelled."""
    return _spelled(named) in {_spelled(person.name), _spelled(person.email or person.name)}


def _spelled(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def identity_of(person: Person) -> str:
    """Tells a person from another who gets their name later: a hash of the PIN's hash."""
    return hashlib.sha256((person.pin_hash or "").encode()).hexdigest()


def still_entitled(estate: Estate, approval: Approval, decisions: Sequence[Decision]) -> str | None:
    """Why the yes does not hold any more; None: enough of those who said it may still say it."""
    yeses = [decision for decision in decisions if decision.choice is Choice.APPROVE]
    said = [decision.person for decision in yeses]
    lost = [one.person for one in yeses if why_not(estate, approval, one.person) is not None or _another(estate, one)]
    rule = estate.policy.rule(approval.rule)
    quorum = max(approval.quorum, rule.approvers if rule else approval.quorum)
    if len(set(said) - set(lost)) >= quorum:
        return None
    gone = f", {', '.join(lost)} may not decide any more" if lost else ""
    return f"{len(set(said) - set(lost))} of {quorum} approvals hold{gone}"


def _another(estate: Estate, decision: Decision) -> bool:
    """Whether somebody else has the name now, or a new PIN."""
    person = estate.person(decision.person)
    return person is None or decision.identity != identity_of(person)


def authorize(shift: Shift, estate: Estate, approval: Approval, name: str, pin: str) -> Person:
    """`name`, who may decide on `approval` and knows their PIN. Raises `Forbidden`; wrong PINs are counted and lock."""
    if (refusal := why_not(estate, approval, name)) is not None:
        raise refusal
    return _proven(shift, estate, name, pin)


def resolvers(estate: Estate, run: Run) -> list[Person]:
    """Everybody who may say what became of it, by the configuration given; whoever asked for it may, too."""
    return [person for person in estate.people if why_not_resolve(estate, run, person.name) is None]


def why_not_resolve(estate: Estate, run: Run, name: str) -> Forbidden | None:
    """Why `name` may not settle the run; None: they may."""
    person = estate.person(name)
    if person is None:
        return Forbidden(f"{name} is nobody in people.toml any more: ask one of its people", code="not_a_resolver")
    if not allows(person.grants, "resolve", run.job, run.environment):
        where = f"{run.job} in environment {run.environment!r}"
        return Forbidden(f"{name} has no role that resolves runs of {where}", code="not_a_resolver")
    return None


def authorize_resolve(shift: Shift, estate: Estate, run: Run, name: str, pin: str) -> Person:
    """`name`, who may settle `run` and knows their PIN; the same PIN, the same count and lock as for a decision."""
    if (refusal := why_not_resolve(estate, run, name)) is not None:
        raise refusal
    return _proven(shift, estate, name, pin)


def _proven(shift: Shift, estate: Estate, name: str, pin: str) -> Person:
    """Takes about 50 ms, outside any transaction. One check a person at a time: many at once must not outrun the count."""
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
        raise Refused(f"too many wrong PINs: {_locked(person, tries.locked_until)}", code="pin_locked", field="pin")
    # Counted before it is looked at: of many tries at once, by many processes, no more are looked at than are counted.
    with shift.ledger.transaction() as tx:
        failures = links.count_pin_try(tx, person.name)
        lock = min(FIRST_LOCK * 2 ** min(failures - TRIES, 16), LONGEST_LOCK) if failures >= TRIES else None
        until = now + lock if lock else None
        if until is not None:
            links.note_pin_tries(tx, PinTries(person=person.name, failures=failures, locked_until=until))
    if failures > tries.failures + 1 and failures > TRIES:
        raise Refused("too many tries at once", code="pin_locked", field="pin")
    assert person.pin_hash is not None
    if verify_pin(person.pin_hash, pin):
        with shift.ledger.transaction() as tx:
            links.note_pin_tries(tx, PinTries(person=person.name, failures=0))
        return
    if until is not None:
        _note_lock(shift, person, failures, until)
    left = TRIES - failures
    told = _locked(person, until) if until else f"{left} more {'try' if left == 1 else 'tries'} before a lock"
    raise Forbidden(f"wrong PIN; {told}", code="wrong_pin", field="pin")


def _note_lock(shift: Shift, person: Person, failures: int, until: datetime) -> None:
    entry = AuditEntry(
        at=shift.clock(),
        actor=f"{ActorKind.PERSON}:{person.name}",
        verb="person.pin_locked",
        object_kind="person",
        object_id=person.name,
        facts={"failures": failures, "until": until.isoformat()},
    )
    with shift.ledger.transaction() as tx:
        audit_rows.append(tx, entry)


def _locked(person: Person, until: datetime) -> str:
    return f"{person.name} may try again at {until:%Y-%m-%d %H:%M} UTC"
