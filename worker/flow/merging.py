"""What a run's answers mean for findings: new, seen again, worse, gone. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tasks.context import Entry
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from worker.flow.looking import NOT_IN_ESTATE, NOT_LOOKED_AT, Report
from worker.flow.shown import jsonable
from worker.ledger.rows import new_id
from worker.records import FindingKind, FindingRow, FindingState, Run

_UNTOLD_SEVERITY = Severity.MEDIUM
"""Of a `cannot_tell`: somebody should look why we could not, in the morning."""


_NOT_TRIED = frozenset({NOT_LOOKED_AT, NOT_IN_ESTATE})
"""Said of a whole entry by us, not by its job."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Rows to write, and those of them that are news."""

    insert: Sequence[FindingRow]
    replace: Sequence[FindingRow]
    opened: Sequence[FindingRow]
    resolved: Sequence[FindingRow]


def merge(existing: Iterable[FindingRow], report: Report, entries: Mapping[str, Entry], run: Run, now: datetime) -> Merge:
    """Fold the report into the rows of its entries. A newer run's observation of a row is never overridden."""
    known = {(row.entry, row.key): row for row in existing}
    seen = {(row.entry, row.key): row for row in _rows(report.answers, entries, run, now)}
    inserted = [row for at, row in seen.items() if at not in known]
    again = [(known[at], row) for at, row in seen.items() if at in known and known[at].observed_at <= row.observed_at]
    replaced = [_seen_again(old, new, now) for old, new in again]
    news = [new for (old, _), new in zip(again, replaced, strict=True) if _is_news(old, new)]
    gone = [_resolved(row, run, now) for at, row in known.items() if at not in seen and _is_gone(row, report, run)]
    return Merge(insert=inserted, replace=[*replaced, *gone], opened=[*inserted, *news], resolved=gone)


def _rows(answers: Sequence[Answer], entries: Mapping[str, Entry], run: Run, now: datetime) -> list[FindingRow]:
    rows = []
    for answer in answers:
        entry = entries.get(answer.entry) or Entry(name=answer.entry, environment=run.environment, owner=run.owner)
        match answer:
            case Finding():
                rows.append(_from_finding(answer, entry, run, now))
            case CannotTell():
                rows.append(_from_cannot_tell(answer, entry, run, now))
            case Ok():
                pass
    return rows


def _from_finding(answer: Finding, entry: Entry, run: Run, now: datetime) -> FindingRow:
    return FindingRow(
        id=new_id(),
        job=run.job,
        entry=answer.entry,
        key=answer.key,
        subject=answer.subject,
        kind=FindingKind.FINDING,
        reason=answer.reason,
        cause=answer.cause or answer.reason,
        severity=answer.severity,
        title=answer.title,
        detail=answer.detail,
        evidence={key: jsonable(value) for key, value in answer.evidence.items()},
        desired=jsonable(answer.desired),
        actual=jsonable(answer.actual),
        recheck=answer.recheck,
        **_common(entry, run, now),  # type: ignore[arg-type]
    )


def _from_cannot_tell(answer: CannotTell, entry: Entry, run: Run, now: datetime) -> FindingRow:
    return FindingRow(
        id=new_id(),
        job=run.job,
        entry=answer.entry,
        key=f"cannot_tell:{answer.subject}",
        subject=answer.subject,
        kind=FindingKind.CANNOT_TELL,
        reason=answer.reason,
        cause=answer.reason,
        severity=_UNTOLD_SEVERITY,
        title=f"{answer.subject}: cannot tell, {answer.reason.replace('_', ' ')} ({answer.stage})",
        detail=answer.detail,
        evidence={**{key: jsonable(value) for key, value in answer.evidence.items()}, "stage": answer.stage},
        desired=None,
        actual=None,
        recheck=answer.recheck,
        **_common(entry, run, now),  # type: ignore[arg-type]
    )


def _common(entry: Entry, run: Run, now: datetime) -> dict[str, object]:
    return {
        "environment": entry.environment,
        "owner": entry.owner,
        "labels": dict(entry.labels),
        "state": FindingState.OPEN,
        "times_seen": 1,
        "run_id": run.id,
        "observed_at": run.started_at or now,
        "opened_at": now,
    }


def _seen_again(old: FindingRow, new: FindingRow, now: datetime) -> FindingRow:
    if old.state is FindingState.RESOLVED:
        return replace(new, id=old.id)
    kept = {"id": old.id, "opened_at": old.opened_at, "times_seen": old.times_seen + 1}
    mute_over = old.state is FindingState.MUTED and old.muted_until is not None and old.muted_until <= now
    worse = Severity(new.severity).rank > Severity(old.severity).rank
    if mute_over or (worse and old.state is FindingState.ACKNOWLEDGED):
        return replace(new, **kept)  # type: ignore[arg-type]
    said = {"state": old.state, "state_by": old.state_by, "state_reason": old.state_reason, "muted_until": old.muted_until}
    return replace(new, **kept, **said)  # type: ignore[arg-type]


def _is_news(old: FindingRow, new: FindingRow) -> bool:
    if new.state is not FindingState.OPEN:
        return False
    return old.state is not FindingState.OPEN or Severity(new.severity).rank > Severity(old.severity).rank


def _is_gone(row: FindingRow, report: Report, run: Run) -> bool:
    """Gone: its subject was told about, or its whole entry was, and the trouble was not among the answers."""
    if row.state is FindingState.RESOLVED or (run.started_at is not None and row.observed_at > run.started_at):
        return False
    answers = [answer for answer in report.answers if answer.entry == row.entry]
    if row.reason in _NOT_TRIED:
        return any(answer.reason not in _NOT_TRIED for answer in answers)
    if any(isinstance(answer, CannotTell) and answer.subject == row.subject for answer in answers):
        return False
    if any(isinstance(answer, Ok) and answer.subject == row.subject for answer in answers):
        return True
    # Of a check that was cut short, or could not look everywhere (at one of a name's addresses, say), a finding about
    # the subject does not say that it had no other.
    return report.whole and bool(answers) and not any(isinstance(answer, CannotTell) for answer in answers)


def _resolved(row: FindingRow, run: Run, now: datetime) -> FindingRow:
    observed = run.started_at or now
    return replace(row, state=FindingState.RESOLVED, resolved_at=now, run_id=run.id, observed_at=observed, muted_until=None)
