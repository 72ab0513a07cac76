"""Findings that this instance has about itself: under the job `nightshift`, told by the routes like any other."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from tasks.model import Severity
from worker.flow.merging import Merge
from worker.flow.outcome import write_findings
from worker.flow.shift import Shift
from worker.flow.verbs import note
from worker.ledger import findings
from worker.ledger.rows import new_id
from worker.records import Actor, FindingKind, FindingRow, FindingState

JOB = "nightshift"


def open_own(
    shift: Shift, tx: Connection, actor: Actor, *, entry: str, key: str, reason: str, title: str, detail: str
) -> FindingRow:
    """Open it, open it again, or count it as seen again, which is no news. The caller serialises those of one entry."""
    now = shift.clock()
    new = _row(shift, now, entry=entry, key=key, reason=reason, title=title, detail=detail)
    old = _known(tx, entry, key)
    if old is not None and old.state is not FindingState.RESOLVED:
        again = replace(old, title=title, detail=detail, times_seen=old.times_seen + 1, observed_at=now)
        write_findings(tx, Merge(insert=[], replace=[again], opened=[], resolved=[]), now)
        return again
    row = replace(new, id=old.id) if old else new
    inserted, replaced = ([], [row]) if old else ([row], [])
    write_findings(tx, Merge(insert=inserted, replace=replaced, opened=[row], resolved=[]), now)
    note(tx, now, actor, "finding.opened", "finding", row.id, reason=reason, detail=detail)
    return row


def resolve_own(shift: Shift, tx: Connection, actor: Actor, *, entry: str, key: str) -> None:
    """It is over; nothing happens if there was none."""
    old = _known(tx, entry, key)
    if old is None or old.state is FindingState.RESOLVED:
        return
    now = shift.clock()
    row = replace(old, state=FindingState.RESOLVED, resolved_at=now, observed_at=now, muted_until=None)
    write_findings(tx, Merge(insert=[], replace=[row], opened=[], resolved=[row]), now)
    note(tx, now, actor, "finding.resolved", "finding", row.id, reason=row.reason)


def _known(tx: Connection, entry: str, key: str) -> FindingRow | None:
    return next((row for row in findings.of_entries(tx, JOB, [entry]) if row.key == key), None)


def _row(shift: Shift, now: datetime, *, entry: str, key: str, reason: str, title: str, detail: str) -> FindingRow:
    defaults = shift.estate().defaults
    return FindingRow(
        id=new_id(),
        job=JOB,
        entry=entry,
        key=key,
        subject=entry,
        kind=FindingKind.FINDING,
        reason=reason,
        cause=reason,
        severity=Severity.HIGH,
        title=title,
        detail=detail,
        evidence={},
        desired=None,
        actual=None,
        recheck=None,
        environment=str(defaults.get("environment", "default")),
        owner=str(defaults.get("owner", "")),
        labels=dict(defaults.get("labels", {})),
        state=FindingState.OPEN,
        times_seen=1,
        run_id="",
        observed_at=now,
        opened_at=now,
    )
