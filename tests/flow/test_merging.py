"""What answers mean for findings; pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tests.support.shift import sites
from worker.flow.looking import Report
from worker.flow.merging import Merge, merge
from worker.records import FindingKind, FindingRow, FindingState, Run, RunKind, RunState, Trigger

T0 = datetime(2026, 11, 21, 2, 14, tzinfo=UTC)
NIGHT = timedelta(days=1)
ENTRIES = sites("web", environment="prod", owner="ana", labels={"tier": "1"})


def run_at(at: datetime, number: int = 1) -> Run:
    return Run(
        id=f"run-{number}", batch_id="b", position=0, item=0, job="sites", kind=RunKind.CHECK, trigger=Trigger.API,
        environment="prod", owner="ana", state=RunState.RUNNING, entries_expected=1, epoch=1, created_at=at, started_at=at,
    )  # fmt: skip


def finding(key: str = "expired", severity: Severity = Severity.MEDIUM, subject: str = "1.2.3.4") -> Finding:
    return Finding(entry="web", subject=subject, key=key, reason="expired", severity=severity, title="web expired")


def untold(subject: str = "1.2.3.4", reason: str = "connect_timeout") -> CannotTell:
    return CannotTell(entry="web", subject=subject, reason=reason, stage="connect", detail="after 5 s")


OK = Ok(entry="web", subject="1.2.3.4")


class Rows:
    """Findings over nights."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], FindingRow] = {}
        self.night = 0

    def see(self, *answers: Answer, whole: bool = True, at: datetime | None = None) -> Merge:
        self.night += 1
        now = at or T0 + self.night * NIGHT
        merged = merge(self.rows.values(), Report(list(answers), whole=whole), ENTRIES, run_at(now, self.night), now)
        self.rows |= {(row.entry, row.key): row for row in [*merged.insert, *merged.replace]}
        return merged

    @property
    def only(self) -> FindingRow:
        [row] = self.rows.values()
        return row

    def set(self, **members: object) -> None:
        self.rows = {at: replace(row, **members) for at, row in self.rows.items()}  # type: ignore[arg-type]


def states(rows: Rows) -> Sequence[tuple[str, str]]:
    return [(row.key, row.state.value) for row in rows.rows.values()]


def test_what_is_seen_first_is_opened_with_all_that_the_entry_carries() -> None:
    rows = Rows()
    merged = rows.see(finding())
    assert merged.opened == merged.insert == [rows.only]
    assert (merged.replace, merged.resolved) == ([], [])
    row = rows.only
    assert (row.environment, row.owner, row.labels, row.state, row.times_seen) == (
        "prod", "ana", {"tier": "1"}, FindingState.OPEN, 1,
    )  # fmt: skip
    assert (row.cause, row.kind, row.run_id, row.observed_at) == ("expired", FindingKind.FINDING, "run-1", T0 + NIGHT)


def test_what_is_seen_again_is_counted_and_no_news() -> None:
    rows = Rows()
    first = rows.see(finding()).insert[0]
    merged = rows.see(finding())
    assert (merged.opened, merged.resolved, merged.insert) == ([], [], [])
    assert (rows.only.id, rows.only.times_seen, rows.only.opened_at, rows.only.run_id) == (first.id, 2, first.opened_at, "run-2")


def test_what_got_worse_is_news_and_what_got_milder_is_not() -> None:
    rows = Rows()
    rows.see(finding())
    assert rows.see(finding(severity=Severity.CRITICAL)).opened == [rows.only]
    assert rows.only.severity == "critical"
    assert rows.see(finding(severity=Severity.LOW)).opened == []


def test_what_is_not_seen_again_is_resolved_and_told_once() -> None:
    rows = Rows()
    rows.see(finding())
    assert rows.see(OK).resolved == [rows.only]
    assert (rows.only.state, rows.only.resolved_at) == (FindingState.RESOLVED, T0 + 2 * NIGHT)
    assert rows.see(OK) == Merge([], [], [], [])


def test_what_comes_back_is_opened_again_as_the_same_finding() -> None:
    rows = Rows()
    first = rows.see(finding()).insert[0]
    rows.see(OK)
    merged = rows.see(finding())
    assert merged.opened == [rows.only]
    assert (rows.only.id, rows.only.state, rows.only.opened_at, rows.only.times_seen, rows.only.resolved_at) == (
        first.id, FindingState.OPEN, T0 + 3 * NIGHT, 1, None,
    )  # fmt: skip


def test_a_muted_finding_stays_muted_even_when_it_gets_worse() -> None:
    rows = Rows()
    rows.see(finding())
    rows.set(state=FindingState.MUTED, muted_until=T0 + 9 * NIGHT, state_by="ana", state_reason="known")
    assert rows.see(finding(severity=Severity.CRITICAL)).opened == []
    assert (rows.only.state, rows.only.state_by, rows.only.state_reason, rows.only.muted_until) == (
        FindingState.MUTED, "ana", "known", T0 + 9 * NIGHT,
    )  # fmt: skip


def test_a_mute_that_is_over_is_news() -> None:
    rows = Rows()
    rows.see(finding())
    rows.set(state=FindingState.MUTED, muted_until=T0 + 2 * NIGHT)
    assert rows.see(finding()).opened == [rows.only]
    assert (rows.only.state, rows.only.muted_until) == (FindingState.OPEN, None)


def test_an_acknowledged_finding_is_news_only_when_it_gets_worse() -> None:
    rows = Rows()
    rows.see(finding())
    rows.set(state=FindingState.ACKNOWLEDGED, state_by="ana")
    assert rows.see(finding()).opened == []
    assert (rows.only.state, rows.only.state_by) == (FindingState.ACKNOWLEDGED, "ana")
    assert rows.see(finding(severity=Severity.HIGH)).opened == [rows.only]
    assert rows.only.state is FindingState.OPEN


def test_a_muted_finding_that_is_gone_is_resolved() -> None:
    rows = Rows()
    rows.see(finding())
    rows.set(state=FindingState.MUTED, muted_until=T0 + 9 * NIGHT)
    rows.see(OK)
    assert (rows.only.state, rows.only.muted_until) == (FindingState.RESOLVED, None)


def test_not_being_able_to_look_resolves_nothing_and_hides_nothing() -> None:
    rows = Rows()
    rows.see(finding())
    merged = rows.see(untold())
    assert merged.resolved == []
    assert states(rows) == [("expired", "open"), ("cannot_tell:1.2.3.4", "open")]
    assert rows.rows["web", "cannot_tell:1.2.3.4"].kind is FindingKind.CANNOT_TELL


def test_not_being_able_to_look_at_one_subject_leaves_the_others_of_its_entry_open() -> None:
    rows = Rows()
    rows.see(finding(subject="gone"), finding(key="k2"))
    rows.see(OK, untold(subject="5.6.7.8"))
    assert dict(states(rows)) == {"expired": "open", "k2": "resolved", "cannot_tell:5.6.7.8": "open"}


def test_being_able_to_look_again_resolves_that_we_could_not() -> None:
    rows = Rows()
    rows.see(untold())
    rows.see(finding())
    assert dict(states(rows)) == {"cannot_tell:1.2.3.4": "resolved", "expired": "open"}


def test_that_an_entry_was_not_looked_at_is_over_as_soon_as_it_is_even_in_part() -> None:
    rows = Rows()
    rows.see(untold(subject="web", reason="not_looked_at"), whole=False)
    rows.see(OK, untold(subject="5.6.7.8"))
    assert dict(states(rows)) == {"cannot_tell:web": "resolved", "cannot_tell:5.6.7.8": "open"}


def test_a_subject_that_vanished_is_resolved_by_a_whole_look() -> None:
    rows = Rows()
    rows.see(finding(subject="old address"))
    rows.see(OK)
    assert rows.only.state is FindingState.RESOLVED


def test_a_check_that_was_cut_short_resolves_only_what_it_saw_to_be_well() -> None:
    rows = Rows()
    rows.see(finding(), finding(key="weak"), finding(key="other", subject="5.6.7.8"), finding(key="late", subject="9.9.9.9"))
    rows.see(finding(), Ok(entry="web", subject="5.6.7.8"), whole=False)
    assert dict(states(rows)) == {"expired": "open", "weak": "open", "other": "resolved", "late": "open"}


def test_an_entry_without_any_answer_resolves_nothing() -> None:
    rows = Rows()
    rows.see(finding())
    rows.see()
    assert rows.only.state is FindingState.OPEN


def test_an_older_look_never_overrides_a_newer_one() -> None:
    rows = Rows()
    rows.see(finding(), at=T0 + 5 * NIGHT)
    after = rows.only
    assert rows.see(OK, at=T0) == Merge([], [], [], [])
    assert rows.see(finding(severity=Severity.CRITICAL), at=T0) == Merge([], [], [], [])
    assert rows.only == after
    rows.see(OK, at=T0 + 6 * NIGHT)
    assert rows.see(finding(), at=T0).opened == []
    assert rows.only.state is FindingState.RESOLVED


ANSWERS: st.SearchStrategy[Answer] = st.one_of(
    st.builds(finding, st.sampled_from(["k1", "k2"]), st.sampled_from(Severity), st.sampled_from(["s1", "s2"])),
    st.builds(untold, st.sampled_from(["s1", "s2", "web"])),
    st.builds(lambda subject: Ok(entry="web", subject=subject), st.sampled_from(["s1", "s2"])),
)
NIGHTS = st.lists(st.tuples(st.lists(ANSWERS, max_size=4), st.booleans(), st.integers(0, 9)), max_size=6)


@given(NIGHTS)
def test_whatever_the_nights_bring_the_newest_look_is_what_stands(nights: list[tuple[list[Answer], bool, int]]) -> None:
    rows = Rows()
    newest = -1
    for answers, whole, day in nights:
        before = dict(rows.rows)
        merged = rows.see(*answers, whole=whole, at=T0 + day * NIGHT)
        if day >= newest:
            newest = day
            for answer in answers:
                if not isinstance(answer, Ok):
                    key = answer.key if isinstance(answer, Finding) else f"cannot_tell:{answer.subject}"
                    assert rows.rows["web", key].state is FindingState.OPEN
        for at, row in rows.rows.items():
            assert (row.resolved_at is not None) == (row.state is FindingState.RESOLVED)
            if at in before:
                assert row.observed_at >= before[at].observed_at
                assert row.id == before[at].id
        untold_now = {answer.subject for answer in answers if isinstance(answer, CannotTell)}
        assert not untold_now & {row.subject for row in merged.resolved}
        assert not {row.id for row in merged.opened} & {row.id for row in merged.resolved}


def test_a_finding_that_nobody_could_look_for_is_not_gone_because_its_subject_has_another() -> None:
    rows = Rows()
    rows.see(finding("expired", subject="web:443"), finding("weak_key", subject="web:443"))
    at_one_address = finding("weak_key", subject="web:443")
    rows.see(at_one_address, untold("web:443 at 192.0.2.2"))
    assert ("expired", "open") in states(rows)
    rows.see(at_one_address)
    assert ("expired", "resolved") in states(rows)
