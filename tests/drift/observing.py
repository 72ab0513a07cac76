"""What provider and classifier together say of a stack of the corpus, in the corpus's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tasks.drift.breaker import tripped
from tasks.drift.classes import Class, Classified
from tasks.drift.classify import classify
from tasks.drift.entry import DriftEntry
from tasks.drift.looking import Looker, Round
from tasks.drift.sets import Seen
from tasks.errors import StackError
from tasks.stacks import Stack
from tasks.testing import FakeContext
from tests.drift.providing import looker
from tests.lab.cases import WHOLE, Expected
from tests.lab.corpus import Key
from tests.lab.lab import Lab, LabStack

_WORDS: Mapping[Class, Expected] = {
    Class.DRIFT: Expected.DRIFT,
    Class.CONFLICT: Expected.CONFLICT,
    Class.ADOPTED: Expected.ADOPTED,
    Class.UNDEPLOYED: Expected.UNDEPLOYED,
    Class.IGNORED: Expected.IGNORED,
    Class.BLIND: Expected.BLIND,
    Class.RESTORED: Expected.RESTORED,
    Class.UNKNOWN: Expected.CANNOT_TELL,
}
GONE_PERCENT = float(DriftEntry.model_fields["gone_percent"].default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """`told` in the corpus's words; `unread` are URNs of which nothing can be told; `reason` says why that is the whole stack."""

    told: Mapping[Key, Expected]
    unread: frozenset[str] = frozenset()
    reason: str = ""


def observe(lab: Lab, stack: LabStack, scratch: Path) -> Observed:
    """One night's looks at the stack, all three, with everything that the job does to be sure."""
    stacks = looker(lab).stacks
    value: Stack = lab.value(stack)
    ctx = FakeContext(stacks=stacks, make_scratch=lambda: scratch)
    try:
        seen = Looker(ctx, value, timedelta(seconds=100)).round(None, None, full=True)
    except StackError as error:
        return Observed(told={}, reason=error.reason)
    if tripped(seen.state, seen.d, GONE_PERCENT):
        return Observed(told={}, reason="breaker")
    return _observed(seen)


def _observed(seen: Round) -> Observed:
    found = classify(seen.state, seen.d, seen.u, seen.r, seen.restored)
    told = {(one.urn, one.path): word for one in found if (word := _word(one, seen)) is not None}
    known = Seen.of(seen.d)
    unread = {one.urn for one in seen.state.resources if one.custom and not known.knows(one.urn)}
    failed = {(urn, WHOLE): Expected.CANNOT_TELL for urn in known.failed}
    return Observed(told={**told, **failed}, unread=frozenset(unread))


def _word(one: Classified, seen: Round) -> Expected | None:
    """None: nothing that anybody would be told."""
    if one.resource.type.startswith("pulumi:"):
        return None
    if one.key in seen.unsettled:
        return Expected.UNSETTLED
    if one.why is Class.NOISE:
        return Expected.UPGRADE if one.upgrade else None
    return _WORDS[one.why]
