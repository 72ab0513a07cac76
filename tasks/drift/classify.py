"""Why a property differs: told apart by which of the three looks see it. Pure.

D compares state and cloud, U program and state, R program and cloud.

| D | U | R | class |
| --- | --- | --- | --- |
| x |   | x | drift: somebody changed the cloud |
| x | x | x | conflict: the cloud and the program were both changed |
| x | x |   | adopted: the cloud already is as the program now says |
| x |   |   | ignored: nobody minds, as with `ignoreChanges` |
|   | x | x | undeployed code; upgrade noise where only the provider's version moved |
|   | x |   | noise: the comparison itself differs |
|   |   | x | noise: of an upgrade, of a secret, or unexplained |

Two of the three give the third away as long as their values can be compared; what cannot be known is called unknown.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from tasks.drift.classes import Class, Classified
from tasks.drift.coverage import blind
from tasks.drift.sets import WHOLE, Difference, Seen, differences
from tasks.drift.versions import Upgrade, upgrade_of
from tasks.stacks import Look, ResourceChange, State, StateResource

_STACK = "pulumi:pulumi:Stack"
_DEFAULT_PROVIDER = ("pulumi:providers:", "default")


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks of one round, each asked about one property at a time."""

    state: Mapping[str, StateResource]
    d: Seen
    u: Seen
    r: Seen
    refreshed: Seen
    """What R saw of the cloud before it compared: of what it missed there, it says nothing."""
    everywhere: AbstractSet[tuple[object, ...]]
    """Changes of the program's side that several resources of a type have alike."""


def classify(
    state: State, d: Look, u: Look | None = None, r: Look | None = None, restored: Iterable[Difference] = ()
) -> tuple[Classified, ...]:
    """Every difference that a look saw, and what none could see; each once, in the order of URN and path.

    `restored`: of an earlier look at D, not in `d` any more.
    """
    by_urn = {resource.urn: resource for resource in state.resources}
    refreshed = replace(r, changes=r.refreshed) if r else None
    looks = Looks(by_urn, Seen.of(d), Seen.of(u), Seen.of(r), Seen.of(refreshed), _everywhere(u, r))
    unseen = (_unseen(resource, path, because) for resource, path, because in blind(state))
    back = (_classified(one, Class.RESTORED, "it was as it should be when looked at again") for one in restored)
    found = {one.key: one for one in (*unseen, *back, *_all(looks, d, u, r))}
    return tuple(found[key] for key in sorted(found))


def _unseen(known: StateResource, path: str, because: str) -> Classified:
    resource = ResourceChange(urn=known.urn, type=known.type, name=known.urn.rpartition("::")[2], operation="update")
    return Classified(resource=resource, path=path, kind="update", why=Class.BLIND, because=because)


def _all(looks: Looks, d: Look, u: Look | None, r: Look | None) -> Iterator[Classified]:
    for one in differences(d.changes):
        yield _in_cloud(looks, one)
    for one in differences(d.hidden):
        ignored = _classified(one, Class.IGNORED, "the program says `ignoreChanges`", in_cloud=True)
        yield replace(ignored, last_known=one.change.before, actual=one.change.after)
    for one in differences(u.changes) if u else ():
        if looks.d.at(one.urn, one.path) is None:
            yield _of_the_program(looks, one)
    for one in differences(r.changes) if r else ():
        told = looks.d.at(one.urn, one.path) or looks.u.at(one.urn, one.path)
        if told is None and not _is_consequence(looks, one):
            yield _of_the_program(looks, one)


def _in_cloud(looks: Looks, one: Difference) -> Classified:
    why, because = _why_in_cloud(looks, one)
    wanted = looks.r.at(one.urn, one.path) or looks.u.at(one.urn, one.path)
    exact = wanted if wanted and wanted.path == one.path else None
    desired = exact.change.after if exact else one.change.before if wanted is None or why is Class.DRIFT else None
    return replace(
        _classified(one, why, because, in_cloud=True),
        last_known=one.change.before,
        actual=one.change.after,
        desired=desired,
        replaces=bool(wanted and (wanted.change.replaces or wanted.resource.operation == "replace")),
    )


_UNCHANGED = "the program still says what the state has"
_TAKEN_UP = "the cloud already is as the program now says; the state has not heard of it"
_BOTH = "the program and the cloud were both changed, each to something else"
_IN_CLOUD: Mapping[tuple[bool | None, bool | None], tuple[Class, str]] = {
    (False, True): (Class.DRIFT, _UNCHANGED),
    (False, None): (Class.DRIFT, f"{_UNCHANGED}; it could not be compared with the cloud itself"),
    (True, True): (Class.CONFLICT, _BOTH),
    (True, False): (Class.ADOPTED, _TAKEN_UP),
    (None, False): (Class.UNKNOWN, "the program minds no difference here; whether it was changed is not known"),
    (None, None): (Class.UNKNOWN, "the program could not be compared"),
}
"""By whether U and R see what D sees."""


def _why_in_cloud(looks: Looks, one: Difference) -> tuple[Class, str]:
    in_u, in_r = looks.u.differs(one.urn, one.path), looks.r.differs(one.urn, one.path)
    if in_r is False and looks.refreshed.at(one.urn, one.path) is None:
        in_r = None
    if (in_u, in_r) == (False, False):
        return Class.IGNORED, _why_ignored(looks, one)
    if (in_u, in_r) == (True, None):
        return _by_cloud(one, looks.u.at(one.urn, one.path))
    if (in_u, in_r) == (None, True):
        return _by_state(one, looks.r.at(one.urn, one.path))
    return _IN_CLOUD[in_u, in_r]


def _why_ignored(looks: Looks, one: Difference) -> str:
    known = looks.state.get(one.urn)
    if known and one.path in known.ignored:
        return "the program says `ignoreChanges`"
    return "the program sees no difference to the cloud"


def _by_cloud(one: Difference, program: Difference | None) -> tuple[Class, str]:
    """U is known and R is not: is the cloud what the program says?"""
    if program is None or not _comparable(one, program):
        return Class.UNKNOWN, "the program was changed, too; it could not be compared with the cloud"
    return (Class.ADOPTED, _TAKEN_UP) if program.change.after == one.change.after else (Class.CONFLICT, _BOTH)


def _by_state(one: Difference, program: Difference | None) -> tuple[Class, str]:
    """R is known and U is not: does the program still say what the state has?"""
    if program is None or not _comparable(one, program):
        return Class.UNKNOWN, "the program wants it otherwise; whether the program was changed is not known"
    return (Class.DRIFT, _UNCHANGED) if program.change.after == one.change.before else (Class.CONFLICT, _BOTH)


def _comparable(one: Difference, other: Difference) -> bool:
    """Of a secret there is no value, and of a resource that differs nobody says where neither."""
    nowhere = one.path == WHOLE and "update" in (one.change.kind, other.change.kind)
    return one.path == other.path and not (nowhere or one.change.masked or other.change.masked)


def _of_the_program(looks: Looks, one: Difference) -> Classified:
    why, because, upgrade = _why_of_the_program(looks, one)
    change = one.change
    known = {"last_known": change.before, "actual": change.before, "desired": change.after}
    return replace(_classified(one, why, because), **known, upgrade=upgrade)  # type: ignore[arg-type]


_OF_THE_PROGRAM: Mapping[tuple[bool | None, bool | None], tuple[Class, str]] = {
    (True, True): (Class.UNDEPLOYED, "the program was changed and not deployed"),
    (True, None): (Class.UNDEPLOYED, "the program was changed and not deployed"),
    (True, False): (Class.NOISE, "the program differs from the state and not from the cloud"),
    (False, True): (Class.NOISE, "only a refreshed state differs from the program"),
}
"""By whether U and R see what D does not."""


def _why_of_the_program(looks: Looks, one: Difference) -> tuple[Class, str, Upgrade | None]:
    known = looks.state.get(one.urn)
    if known is not None and known.custom and not looks.d.knows(one.urn):
        return Class.UNKNOWN, "the cloud could not be read", None
    upgrade = upgrade_of(one.resource, known)
    if _is_default_provider(one) or (upgrade and _is_of_an_upgrade(looks, one)):
        return Class.NOISE, f"{upgrade or 'another version of a provider'}: what nobody wrote differs", upgrade
    in_u, in_r = looks.u.differs(one.urn, one.path), looks.r.differs(one.urn, one.path)
    unknown = Class.UNKNOWN, "the program could not be compared with the state"
    why, because = _OF_THE_PROGRAM.get((in_u, in_r), unknown)
    if why is Class.NOISE and one.change.masked:
        because = "a secret, which cannot be compared"
    return why, because, upgrade


def _is_default_provider(one: Difference) -> bool:
    kind, name = _DEFAULT_PROVIDER
    return one.resource.type.startswith(kind) and one.resource.name.startswith(name)


def _is_of_an_upgrade(looks: Looks, one: Difference) -> bool:
    """A new version of a provider comes with defaults that nobody wrote: new inputs, or the same change everywhere."""
    known = looks.state.get(one.urn)
    if known is None or one.path == WHOLE:
        return False
    top = one.path.partition(".")[0].partition("[")[0]
    unwritten = one.change.kind == "add" and top not in known.inputs
    return unwritten or _alike(one) in looks.everywhere


def _everywhere(u: Look | None, r: Look | None) -> set[tuple[object, ...]]:
    """Two resources that change alike may be a coincidence of a program's change; all of a type, and several, are not."""
    alike: dict[tuple[object, ...], set[str]] = {}
    touched: dict[str, set[str]] = {}
    for look in (u, r):
        for one in differences(look.changes) if look else ():
            alike.setdefault(_alike(one), set()).add(one.urn)
            touched.setdefault(one.resource.type, set()).add(one.urn)
    return {what for what, urns in alike.items() if len(urns) > 1 and len(urns) == len(touched[str(what[0])])}


def _alike(one: Difference) -> tuple[object, ...]:
    change = one.change
    return one.resource.type, one.path, change.kind, repr(change.before), repr(change.after)


def _is_consequence(looks: Looks, one: Difference) -> bool:
    """Outputs of the stack, and of components, follow what they are made of: on their own they are nothing in a cloud."""
    known = looks.state.get(one.urn)
    return one.resource.type == _STACK or (known is not None and not known.custom)


def _classified(one: Difference, why: Class, because: str, *, in_cloud: bool = False) -> Classified:
    change = one.change
    masked = change.masked
    return Classified(
        resource=one.resource,
        path=one.path,
        kind=change.kind,
        why=why,
        because=because,
        masked=masked,
        fingerprint=one.fingerprint,
        replaces=change.replaces or one.resource.operation == "replace",
        in_cloud=in_cloud,
    )
