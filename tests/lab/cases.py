"""The cases of the corpus: what happened to one resource, and what a perfect observer would say of it. Pure.

Written from what was done to program and cloud alone, before any classifier was tuned on it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from tests.lab.mutations import Mutation, draw, properties, word
from tests.lab.program import Resource, secret
from tests.lab.resources import VERSIONS

Json = Any
WHOLE = ""


class Expected(StrEnum):
    """What a property path is; a path without a label is the same everywhere."""

    DRIFT = "drift"
    CONFLICT = "conflict"
    ADOPTED = "adopted"
    UNDEPLOYED = "undeployed"
    UPGRADE = "upgrade noise"
    IGNORED = "ignored"
    BLIND = "blind"
    RESTORED = "restored"
    """Differed at one look only."""
    UNSETTLED = "unsettled"
    """Reads differently each time: no two looks agree."""
    UNREADABLE = "unreadable"
    """Was changed where the cloud gives nothing back: nobody can see it."""
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`deployed` by an `up`; then the program says `wanted`, and the cloud has `edits` (of the object: None takes one away)."""

    kind: str
    deployed: Resource | None
    wanted: Resource | None
    labels: Mapping[str, Expected] = field(default_factory=dict)
    edits: Mapping[str, Json] = field(default_factory=dict)
    removed: bool = False
    stale_reads: int = 0
    """That many reads still see the cloud as it was before the edits."""
    lies: tuple[Mapping[str, Json] | None, ...] = ()
    """What the next reads say instead; None: that there is no such object."""
    unsettled: str = ""
    failing: bool = False


def _resource(random: Random) -> Resource:
    return Resource(properties=properties(random), kind=random.choice(("Server", "Database", "Firewall", "Bucket", "Queue")))


def _edit(one: Mutation) -> dict[str, Json]:
    return {one.top: one.value}


def quiet(random: Random) -> Case:
    made = _resource(random)
    return Case(kind="quiet", deployed=made, wanted=made)


def drift(random: Random) -> Case:
    made = _resource(random)
    one = draw(random, made.properties)
    return Case(kind="drift", deployed=made, wanted=made, edits=_edit(one), labels={one.path: Expected.DRIFT})


def drift_twice(random: Random) -> Case:
    """Two properties, on a protected resource."""
    made = Resource(properties=properties(random), protect=True)
    first, second = draw(random, made.properties), draw(random, made.properties)
    while second.top == first.top:
        second = draw(random, made.properties)
    labels = {first.path: Expected.DRIFT, second.path: Expected.DRIFT}
    return Case(kind="drift twice", deployed=made, wanted=made, edits={**_edit(first), **_edit(second)}, labels=labels)


def gone(random: Random) -> Case:
    made = _resource(random)
    return Case(kind="gone", deployed=made, wanted=made, removed=True, labels={WHOLE: Expected.DRIFT})


def gone_and_given_up(random: Random) -> Case:
    return Case(kind="gone, given up", deployed=_resource(random), wanted=None, removed=True, labels={WHOLE: Expected.ADOPTED})


def late(random: Random) -> Case:
    """Eventual consistency: the first read sees the cloud as it was."""
    made = _resource(random)
    one = draw(random, made.properties)
    labels = {one.path: Expected.DRIFT}
    return Case(kind="late", deployed=made, wanted=made, edits=_edit(one), stale_reads=1, labels=labels)


def lied(random: Random) -> Case:
    """One read answers with something that never was."""
    made = _resource(random)
    if random.getrandbits(1):
        return Case(kind="lied", deployed=made, wanted=made, lies=(None,), labels={WHOLE: Expected.RESTORED})
    one = draw(random, made.properties, ("update",))
    return Case(kind="lied", deployed=made, wanted=made, lies=(_edit(one),), labels={one.path: Expected.RESTORED})


def unsettled(random: Random) -> Case:
    made = _resource(random).but(label="steady")
    return Case(kind="unsettled", deployed=made, wanted=made, unsettled="label", labels={"label": Expected.UNSETTLED})


def undeployed(random: Random) -> Case:
    made = _resource(random)
    one = draw(random, made.properties)
    return Case(kind="undeployed", deployed=made, wanted=made.but(**_edit(one)), labels={one.path: Expected.UNDEPLOYED})


def new(random: Random) -> Case:
    return Case(kind="new", deployed=None, wanted=_resource(random), labels={WHOLE: Expected.UNDEPLOYED})


def given_up(random: Random) -> Case:
    return Case(kind="given up", deployed=_resource(random), wanted=None, labels={WHOLE: Expected.UNDEPLOYED})


def both(random: Random) -> Case:
    """Drift at one property, undeployed code at another: no conflict."""
    made = _resource(random)
    inside, outside = draw(random, made.properties), draw(random, made.properties)
    while outside.top == inside.top:
        outside = draw(random, made.properties)
    labels = {inside.path: Expected.UNDEPLOYED, outside.path: Expected.DRIFT}
    return Case(kind="both", deployed=made, wanted=made.but(**_edit(inside)), edits=_edit(outside), labels=labels)


def conflict(random: Random) -> Case:
    made = _resource(random).but(label=word(random))
    edits, program = {"label": word(random)}, made.but(label=word(random))
    return Case(kind="conflict", deployed=made, wanted=program, edits=edits, labels={"label": Expected.CONFLICT})


def adopted(random: Random) -> Case:
    made = _resource(random)
    one = draw(random, made.properties)
    program = made.but(**_edit(one))
    return Case(kind="adopted", deployed=made, wanted=program, edits=_edit(one), labels={one.path: Expected.ADOPTED})


def ignored(random: Random) -> Case:
    made = Resource(properties={**properties(random), "label": word(random)}, ignore_changes=("label",))
    edits = {"label": word(random)}
    return Case(kind="ignored", deployed=made, wanted=made, edits=edits, labels={"label": Expected.IGNORED})


def ignored_quietly(random: Random) -> Case:
    """The program may say what it likes there, too."""
    made = Resource(properties={**properties(random), "label": word(random)}, ignore_changes=("label",))
    return Case(kind="ignored, quiet", deployed=made, wanted=made.but(label=word(random)), labels={"label": Expected.BLIND})


def unreadable(random: Random) -> Case:
    made = _resource(random).but(note="as deployed")
    edits = {"note": word(random)}
    return Case(kind="unreadable", deployed=made, wanted=made, edits=edits, labels={"note": Expected.UNREADABLE})


def unreadable_undeployed(random: Random) -> Case:
    made = _resource(random).but(note="as deployed")
    labels = {"note": Expected.UNDEPLOYED}
    return Case(kind="unreadable, undeployed", deployed=made, wanted=made.but(note=word(random)), labels=labels)


def secret_drift(random: Random) -> Case:
    """Only the program knows that it is one."""
    made = _resource(random).but(label=secret(word(random)))
    edits = {"label": word(random)}
    return Case(kind="secret", deployed=made, wanted=made, edits=edits, labels={"label": Expected.DRIFT})


def secret_quiet(random: Random) -> Case:
    made = _resource(random).but(label=secret(word(random)), password=secret(word(random)))
    return Case(kind="secret, quiet", deployed=made, wanted=made)


def secret_conflict(random: Random) -> Case:
    made = _resource(random).but(password=word(random))
    edits, program = {"password": word(random)}, made.but(password=word(random))
    return Case(kind="secret, conflict", deployed=made, wanted=program, edits=edits, labels={"password": Expected.CONFLICT})


def failing(random: Random) -> Case:
    """It drifted as well, which nobody can know."""
    made = _resource(random)
    edits = _edit(draw(random, made.properties))
    return Case(kind="failing", deployed=made, wanted=made, edits=edits, failing=True, labels={WHOLE: Expected.CANNOT_TELL})


def _newer(one: Resource) -> Resource:
    return Resource(properties=one.properties, kind=one.kind, version=VERSIONS[1])


def upgrade(random: Random) -> Case:
    made = _resource(random)
    return Case(kind="upgrade", deployed=made, wanted=_newer(made), labels={"tier": Expected.UPGRADE})


def upgrade_and_drift(random: Random) -> Case:
    made = _resource(random)
    one = draw(random, made.properties)
    labels = {"tier": Expected.UPGRADE, one.path: Expected.DRIFT}
    return Case(kind="upgrade, drift", deployed=made, wanted=_newer(made), edits=_edit(one), labels=labels)


def upgrade_and_undeployed(random: Random) -> Case:
    made = _resource(random)
    one = draw(random, made.properties, ("update",))
    labels = {"tier": Expected.UPGRADE, one.path: Expected.UNDEPLOYED}
    return Case(kind="upgrade, undeployed", deployed=made, wanted=_newer(made.but(**_edit(one))), labels=labels)


Kind = Callable[[Random], Case]
IN_PLACE: Mapping[Kind, int] = {
    quiet: 14, drift: 8, drift_twice: 2, gone: 2, gone_and_given_up: 1, undeployed: 4, new: 1, given_up: 1, both: 3, conflict: 3,
    adopted: 2, ignored: 2, ignored_quietly: 1, unreadable: 1, unreadable_undeployed: 1, secret_drift: 2, secret_quiet: 2,
    secret_conflict: 1,
}  # fmt: skip
TROUBLED: Mapping[Kind, int] = {**IN_PLACE, late: 2, lied: 3, unsettled: 2, failing: 3}
UPGRADED: Mapping[Kind, int] = {upgrade: 6, upgrade_and_drift: 2, upgrade_and_undeployed: 2}
