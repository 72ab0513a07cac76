"""The end of a night: what it says, and that it is said once."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from notifications.digest import NightRun
from tasks.context import Context
from tasks.job import Job, Params
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tests.scheduler.stage import BERLIN, CLOCKWORK, CONSOLE, Stage, nightly
from worker.flow import execute_run, nights
from worker.flow.nights.closing import MESSAGE
from worker.ledger import audit_rows, findings, outbox, runs, telling
from worker.records import FindingState, OutboxRow, RunState, Topic

StageWith = Callable[..., Stage]
TROUBLE = Finding(
    entry="a", key="k", subject="a", reason="expired", severity=Severity.HIGH, title="a has expired", detail="", evidence={}
)


def answering(stage: Stage, *answers: Answer) -> None:
    """From now on the hosts job says this; `ok` of every other entry."""

    def check(ctx: Context, params: Params) -> Iterable[Answer]:
        named = {answer.entry: answer for answer in answers}
        return [named.get(entry.name, Ok(entry=entry.name, subject=entry.name)) for entry in ctx.selected]

    before = stage.jobs["hosts"]
    stage.jobs["hosts"] = Job(name="hosts", summary=before.summary, check=check, params=Params, entry=before.entry)


def work(stage: Stage, *entries: str) -> None:
    """Carry out the queued runs of these entries, or of all."""
    for run in stage.runs():
        if run.state is RunState.QUEUED and (not entries or set(entries) & set(run.params["entries"])):  # type: ignore[arg-type]
            execute_run(stage.shift, run.id, run.job, "worker-1")


def night(stage: Stage, day: int, *entries: str) -> None:
    """02:30 to 08:30; the workers look at these entries, or at all."""
    stage.step_at("02:30", day)
    work(stage, *entries)
    stage.step_at("08:30", day)


def message_rows(stage: Stage, kind: str) -> list[OutboxRow]:
    with stage.ledger.read() as connection:
        rows = outbox.due(connection, Topic.MESSAGE, stage.now, 100)
    return [row for row in rows if row.payload["kind"] == kind]


def incomplete(stage: Stage) -> list[tuple[FindingState, str]]:
    with stage.ledger.read() as connection:
        rows = findings.listing(connection, job="nightshift", states=tuple(FindingState))
    return [(row.state, row.detail) for row in rows if row.key == "night_incomplete"]


def test_the_digest_is_due_at_its_hour_and_told_once(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.step_at("02:30")
    work(stage)
    stage.step_at("08:29")
    assert message_rows(stage, "digest") == []

    stage.step_at("08:30")
    stage.step_at("08:31")

    [row] = message_rows(stage, "digest")
    assert (row.subject, row.payload["message_id"]) == ("2026-03-11", "digest-20260311T073000Z")
    with stage.ledger.read() as connection:
        closed = telling.night(connection, "2026-03-11")
        verbs = [one.entry.verb for one in audit_rows.recent(connection)]
    assert closed is not None
    assert closed[3]["message"]["title"] == "Night of 11 Mar: all 3 ok"
    assert closed[3]["summary"]["looked_at"] == 3
    assert verbs.count("night.closed") == 1


def test_the_kept_message_is_read_back_as_it_was(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    answering(stage, TROUBLE)
    stage.step_at("02:30")
    work(stage)
    stage.at("08:30")
    closed = nights.close_night_now(stage.shift, stage.routing, CONSOLE, CLOCKWORK)
    assert closed is not None
    with stage.ledger.read() as connection:
        kept = telling.night(connection, closed.fire_key)
    assert kept is not None
    assert MESSAGE.validate_python(kept[3]["message"]) == closed.message


def test_a_night_that_somebody_closed_is_not_closed_again(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.step_at("02:30")
    stage.at("08:30")
    due = nights.digest_due(stage.shift, stage.routing)
    assert due is not None
    assert nights.close_night(stage.shift, stage.routing, CONSOLE, due, CLOCKWORK) is not None
    assert nights.close_night(stage.shift, stage.routing, CONSOLE, due, CLOCKWORK) is None
    assert len(message_rows(stage, "digest")) == 1


def test_a_process_that_slept_over_a_later_digest_closes_nothing(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.step_at("02:30")
    stage.at("08:30")
    stale = nights.digest_due(stage.shift, stage.routing)
    assert stale is not None
    stage.step_at("08:30", day=12)
    assert nights.close_night(stage.shift, stage.routing, CONSOLE, stale, CLOCKWORK) is None


def test_nothing_is_told_before_there_was_a_batch(stage_with: StageWith) -> None:
    stage = stage_with()
    stage.step_at("12:00")
    assert message_rows(stage, "digest") == []


def test_of_mornings_missed_the_last_one_tells_of_all(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    night(stage, 11)
    stage.step_at("02:30", day=12)
    work(stage)
    stage.step_at("02:30", day=13)
    work(stage)
    with stage.ledger.read() as connection:
        before = telling.last_night(connection)
    assert before is not None
    stage.step_at("09:00", day=13)
    with stage.ledger.read() as connection:
        last = telling.last_night(connection)
    assert last is not None
    assert (last[0], last[3]["summary"]["looked_at"]) == ("2026-03-13", 3)
    assert [row.subject for row in message_rows(stage, "digest")] == ["2026-03-11", "2026-03-12", "2026-03-13"]


def test_an_hour_of_the_digest_that_is_moved_on_does_not_tell_the_same_morning_twice(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    night(stage, 11)
    stage.routing = stage.routing.model_validate({"digest": {"at": "09:00", "timezone": "Europe/Berlin"}})
    stage.step_at("09:00")
    assert len(message_rows(stage, "digest")) == 1


def test_a_night_still_at_work_at_the_hour_of_the_digest_is_incomplete_and_a_finding(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    night(stage, 11, "a")
    with stage.ledger.read() as connection:
        closed = telling.night(connection, "2026-03-11")
        [finding] = findings.listing(connection)
    assert closed is not None
    assert closed[3]["message"]["title"].startswith("Night of 11 Mar, incomplete (1 of 3 looked at)")
    assert (finding.job, finding.entry, finding.key, finding.severity, finding.reason) == (
        "nightshift",
        "night",
        "night_incomplete",
        "high",
        "night_incomplete",
    )
    assert finding.detail == "1 of 3 looked at; 2 entries of hosts: 2 runs still queued"
    assert [row.subject for row in message_rows(stage, "finding_opened")] == [finding.id]


def test_the_finding_is_resolved_by_the_next_complete_night_and_not_by_an_empty_one(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    night(stage, 11, "a")
    work(stage)
    stage.put_in_force()
    stage.step_at("08:30", day=12)
    assert [state for state, _ in incomplete(stage)] == [FindingState.OPEN]

    stage.put_in_force(nightly(job="hosts"))
    night(stage, 13)
    assert [state for state, _ in incomplete(stage)] == [FindingState.RESOLVED]
    assert len(message_rows(stage, "finding_resolved")) == 1


def test_runs_that_failed_and_fires_that_were_skipped_are_why_a_night_is_incomplete(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"), nightly("late", job="hosts", cron="0 1 * * *", start_deadline=timedelta(minutes=1)))

    def broken(ctx: Context, params: Params) -> Iterable[Answer]:
        raise RuntimeError("no such luck")

    stage.jobs["hosts"] = Job(
        name="hosts", summary="", check=broken, params=Params, entry=stage.jobs["hosts"].entry, entries_per_run=3
    )
    night(stage, 11)
    assert [detail for _, detail in incomplete(stage)] == ["0 of 3 looked at; 3 entries of hosts: 2 runs failed (job_error)"]


def test_a_night_that_could_not_tell_of_one_entry_has_looked_at_it(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    answering(stage, CannotTell(entry="b", subject="b", reason="connect_timeout", stage="connect", detail="no answer"))
    night(stage, 11)
    with stage.ledger.read() as connection:
        closed = telling.night(connection, "2026-03-11")
    assert closed is not None
    assert closed[3]["message"]["title"] == "Night of 11 Mar: 1 could not tell, 2 ok"
    assert incomplete(stage) == []


def test_findings_are_new_then_still_open_then_resolved(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    told = []
    for day, answers in ((11, [TROUBLE]), (12, [TROUBLE]), (13, [])):
        answering(stage, *answers)
        stage.step_at("02:30", day)
        work(stage)
        stage.at("08:29", day)
        now = nights.night_so_far(stage.shift, stage.routing, CONSOLE)
        told.append([[one.title for one in part] for part in (now.new, now.still_open, now.resolved)])
        stage.step_at("08:30", day)
    assert told == [
        [["a has expired"], [], []],
        [[], ["a has expired"], []],
        [[], [], ["a has expired"]],
    ]


def test_the_night_so_far_tells_of_skipped_runs_and_writes_nothing(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts", start_deadline=timedelta(minutes=1)))
    stage.step_at("03:30")
    stage.at("03:31")
    now = nights.night_so_far(stage.shift, stage.routing, CONSOLE)
    with stage.ledger.read() as connection:
        [skipped] = runs.listing(connection, state=RunState.SKIPPED)
        assert telling.last_night(connection) is None
    assert now.skipped == [NightRun(id=skipped.id, job="hosts", why=f"too_late: {skipped.summary}")]
    assert (now.expected, now.looked_at, now.complete) == (3, 0, False)


def test_a_night_closed_by_hand_leaves_the_morning_its_own_digest(stage_with: StageWith) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.step_at("02:30")
    work(stage)
    stage.at("03:00")
    by_hand = nights.close_night_now(stage.shift, stage.routing, CONSOLE, CLOCKWORK)
    again = nights.close_night_now(stage.shift, stage.routing, CONSOLE, CLOCKWORK)
    stage.step_at("08:30")
    assert by_hand is not None
    assert (by_hand.fire_key, by_hand.night.looked_at) == ("2026-03-11T03:00:00", 3)
    assert again is None
    assert [row.subject for row in message_rows(stage, "digest")] == ["2026-03-11T03:00:00", "2026-03-11"]


@pytest.mark.parametrize("date", ["2026-03-29", "2026-10-25"])
def test_on_a_night_the_clocks_change_the_digest_is_told_once(stage_with: StageWith, date: str) -> None:
    stage = stage_with(nightly(job="hosts"))
    stage.routing = stage.routing.model_validate({"digest": {"at": "02:30", "timezone": "Europe/Berlin"}})
    midnight = datetime.fromisoformat(date).replace(tzinfo=BERLIN).astimezone(UTC)
    stage.now = midnight - timedelta(hours=12)
    stage.scheduler.step()
    for quarters in range(24 * 4):
        stage.now = midnight + timedelta(minutes=15) * quarters
        stage.scheduler.step()
    assert [row.subject for row in message_rows(stage, "digest")] == [date]
