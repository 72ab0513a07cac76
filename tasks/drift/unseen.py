"""What could not be told of a stack: each a `cannot_tell` of its own, so that it hides nothing else. Pure."""

from collections.abc import Iterator, Sequence

from tasks.drift.breaker import Tripped
from tasks.drift.coverage import unread
from tasks.drift.entry import DriftEntry
from tasks.drift.looking import Round
from tasks.drift.telling import by_hand, listed
from tasks.errors import StackError
from tasks.model import CannotTell
from tasks.stacks import FailedRead, Look, Looked, Stack

_EACH = 20
"""Of more failed reads than this only the number and some names are told: they have one cause."""


def not_looked_at(entry: DriftEntry, place: str, stack: Stack, error: StackError) -> CannotTell:
    """D could not be looked at."""
    return CannotTell(
        entry=entry.name,
        subject=place,
        reason=error.reason,
        stage=error.stage,
        detail=str(error),
        recheck=error.recheck or by_hand(stack),
    )


def unseen(entry: DriftEntry, place: str, stack: Stack, seen: Round, blamed: Sequence[Tripped]) -> Iterator[CannotTell]:
    """Of a round: reads that failed or did not come about, looks that did not agree, a program that could not be compared."""
    told = frozenset(urn for one in blamed for urn in one.urns)
    yield from _failed(entry, place, stack, [one for one in seen.d.failed if one.urn not in told])
    missing = [urn for urn in unread(seen.state, seen.d) if urn not in told]
    if missing:
        why = listed(seen.d.diagnostics, 5) or f"Pulumi ended with exit code {seen.d.exit_code}"
        yield _cannot_tell(entry, f"{place}: {len(missing)} resources", "look_cut_short", "read", why, stack)
    if seen.busy:
        yield _busy(entry, place, stack, seen)
    for key in () if seen.busy else sorted(seen.unsettled):
        urn, _, path = key.rpartition("#")
        if urn not in told:
            why = "no two looks at it agree"
            yield _cannot_tell(entry, f"{place}: {_name(urn)} {path}".strip(), "unsettled", "confirm", why, stack)
    yield from _program(entry, place, stack, seen)


def _busy(entry: DriftEntry, place: str, stack: Stack, seen: Round) -> CannotTell:
    lock = seen.state.lock
    who = f"{lock.user}@{lock.host} since {lock.since:%H:%M} UTC" if lock else "somebody"
    names = listed(sorted({_name(change.urn) for change in seen.d.changes}))
    why = f"it is being updated by {who}: what differs now ({names}) may be that update's work; look again after it"
    return _cannot_tell(entry, place, "being_updated", "confirm", why, stack)


def _failed(entry: DriftEntry, place: str, stack: Stack, failed: Sequence[FailedRead]) -> Iterator[CannotTell]:
    if len(failed) <= _EACH:
        for one in failed:
            yield _cannot_tell(entry, f"{place}: {_name(one.urn)}", one.reason, "read", one.detail, stack)
        return
    for reason in sorted({one.reason for one in failed}):
        alike = [one for one in failed if one.reason == reason]
        names = listed([_name(one.urn) for one in alike], 10)
        detail = f"{len(alike)} reads failed ({names}); the first said: {alike[0].detail}"
        yield _cannot_tell(entry, f"{place}: {reason.replace('_', ' ')}", reason, "read", detail, stack)


def _program(entry: DriftEntry, place: str, stack: Stack, seen: Round) -> Iterator[CannotTell]:
    by_reason = {error.reason: error for error in (seen.trouble[what] for what in (Looked.R, Looked.U) if what in seen.trouble)}
    for error in by_reason.values():
        recheck = error.recheck or by_hand(stack, program=True)
        subject = f"{place}: program"
        yield CannotTell(
            entry=entry.name, subject=subject, reason=error.reason, stage=error.stage, detail=str(error), recheck=recheck
        )
        return
    # A read that failed stops R as well, and is told already; what is protected was seen all the same.
    looks = [one for one in (seen.u, seen.r) if one is not None and not one.complete and not _only_refused(one)]
    if looks and not seen.d.failed:
        why = listed(looks[0].diagnostics, 5) or f"Pulumi ended with exit code {looks[0].exit_code}"
        yield _cannot_tell(entry, f"{place}: program", "look_cut_short", "compare", why, stack)


def _only_refused(look: Look) -> bool:
    return bool(look.failed) and all(one.reason == "protected" for one in look.failed)


def _cannot_tell(entry: DriftEntry, subject: str, reason: str, stage: str, detail: str, stack: Stack) -> CannotTell:
    return CannotTell(entry=entry.name, subject=subject, reason=reason, stage=stage, detail=detail, recheck=by_hand(stack))


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]
