"""The check: each stack looked at, what differs told apart, and what could not be seen said so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.context import Context
from tasks.drift.attribution import who
from tasks.drift.blaming import blame
from tasks.drift.bookkeeping import orphans, while_updated
from tasks.drift.breaker import Tripped, tripped
from tasks.drift.classes import Class, Classified
from tasks.drift.classify import classify
from tasks.drift.coverage import coverage
from tasks.drift.entry import DriftEntry, DriftParams, known_stacks
from tasks.drift.findings import Sight, findings
from tasks.drift.globs import fits
from tasks.drift.looking import Looker, Round
from tasks.drift.memory import Memory, Night, flips
from tasks.drift.sets import by_key, differences
from tasks.drift.source import fingerprint
from tasks.drift.telling import shown_url
from tasks.drift.unseen import not_looked_at, unseen
from tasks.errors import StackError
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tasks.stacks import Listed, Stack

_QUIET = frozenset({Class.IGNORED, Class.BLIND, Class.RESTORED})
"""Classes that nobody needs to hear of."""


@dataclass(slots=True)
class Seen:
    """What the last check saw of one entry, for the proposal that follows it in the same run: a look costs seconds."""

    run_id: str = ""
    sights: dict[str, Sight] | None = None

    def keep(self, ctx: Context, sight: Sight) -> None:
        if self.run_id != ctx.run_id or self.sights is None:
            self.run_id, self.sights = ctx.run_id, {}
        self.sights[sight.entry.name] = sight

    def take(self, ctx: Context, entry: DriftEntry) -> Sight | None:
        """None: another run asks, or another entry; then one has to look again."""
        return self.sights.get(entry.name) if self.sights and self.run_id == ctx.run_id else None


@dataclass(frozen=True, slots=True)
class Check:
    """`Job.check`."""

    seen: Seen

    def __call__(self, ctx: Context, params: DriftParams) -> Iterator[Answer]:
        entries = ctx.entries(DriftEntry)
        for done, entry in enumerate(entries):
            ctx.checkpoint()
            ctx.progress(done, len(entries), entry.name)
            if entry.stack is None:
                yield from self._backend(ctx, entry)
            else:
                yield from self._stack(ctx, entry, entry.to_stack(), entry.place, full=params.full or entry.full)

    def _backend(self, ctx: Context, entry: DriftEntry) -> Iterator[Answer]:
        """Stacks that nobody watches: each is told of, and looked at as far as can be without its program."""
        place = shown_url(entry.backend)
        try:
            listed = ctx.stacks.listed(entry.to_backend())
        except StackError as error:
            yield CannotTell(entry=entry.name, subject=place, reason=error.reason, stage=error.stage, detail=str(error))
            return
        known = known_stacks(ctx.estate, entry.backend)
        strangers = [one for one in listed if one.full_name not in known]
        for done, one in enumerate(strangers):
            ctx.checkpoint()
            ctx.progress(done, len(strangers), one.full_name)
            yield _unlisted(entry, one)
            stack = entry.stack_called(one.project, one.name, organization=one.organization)
            answers = self._stack(ctx, entry, stack, f"{one.project}/{one.name}", full=False)
            yield from (answer for answer in answers if not isinstance(answer, Ok))
        if not strangers:
            yield Ok(entry=entry.name, subject=place, summary=f"{len(listed)} stacks, each with an entry of its own")

    def _stack(self, ctx: Context, entry: DriftEntry, stack: Stack, place: str, *, full: bool) -> Iterator[Answer]:
        memory = Memory(ctx.history, f"{entry.name}: {stack.full_name}")
        stack = _pinned(ctx, stack)
        source = fingerprint(stack)
        try:
            seen = Looker(ctx, stack, entry.deadline).round(memory.last_night(), source, full=full)
        except StackError as error:
            yield not_looked_at(entry, place, stack, error)
            return
        seen = while_updated(seen, entry, ctx.clock())
        blamed = () if seen.busy else tripped(seen.state, seen.d, entry.gone_percent)
        sight = _sight(ctx, entry, stack, place, seen, blamed, memory)
        if entry.stack is not None:
            self.seen.keep(ctx, sight)
        answers = [
            *orphans(entry, place, stack, seen.state, ctx.clock()),
            *blame(ctx, entry, stack, place, blamed),
            *findings(sight),
            *unseen(entry, place, stack, seen, blamed),
        ]
        if seen.d.complete and not blamed and not seen.unsettled:
            memory.keep(_night(sight, source))
        yield from answers or [_clean(sight)]


def _pinned(ctx: Context, stack: Stack) -> Stack:
    """Why its repository cannot be asked is said by the looks that need it."""
    try:
        return ctx.stacks.pinned(stack)
    except StackError:
        ctx.checkpoint()
        return stack


def _sight(
    ctx: Context, entry: DriftEntry, stack: Stack, place: str, seen: Round, blamed: Sequence[Tripped], memory: Memory
) -> Sight:
    now = ctx.clock()
    untold = {urn for one in blamed for urn in one.urns}
    found = classify(seen.state, seen.d, seen.u, seen.r, seen.restored)
    told = [_ruled(entry, one, ctx) for one in found if one.urn not in untold and one.key not in seen.unsettled]
    different = differences(seen.d.changes)
    return Sight(
        entry=entry,
        stack=stack,
        place=place,
        seen=seen,
        found=told,
        coverage=coverage(seen.state, seen.d),
        blamed=blamed,
        since=memory.since(different, now),
        flips=flips(memory.versions(), by_key(different), now) if seen.d.complete and not blamed else {},
        who=who(ctx, entry, stack, told) if not blamed else {},
        now=now,
    )


def _ruled(entry: DriftEntry, one: Classified, ctx: Context) -> Classified:
    for rule in entry.ignore:
        holds = rule.until is None or ctx.clock().date() <= rule.until
        if holds and fits(one.resource.type, rule.type) and fits(one.path, rule.path):
            return replace(one, why=Class.IGNORED, because=rule.reason)
    return one


def _night(sight: Sight, source: str | None) -> Night:
    seen = sight.seen
    told = [one for one in sight.found if one.why not in _QUIET]
    return Night(
        state=seen.state.sha256,
        source=source,
        outstanding=bool(told) or (seen.compared and not seen.whole),
        differing=by_key(differences(seen.d.changes)),
    )


def _unlisted(entry: DriftEntry, one: Listed) -> Finding:
    return Finding(
        entry=entry.name,
        subject=f"{one.project}/{one.name}",
        key=f"unlisted_stack:{one.full_name}",
        reason="unlisted_stack",
        severity=Severity.LOW,
        title=f"{one.project}/{one.name}: the backend holds it, and the estate has no entry for it",
        detail="only the cloud is compared with its state: without an entry nobody knows its program and its credentials",
        evidence={"stack": one.full_name, "backend": shown_url(entry.backend)},
    )


def _clean(sight: Sight) -> Ok:
    seen = sight.seen
    quiet = [one for one in sight.found if one.why in (Class.IGNORED, Class.RESTORED)]
    program = "and the program agrees" if seen.compared else "the program was not compared: nothing moved since it agreed"
    if sight.stack.source is None:
        program = "the program was not compared: the entry names none"
    return Ok(
        entry=sight.entry.name,
        subject=sight.place,
        summary=f"no drift in {len(seen.state.resources)} resources, {sight.coverage}; {program}",
        evidence={
            "coverage": sight.coverage.facts(),
            "state": seen.state.sha256,
            "ignored": [f"{one.key}: {one.because}" for one in quiet[:50]],
        },
    )
