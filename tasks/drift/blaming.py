"""When too much is gone: whom do the credentials belong to? Only a known answer makes it a finding."""

from collections.abc import Iterator, Sequence

from tasks.context import Context
from tasks.drift.breaker import Tripped
from tasks.drift.entry import DriftEntry
from tasks.drift.telling import by_hand, listed
from tasks.errors import StackError
from tasks.model import Answer, CannotTell, Finding, Severity
from tasks.stacks import Stack

MASS_DELETE = "mass_delete"
_SAID_LIMIT = 200


def blame(ctx: Context, entry: DriftEntry, stack: Stack, place: str, blamed: Sequence[Tripped]) -> Iterator[Answer]:
    """One answer for each provider; there is never a proposal for what it made."""
    if not blamed:
        return
    reason, why = _asked(ctx, entry, stack)
    for one in blamed:
        subject = f"{place}: {one.instance[0] or one.instance[1]}"
        if reason is None:
            yield _gone(entry, stack, subject, one, why)
        else:
            yield CannotTell(
                entry=entry.name,
                subject=subject,
                reason=reason,
                stage="identity",
                detail=f"{one}, which is rather a fault of its credentials, account or region than true: {why}",
                evidence={"gone": one.gone, "of": one.of},
                recheck=by_hand(stack),
            )


def _gone(entry: DriftEntry, stack: Stack, subject: str, one: Tripped, why: str) -> Finding:
    names = [urn.rpartition("::")[2] for urn in sorted(one.urns)]
    return Finding(
        entry=entry.name,
        subject=subject,
        key=f"{MASS_DELETE}:{subject}",
        reason=MASS_DELETE,
        severity=Severity.CRITICAL,
        title=f"{subject}: {one}",
        detail=f"{why}. Nothing is proposed: a person looks first, at the region, too",
        evidence={"gone": one.gone, "of": one.of, "resources": listed(names, 50)},
        recheck=by_hand(stack),
    )


def _asked(ctx: Context, entry: DriftEntry, stack: Stack) -> tuple[str | None, str]:
    """Why we cannot tell, None if the credentials are the right ones; and what was learned."""
    if not entry.identity:
        return MASS_DELETE, "name `identity_command` and `identity` in the entry, and the credentials are asked"
    try:
        said = ctx.stacks.identity(
            stack, entry.identity_command, deadline=entry.deadline, scratch=ctx.scratch, cancelled=ctx.cancelled
        )
    except StackError as error:
        ctx.checkpoint()
        return MASS_DELETE, f"the credentials could not be asked: {error}"
    shown = " ".join(said.split())[:_SAID_LIMIT]
    if entry.identity in said:
        return None, f"the credentials are the right ones: {shown}"
    return "wrong_account", f"the credentials are not of {entry.identity}: {shown}"
