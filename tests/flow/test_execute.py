"""From claim to outcome: what each way a check can go leaves in the ledger."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tasks.context import Context, Entry
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tests.flow.conftest import Script, found, ok, untold
from tests.support.shift import ANA, WORKER, Rig
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.flow import Outcome, execute_run
from worker.flow.pulse import MOST_LINES
from worker.flow.verbs import cancel
from worker.ledger import audit_rows, batches, keepings, outbox, runs
from worker.ledger.tables import FACTS, RUNS
from worker.records import FindingState, Run, RunState, Topic, Verdict


def only(outcomes: list[Outcome | None]) -> Outcome:
    [outcome] = outcomes
    assert outcome is not None
    return outcome


def stopping(ctx: Context, started: threading.Event) -> list[Answer]:
    """Work until told to stop, as a polite job does; never returns."""
    started.set()
    idle = threading.Event()
    while True:
        ctx.checkpoint()
        idle.wait(0.01)


def while_running(rig: Rig, run: Run, started: threading.Event) -> Future[Outcome | None]:
    """The execution, in a thread of its own, once its check has begun."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(rig.execute, run)
    pool.shutdown(wait=False)
    assert started.wait(PATIENCE_SECONDS)
    return future


@pytest.mark.parametrize(
    ("by_entry", "verdict", "summary"),
    [
        ({}, Verdict.OK, "3 ok"),
        ({"a": found}, Verdict.FINDINGS, "2 ok, 1 finding"),
        ({"a": found, "b": found, "c": untold}, Verdict.FINDINGS, "2 findings, 1 cannot tell"),
        ({"a": untold}, Verdict.PARTIAL, "2 ok, 1 cannot tell"),
        ({"a": untold, "b": untold, "c": untold}, Verdict.CANNOT_TELL, "3 cannot tell"),
    ],
)
def test_a_check_that_ended_says_what_it_saw(rig: Rig, script: Script, by_entry: Script, verdict: Verdict, summary: str) -> None:
    script.update(by_entry)
    outcome = only(rig.look())
    run = rig.run(outcome.run_id)
    assert (outcome.state, outcome.verdict, outcome.summary) == (RunState.SUCCEEDED, verdict, summary)
    assert (run.state, run.verdict, run.summary, run.reason, run.worker) == (RunState.SUCCEEDED, verdict, summary, None, WORKER)
    assert sum(run.counts.values()) == run.entries_expected == 3
    assert run.ended_at is not None


def test_an_outcome_ends_the_batch_and_is_audited(rig: Rig) -> None:
    made = rig.order()
    rig.execute(made.runs[0])
    with rig.ledger.read() as connection:
        batch = batches.get(connection, made.batch.id)
        verbs = [row.entry.verb for row in audit_rows.recent(connection)]
    assert batch is not None
    assert batch.ended_at is not None
    assert verbs == ["batch.ended", "run.succeeded", "run.started", "batch.queued"]


def test_a_run_is_executed_once(rig: Rig) -> None:
    run = rig.order().runs[0]
    assert rig.execute(run) is not None
    assert rig.execute(run) is None


def test_a_bell_that_names_another_job_does_nothing(rig: Rig) -> None:
    run = rig.order().runs[0]
    assert execute_run(rig.shift, run.id, "singles", WORKER) is None
    assert rig.run(run.id).state is RunState.QUEUED


def fail(error: BaseException) -> Answer:
    raise error


@pytest.mark.parametrize("error", [RuntimeError("disk on fire"), SystemExit(3), KeyError("nothing")])
def test_a_job_that_raises_keeps_what_it_said_and_fails(rig: Rig, script: Script, error: BaseException) -> None:
    def raises(_: Context, __: Entry) -> Iterator[Answer]:
        yield from map(fail, [error])

    script.update(a=found, b=raises)
    outcome = only(rig.look())
    assert (outcome.state, outcome.verdict, outcome.reason) == (RunState.FAILED, None, "job_error")
    assert outcome.summary == f"{type(error).__name__}: {error} (1 finding, 2 cannot tell)"
    assert [(row.entry, row.reason) for row in rig.findings()] == [
        ("a", "expired"),
        ("b", "not_looked_at"),
        ("c", "not_looked_at"),
    ]


def test_an_answer_about_an_entry_that_was_not_asked_for_fails_the_run(rig: Rig, script: Script) -> None:
    script["b"] = lambda _, __: [Ok(entry="x", subject="x")]
    outcome = only(rig.look())
    assert outcome.reason == "job_error"
    assert "answered about 'x', which this run was not asked to look at" in outcome.summary


@pytest.mark.parametrize("title", [None, "\0", "\ud800"])
def test_answers_that_no_ledger_takes_never_leave_a_run_hanging(rig: Rig, script: Script, title: str) -> None:
    def odd(_: Context, entry: Entry) -> Iterator[Answer]:
        yield Finding(
            entry=entry.name,
            subject=entry.name,
            key="k",
            reason="r",
            severity=Severity.LOW,
            title=title,
            evidence={"number": float("nan"), "text": "a\0b", "half\ud800": "\udfff"},
        )

    script["a"] = odd
    outcome = only(rig.look())
    if title is None:
        assert (outcome.state, outcome.reason) == (RunState.FAILED, "answers_refused")
        assert rig.findings() == []
    else:
        assert outcome.state is RunState.SUCCEEDED
        assert rig.findings()[0].evidence == {"number": "nan", "text": "a\N{REPLACEMENT CHARACTER}b", "half?": "?"}
    assert rig.run(outcome.run_id).state.terminal


def test_an_entry_without_an_answer_was_not_looked_at(rig: Rig, script: Script) -> None:
    script["b"] = lambda _, __: []
    outcome = only(rig.look())
    assert (outcome.state, outcome.verdict, outcome.summary) == (RunState.SUCCEEDED, Verdict.PARTIAL, "2 ok, 1 cannot tell")
    assert [(row.entry, row.reason, row.detail) for row in rig.findings()] == [
        ("b", "not_looked_at", "the job gave no answer about it")
    ]


def test_an_entry_that_left_the_estate_meanwhile_cannot_be_told(rig: Rig) -> None:
    run = rig.order().runs[0]
    rig.watch("sites", {name: entry for name, entry in rig.shift.estate().tables["sites"].items() if name != "b"})
    outcome = rig.execute(run)
    assert outcome is not None
    assert outcome.summary == "2 ok, 1 cannot tell"
    assert [(row.entry, row.reason) for row in rig.findings()] == [("b", "not_in_estate")]


def test_parameters_that_the_job_no_longer_takes_fail_the_run_with_the_reason(rig: Rig) -> None:
    run = rig.order(depth=2).runs[0]
    with rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(params={"depht": 2}))
    outcome = rig.execute(run)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.FAILED, "invalid_parameter")
    assert "depht: Extra inputs are not permitted" in outcome.summary


def test_a_cancelled_queued_run_ends_at_once_with_its_batch(rig: Rig) -> None:
    made = rig.order()
    cancelled = cancel(rig.shift, made.runs[0].id, ANA, "not tonight")
    assert (cancelled.state, cancelled.summary) == (RunState.CANCELLED, "cancelled by person:ana: not tonight")
    assert rig.execute(cancelled) is None
    with rig.ledger.read() as connection:
        batch = batches.get(connection, made.batch.id)
    assert batch is not None
    assert batch.remaining == 0


def test_a_cancel_reaches_a_running_job_and_keeps_what_it_saw(rig: Rig, script: Script) -> None:
    started = threading.Event()

    def long(ctx: Context, entry: Entry) -> Iterator[Answer]:
        stopping(ctx, started)
        yield Ok(entry=entry.name, subject=entry.name)

    script.update(a=found, b=long)
    run = rig.order().runs[0]
    future = while_running(rig, run, started)
    assert cancel(rig.shift, run.id, ANA).state is RunState.RUNNING
    outcome = only([future.result(PATIENCE_SECONDS)])
    assert (outcome.state, outcome.reason) == (RunState.CANCELLED, "cancelled")
    assert outcome.summary == "cancelled by person:ana (1 finding, 2 cannot tell)"
    assert [(row.entry, row.reason) for row in rig.findings()] == [("a", "expired")], "who cancelled it knows of the rest"


def test_a_cancel_that_came_before_the_run_was_released_stops_the_next_attempt(rig: Rig, script: Script) -> None:
    looked: list[str] = []

    def looks(_: Context, entry: Entry) -> Iterator[Answer]:
        looked.append(entry.name)
        yield from ok(_, entry)

    script["a"] = looks
    run = rig.order().runs[0]
    with rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(cancel_requested_by="person:ana"))
    outcome = rig.execute(run)
    assert outcome is not None
    assert outcome.state is RunState.CANCELLED
    assert looked == []


def test_a_check_that_came_to_its_end_has_succeeded_whoever_wanted_it_stopped(rig: Rig, script: Script) -> None:
    stop = threading.Event()
    object.__setattr__(rig.shift, "draining", stop.is_set)

    def end(_: Context, entry: Entry) -> Iterator[Answer]:
        stop.set()
        yield Ok(entry=entry.name, subject=entry.name)

    script["c"] = end
    assert only(rig.look()).state is RunState.SUCCEEDED


def test_a_check_over_its_time_limit_fails_and_says_so(rig: Rig, script: Script) -> None:
    job = replace(rig.shift.jobs["sites"], time_limit=timedelta(milliseconds=1))
    rig.shift = replace(rig.shift, jobs={"sites": job})
    script["b"] = lambda ctx, _: stopping(ctx, threading.Event())
    outcome = only(rig.look())
    assert (outcome.state, outcome.reason) == (RunState.FAILED, "time_limit")
    assert outcome.summary.startswith("stopped at its time limit (")


class OverTime(BaseException):
    """What the executor raises in a check that does not ask."""


def test_a_check_that_never_asks_is_interrupted(rig: Rig, script: Script) -> None:
    rig.shift = replace(rig.shift, interruptions=(OverTime,))

    def interrupted(_: Context, __: Entry) -> Iterator[Answer]:
        yield from map(fail, [OverTime()])

    script["b"] = interrupted
    outcome = only(rig.look())
    assert (outcome.state, outcome.reason) == (RunState.FAILED, "time_limit")


def test_a_worker_that_is_told_to_stop_puts_the_run_back_and_another_one_does_it(rig: Rig, script: Script) -> None:
    stop, started = threading.Event(), threading.Event()
    draining = replace(rig.shift, draining=stop.is_set)

    def long(ctx: Context, entry: Entry) -> Iterator[Answer]:
        ctx.log.info("begun")
        stop.set()
        stopping(ctx, started)
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = long
    run = rig.order().runs[0]
    assert execute_run(draining, run.id, run.job, WORKER) is None
    released = rig.run(run.id)
    assert (released.state, released.attempts, released.fence, released.lease_owner) == (RunState.QUEUED, 0, 1, None)
    with rig.ledger.read() as connection:
        assert [row.subject for row in outbox.due(connection, Topic.BELL, rig.clock(), 10)] == [run.id]
        assert [line.event for _, line in keepings.lines_of(connection, run.id)] == ["begun"]
    assert rig.findings() == []
    script["a"] = ok
    outcome = rig.execute(run, "worker-2@test")
    assert outcome is not None
    assert outcome.state is RunState.SUCCEEDED


def test_an_owner_that_lost_its_lease_writes_nothing(rig: Rig, script: Script) -> None:
    def robbed(ctx: Context, entry: Entry) -> Iterator[Answer]:
        ctx.history.record("a", "serial", 7)
        ctx.artifacts.put("report", b"text")
        with rig.ledger.transaction() as tx:
            tx.execute(update(RUNS).where(RUNS.c.id == ctx.run_id).values(fence=9, lease_owner="other"))
        yield from found(ctx, entry)

    script["a"] = robbed
    run = rig.order().runs[0]
    assert rig.execute(run) is None
    now = rig.run(run.id)
    assert (now.state, now.fence, now.summary) == (RunState.RUNNING, 9, "")
    assert rig.findings() == []
    with rig.ledger.read() as connection:
        assert keepings.artifacts_of(connection, run.id) == []
        assert connection.execute(select(FACTS)).all() == []
        assert [row.entry.verb for row in audit_rows.recent(connection)] == ["run.started", "batch.queued"]


def test_a_job_whose_lease_was_taken_is_told_to_stop(rig: Rig, script: Script) -> None:
    started = threading.Event()
    script["a"] = lambda ctx, _: stopping(ctx, started)
    run = rig.order().runs[0]
    future = while_running(rig, run, started)
    with rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(lease_owner="other"))
    assert future.result(PATIENCE_SECONDS) is None


def test_progress_and_log_lines_show_while_it_runs(rig: Rig, script: Script) -> None:
    started, go_on = threading.Event(), threading.Event()

    def long(ctx: Context, entry: Entry) -> Iterator[Answer]:
        ctx.log.warning("slow", seconds=5, at=rig.clock())
        ctx.progress(1, 3, "first")
        started.set()
        assert go_on.wait(PATIENCE_SECONDS)
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = long
    run = rig.order().runs[0]
    future = while_running(rig, run, started)
    until("its progress is shown", lambda: rig.run(run.id).progress)
    with rig.ledger.read() as connection:
        lines = [(line.level, line.event, line.facts) for _, line in keepings.lines_of(connection, run.id)]
    go_on.set()
    assert only([future.result(PATIENCE_SECONDS)]).state is RunState.SUCCEEDED
    assert rig.run(run.id).progress == {"done": 1, "total": 3, "note": "first"}
    assert lines == [("warning", "slow", {"seconds": 5, "at": "2026-11-21T02:14:00Z"})]


def test_a_run_that_logs_without_end_keeps_the_first_lines_and_says_how_many_more(rig: Rig, script: Script) -> None:
    def chatty(ctx: Context, entry: Entry) -> Iterator[Answer]:
        for number in range(MOST_LINES + 5):
            ctx.log.info("line", number=number)
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = chatty
    outcome = only(rig.look())
    with rig.ledger.read() as connection:
        lines = [line for _, line in keepings.lines_of(connection, outcome.run_id, 5000)]
    assert len(lines) == MOST_LINES + 1
    assert (lines[-1].event, lines[-1].facts) == ("lines_left_out", {"more": 5, "kept": MOST_LINES})


def test_artifacts_are_kept_by_hash_and_secret_ones_encrypted(rig: Rig, script: Script) -> None:
    def puts(ctx: Context, entry: Entry) -> Iterator[Answer]:
        ctx.artifacts.put("plain", b"said aloud")
        ctx.artifacts.put("first-in-clear", b"known later to be secret")
        ctx.artifacts.put("hidden", b"known later to be secret", secret=True)
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = puts
    outcome = only(rig.look())
    with rig.ledger.read() as connection:
        names = {name: sha256 for name, sha256, _, _ in keepings.artifacts_of(connection, outcome.run_id)}
        plain, hidden = keepings.artifact(connection, names["plain"]), keepings.artifact(connection, names["hidden"])
    assert plain is not None
    assert hidden is not None
    assert (plain.content, plain.key_id) == (b"said aloud", None)
    assert names["first-in-clear"] == names["hidden"]
    assert b"secret" not in hidden.content
    assert rig.shift.keys.decrypt(hidden.content.decode()) == b"known later to be secret"


def test_an_artifact_that_is_too_large_fails_the_run_with_both_sizes(rig: Rig, script: Script) -> None:
    rig.shift = replace(rig.shift, artifact_limit_bytes=10)
    script["a"] = lambda ctx, _: [ctx.artifacts.put("dump", b"x" * 11)]  # type: ignore[list-item]
    assert "artifact 'dump' has 11 bytes, at most 10 are kept" in only(rig.look()).summary


def test_facts_become_versions_with_the_outcome_and_only_when_they_change(rig: Rig, script: Script) -> None:
    seen: list[tuple[object, int] | None] = []
    serials = iter([1, 1, 2])

    def remembers(ctx: Context, entry: Entry) -> Iterator[Answer]:
        latest = ctx.history.latest("a", "serial")
        seen.append((latest.value, latest.version) if latest else None)
        ctx.history.record("a", "serial", next(serials))
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = remembers
    for _ in range(3):
        rig.look()
    with rig.ledger.read() as connection:
        kept = [(version, value) for version, value, _ in keepings.facts(connection, "sites", "a", "serial", 10)]
    assert seen == [None, (1, 1), (1, 1)]
    assert kept == [(2, 2), (1, 1)]


def test_scratch_is_a_folder_of_the_attempt_and_gone_after_it(rig: Rig, script: Script) -> None:
    folders = []

    def writes(ctx: Context, entry: Entry) -> Iterator[Answer]:
        (ctx.scratch / "notes").write_text("x")
        folders.append(ctx.scratch)
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = writes
    rig.look()
    assert [folder.exists() for folder in folders] == [False]
    assert list(rig.shift.scratch.iterdir()) == []


def test_scratch_that_cannot_be_made_fails_the_run_that_asks_for_it(rig: Rig, script: Script) -> None:
    def writes(ctx: Context, entry: Entry) -> Iterator[Answer]:
        (ctx.scratch / "notes").write_text("x")
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = writes
    rig.shift.scratch.parent.joinpath("scratch").touch()
    outcome = only(rig.look())
    assert (outcome.state, outcome.reason) == (RunState.FAILED, "no_scratch")


def test_many_threads_of_one_process_run_many_runs_and_each_keeps_its_lease(rig: Rig) -> None:
    made = [rig.order(entries=["a"]).runs[0] for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(rig.execute, [*made, *made]))
    assert sum(outcome is not None for outcome in outcomes) == 16
    with rig.ledger.read() as connection:
        assert {run.state for run in runs.listing(connection)} == {RunState.SUCCEEDED}
        assert {run.attempts for run in runs.listing(connection)} == {1}


def test_two_runs_that_find_the_same_at_once_make_one_finding(rig: Rig, script: Script) -> None:
    both = threading.Barrier(2)

    def together(ctx: Context, entry: Entry) -> Iterator[Answer]:
        both.wait(PATIENCE_SECONDS)
        ctx.history.record("a", "serial", ctx.run_id)
        yield from found(ctx, entry)

    script["a"] = together
    made = [rig.order(entries=["a"]).runs[0] for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(rig.execute, made))
    assert [outcome and outcome.verdict for outcome in outcomes] == [Verdict.FINDINGS] * 2
    [finding] = rig.findings()
    assert finding.state is FindingState.OPEN


def test_a_subject_may_be_untold_beside_one_that_is_well(rig: Rig, script: Script) -> None:
    script["a"] = lambda _, __: [
        Ok(entry="a", subject="1"),
        CannotTell(entry="a", subject="2", reason="connect_timeout", stage="connect", detail=""),
    ]
    assert only(rig.look(entries=["a"])).verdict is Verdict.CANNOT_TELL


def test_progress_that_is_no_number_fails_the_job_and_not_its_heartbeat(rig: Rig, script: Script) -> None:
    def lost_count(ctx: Context, entry: Entry) -> Iterator[Answer]:
        ctx.progress(float("nan"), 1, "how many?")  # type: ignore[arg-type] # a stranger's job
        yield Ok(entry=entry.name, subject=entry.name)

    script["a"] = lost_count
    [outcome] = rig.look(entries=["a"])
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.FAILED, "job_error")


def test_a_target_of_a_request_is_looked_at_like_any_entry(rig: Rig, script: Script) -> None:
    script["once"] = found
    outcome = only(rig.look(targets=[{"name": "once"}, {"name": "twice"}]))
    assert (outcome.state, outcome.verdict, outcome.summary) == (RunState.SUCCEEDED, Verdict.FINDINGS, "1 ok, 1 finding")
