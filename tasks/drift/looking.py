"""One round of looks at a stack: what is looked at, what is looked at again, and when two looks agree."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from tasks.context import Context
from tasks.drift.memory import Night
from tasks.drift.sets import Difference, Seen, by_key, differences
from tasks.errors import StackError
from tasks.stacks import Look, Looked, Stack, State

_MOST_ROUNDS = 3
"""A stack that is updated all the time is not looked at tonight."""
_MOST_LOOKS = 4
"""At D, until two agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What was seen of one stack, all of it of one state."""

    state: State
    d: Look
    """The last look, whose changes are those that another look agrees with, and those in `unsettled`."""
    u: Look | None = None
    r: Look | None = None
    trouble: Mapping[Looked, StackError] = field(default_factory=dict)
    """Why U or R could not be looked at."""
    unsettled: frozenset[str] = frozenset()
    """Keys on which no two looks agree, or of which one cannot say yet."""
    busy: bool = False
    """An update was going on: whatever differs may be its work."""
    restored: tuple[Difference, ...] = ()
    """Seen in one look, not in a later one."""
    compared: bool = False
    """The program was to be compared."""
    plan_file: Path | None = None

    @property
    def whole(self) -> bool:
        """U and R were looked at to the end."""
        return self.u is not None and self.r is not None and self.u.complete and self.r.complete


class Raced(Exception):  # noqa: N818 - states a condition
    """The state moved under a look: what was seen so far says nothing."""


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at one stack for one run."""

    ctx: Context
    stack: Stack
    deadline: timedelta

    def round(self, last_night: Night | None, source: str | None, *, full: bool) -> Round:
        """Raises `StackError` if D cannot be looked at, or all rounds raced an update.

        Credentials that the state remembers expire; those that the program makes may not have.
        """
        try:
            return self._rounds(last_night, source, full=full)
        except StackError as refused:
            if refused.reason != "credentials_expired" or self.stack.run_program or self.stack.source is None:
                raise
            self.ctx.checkpoint()
            self.ctx.log.warning("program_run_for_its_credentials", subject=self.stack.full_name)
            program = replace(self, stack=replace(self.stack, run_program=True))
            try:
                return program._rounds(last_night, source, full=full)  # noqa: SLF001 - its own
            except StackError:
                self.ctx.checkpoint()
                raise refused from None

    def _rounds(self, last_night: Night | None, source: str | None, *, full: bool) -> Round:
        for _ in range(_MOST_ROUNDS):
            try:
                return self._round(last_night, source, full=full)
            except Raced:
                self.ctx.checkpoint()
        message = f"{self.stack.full_name}: its state moved under {_MOST_ROUNDS} looks, one after the other"
        raise StackError(message, reason="raced", stage="look", retryable=True)

    def _round(self, last_night: Night | None, source: str | None, *, full: bool) -> Round:
        state = self.ctx.stacks.state(self.stack)
        look = self._looks_at(state)
        first = look(Looked.D, None)
        asked = full or _moved(last_night, state, source) or bool(first.changes)
        compared = self.stack.source is not None and asked and not _timed_out(first)
        looked: dict[Looked, Look] = {}
        trouble: dict[Looked, StackError] = {}
        plan_file = self.ctx.scratch / f"plan-{hashlib.sha256(self.stack.full_name.encode()).hexdigest()[:12]}.json"
        for what in (Looked.U, Looked.R) if compared else ():
            try:
                looked[what] = look(what, plan_file if what is Looked.R else None)
            except StackError as error:
                trouble[what] = error
        settled = _Settling(first, last_night.differing if last_night else {}).settle(looked.get(Looked.R), look)
        return Round(
            state=self._still(state) if settled.look.changes else state,
            d=settled.look,
            u=looked.get(Looked.U),
            r=looked.get(Looked.R),
            trouble=trouble,
            unsettled=settled.unsettled,
            restored=settled.restored,
            compared=compared,
            plan_file=plan_file if Looked.R in looked else None,
        )

    def _still(self, state: State) -> State:
        """What differs may be an update that is under way: it changes the cloud first, and the state when it is done. So its lock
        is asked for once more.
        """
        now = self.ctx.stacks.state(self.stack)
        if now.sha256 != state.sha256:
            raise Raced
        return replace(state, lock=state.lock or now.lock)

    def _looks_at(self, state: State) -> Callable[[Looked, Path | None], Look]:
        def look(what: Looked, save_plan: Path | None) -> Look:
            self.ctx.checkpoint()
            try:
                seen = self.ctx.stacks.look(
                    self.stack,
                    what,
                    deadline=self.deadline,
                    scratch=self.ctx.scratch,
                    cancelled=self.ctx.cancelled,
                    save_plan=save_plan,
                )
            except StackError as error:
                self.ctx.checkpoint()
                if error.reason == "raced":
                    raise Raced from error
                raise
            if {seen.state_before, seen.state_after} != {state.sha256}:
                raise Raced
            return seen

        return look


def _moved(last_night: Night | None, state: State, source: str | None) -> bool:
    """Whether the program may differ otherwise than when it was last compared."""
    if last_night is None or last_night.outstanding:
        return True
    return last_night.state != state.sha256 or source is None or last_night.source != source


@dataclass(frozen=True, slots=True)
class _Settled:
    look: Look
    unsettled: frozenset[str] = frozenset()
    restored: tuple[Difference, ...] = ()


@dataclass(slots=True)
class _Settling:
    """Looks again until two agree. What was confirmed last night, and is the same tonight, is two looks already."""

    first: Look
    before: Mapping[str, str]

    def settle(self, r: Look | None, look: Callable[[Looked, Path | None], Look]) -> _Settled:
        told = by_key(differences(self.first.changes))
        # R refreshes first: that is one more look at D, if it came to its end. It confirms, or it contradicts.
        refreshed = replace(r, changes=r.refreshed) if r is not None else None
        whole = refreshed if refreshed is not None and refreshed.complete else None
        if whole is not None and by_key(differences(whole.changes)) == told:
            return _Settled(self.first)
        news = by_key(differences(refreshed.changes)).items() - told.items() if refreshed is not None else set()
        if told == dict(self.before) and not self.first.failed and whole is None and not news:
            return _Settled(self.first)
        if _timed_out(self.first):
            return _Settled(self.first, frozenset(key for key, value in told.items() if self.before.get(key) != value))
        looks, witnesses = [self.first], [self.first, *([whole] if whole is not None else [])]
        unsettled: set[str] = set()
        while len(looks) == 1 or (unsettled and len(looks) < _MOST_LOOKS):
            last = look(Looked.D, None)
            unsettled = _unsettled(witnesses, last)
            looks.append(last)
            witnesses.append(last)
        return _settled(looks, frozenset(unsettled))


def _settled(looks: list[Look], unsettled: frozenset[str]) -> _Settled:
    last = looks[-1]
    now = by_key(differences(last.changes))
    earlier = {one.key: one for seen in looks[:-1] for one in differences(seen.changes)}
    known = Seen.of(last)
    restored = tuple(one for key, one in earlier.items() if key not in {*now, *unsettled} and known.knows(one.urn))
    return _Settled(last, unsettled, restored)


def _unsettled(earlier: Sequence[Look], last: Look) -> set[str]:
    """Keys of which no earlier look says what the last one says, be it that nothing differs there."""
    told = [(Seen.of(one), by_key(differences(one.changes))) for one in earlier]
    known, now = Seen.of(last), by_key(differences(last.changes))
    keys = {*now, *(key for _, was in told for key in was)}
    urns = {key: key.rpartition("#")[0] for key in keys}
    return {
        key
        for key, urn in urns.items()
        if (key in now or known.knows(urn)) and not any(seen.knows(urn) and was.get(key) == now.get(key) for seen, was in told)
    }


def _timed_out(look: Look) -> bool:
    """Then the next one would be, too: a stack that hangs is not waited for again and again."""
    return any(one.reason == "timed_out" for one in look.failed)
