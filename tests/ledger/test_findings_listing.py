"""What a bounded list of findings leaves out."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tasks.model import Severity
from worker.ledger import Ledger, findings
from worker.ledger.rows import new_id
from worker.records import FindingKind, FindingRow, FindingState

AT = datetime(2026, 3, 1, tzinfo=UTC)


def row(key: str, severity: Severity, age: timedelta) -> FindingRow:
    return FindingRow(
        id=new_id(),
        job="hosts",
        entry="web",
        key=key,
        subject=key,
        kind=FindingKind.FINDING,
        reason="odd",
        cause="odd",
        severity=severity,
        title=key,
        detail="",
        evidence={},
        desired=None,
        actual=None,
        recheck=None,
        environment="default",
        owner="",
        labels={},
        state=FindingState.OPEN,
        times_seen=1,
        run_id=new_id(),
        observed_at=AT,
        opened_at=AT - age,
    )


def test_a_flood_of_mild_findings_hides_no_bad_one(ledger_url: str) -> None:
    old = row("old and critical", Severity.CRITICAL, timedelta(days=9))
    mild = [row(f"mild {number}", Severity.INFO, timedelta(minutes=number)) for number in range(5)]
    with closing(Ledger(ledger_url)) as ledger, ledger.transaction() as tx:
        for one in [old, *mild, replace(mild[0], id=new_id(), key="high", title="high", severity=Severity.HIGH)]:
            findings.insert_finding(tx, one)
        listed = [found.title for found in findings.listing(tx, limit=4)]
    assert listed == ["old and critical", "high", "mild 0", "mild 1"]
