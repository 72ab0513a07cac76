"""What a stack's own books say: a lock that nobody gives back, operations that nobody finished. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from tasks.drift.entry import DriftEntry
from tasks.drift.looking import Round
from tasks.drift.sets import by_key, differences
from tasks.drift.telling import listed, shown_url
from tasks.model import Finding, Severity
from tasks.stacks import Stack, State


def while_updated(seen: Round, entry: DriftEntry, now: datetime) -> Round:
    """Under a lock that is not old yet nothing that differs is settled, be it what two looks agree on."""
    lock = seen.state.lock
    if lock is None or now - lock.since > timedelta(minutes=entry.lock_minutes) or not seen.d.changes:
        return seen
    return replace(seen, busy=True, unsettled=frozenset(by_key(differences(seen.d.changes))))


def orphans(entry: DriftEntry, place: str, stack: Stack, state: State, now: datetime) -> Iterator[Finding]:
    """Findings of their own: they say nothing about the cloud, and stop everybody's next update."""
    lock = state.lock
    if lock is not None and now - lock.since > timedelta(minutes=entry.lock_minutes):
        yield Finding(
            entry=entry.name,
            subject=place,
            key="stack_locked",
            reason="stack_locked",
            severity=Severity.MEDIUM,
            title=f"{place}: locked by {lock.user}@{lock.host} since {lock.since:%Y-%m-%d %H:%M} UTC",
            detail=f"process {lock.pid} there; a lock has no end of its own. If that process is gone, remove this one lock",
            evidence={"user": lock.user, "host": lock.host, "pid": lock.pid, "since": lock.since.isoformat(), "path": lock.path},
            recheck=f"ssh {lock.host} ps -p {lock.pid}",
        )
    if state.pending_operations:
        yield Finding(
            entry=entry.name,
            subject=place,
            key="pending_operations",
            reason="pending_operations",
            severity=Severity.MEDIUM,
            title=f"{place}: {len(state.pending_operations)} operations were begun and not finished: "
            f"{listed(state.pending_operations)}",
            detail="an update died in the middle; look at the cloud whether each happened, then import or clear it by hand",
            evidence={"pending": list(state.pending_operations[:50]), "count": len(state.pending_operations)},
            recheck=f"PULUMI_BACKEND_URL={shown_url(stack.backend.url)} pulumi stack export --stack {stack.full_name}",
        )
