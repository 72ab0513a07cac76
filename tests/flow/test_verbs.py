"""What people and the sweeper may do, and each refusal."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Float, bindparam, func, insert, select, text, update

from tests.flow.conftest import Script, found, ok
from tests.support.shift import ANA, Rig
from worker.flow import verbs
from worker.flow.api_tokens import create_token, revoke_token
from worker.flow.errors import Invalid, NotFound, Refused
from worker.flow.lost import take_over
from worker.flow.shift import Pace
from worker.flow.signing_in import make_login_link, spend_login_link
from worker.ledger import audit_rows, batches, findings, leases, outbox, people, revisions, schedules
from worker.ledger.tables import AUDIT, EFFECTS, RUNS
from worker.ledger.types import database_now
from worker.records import FindingRow, FindingState, Run, RunState, Topic
from worker.sweeper import Sweeper
from worker.tokens import Grant, hash_token

DAY = timedelta(days=1)


@pytest.fixture
def row(rig: Rig, script: Script) -> FindingRow:
    """One open finding."""
    script["a"] = found
    rig.look(entries=["a"])
    return rig.findings()[0]


@pytest.fixture
def stuck(rig: Rig) -> Run:
    """A run whose worker died between intent and outcome of a step, on a host that cannot be asked."""
    run = lost_run(rig)
    with rig.ledger.transaction() as tx:
        now = rig.clock()
        tx.execute(
            insert(EFFECTS).values(
                run_id=run.id,
                step="renew",
                key=f"{run.id}:renew",
                fence=1,
                intent_at=now,
                process={"host": "elsewhere", "pid": 7},
                receipt={},
            )
        )
    assert take_over(rig.shift, run) is RunState.NEEDS_ATTENTION
    return rig.run(run.id)


def lost_run(rig: Rig) -> Run:
    run = rig.order(entries=["a"]).runs[0]
    with rig.ledger.transaction() as tx:
        leases.claim(tx, run.id, job="sites", owner="dead", worker="w9", lease_seconds=30)
        ago = database_now(bindparam("ago", -1.0, type_=Float))
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(lease_until=ago))
        [lost] = leases.expired(tx)
    return lost


def audited(rig: Rig, object_id: str) -> list[str]:
    with rig.ledger.read() as connection:
        return [one.entry.verb for one in audit_rows.recent(connection, object_id=object_id)]


def messages(rig: Rig, kind: str) -> list[str]:
    with rig.ledger.read() as connection:
        return [one.subject for one in outbox.due(connection, Topic.MESSAGE, rig.clock(), 99) if one.payload["kind"] == kind]


def test_a_run_that_died_between_intent_and_outcome_needs_a_person_who_is_called(rig: Rig, stuck: Run) -> None:
    assert (stuck.state, stuck.reason) == (RunState.NEEDS_ATTENTION, "outcome_unknown")
    assert "process 7 on elsewhere, which was doing renew, cannot be asked from here: look, then" in stuck.summary
    assert messages(rig, "run_needs_attention") == [stuck.id]
    with rig.ledger.read() as connection:
        batch = batches.get(connection, stuck.batch_id)
    assert batch is not None
    assert batch.ended_at is not None


@pytest.mark.parametrize(("said", "state"), [("applied", RunState.SUCCEEDED), ("not_applied", RunState.FAILED)])
def test_a_person_says_what_became_of_it(rig: Rig, stuck: Run, said: str, state: RunState) -> None:
    resolved = verbs.resolve(rig.shift, stuck.id, ANA, said, "looked at the console of the vendor", process_ended=True)
    assert (resolved.state, resolved.reason) == (state, f"resolved_{said}")
    assert resolved.summary == "person:ana: looked at the console of the vendor"
    assert audited(rig, stuck.id)[0] == "run.resolved"


def test_retry_puts_the_same_run_back_under_the_next_fence_and_its_batch_ends_again(rig: Rig, stuck: Run) -> None:
    with rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == stuck.id).values(cancel_requested_by="person:bob"))
    queued = verbs.resolve(rig.shift, stuck.id, ANA, "retry", "nothing happened", process_ended=True)
    assert (queued.state, queued.cancel_requested_by) == (RunState.QUEUED, None)
    with rig.ledger.read() as connection:
        assert stuck.id in [row.subject for row in outbox.due(connection, Topic.BELL, rig.clock(), 9)]
    outcome = rig.execute(queued)
    assert outcome is not None
    assert (outcome.state, rig.run(stuck.id).fence) == (RunState.SUCCEEDED, 2)
    with rig.ledger.read() as connection:
        batch = batches.get(connection, stuck.batch_id)
    assert batch is not None
    assert batch.remaining == 0


def test_resolving_refuses_what_it_cannot_do(rig: Rig, stuck: Run) -> None:
    with pytest.raises(Invalid, match="accepted are applied, not_applied, retry"):
        verbs.resolve(rig.shift, stuck.id, ANA, "maybe", "x")
    with pytest.raises(Invalid, match="`reason` is empty"):
        verbs.resolve(rig.shift, stuck.id, ANA, "applied", " ")
    with pytest.raises(NotFound):
        verbs.resolve(rig.shift, "nowhere", ANA, "applied", "x")
    verbs.resolve(rig.shift, stuck.id, ANA, "applied", "x")
    with pytest.raises(Refused, match="only a run that needs attention can be resolved"):
        verbs.resolve(rig.shift, stuck.id, ANA, "applied", "x")


def test_cancelling_refuses_what_has_ended_and_what_is_not_there(rig: Rig) -> None:
    run = rig.order().runs[0]
    rig.execute(run)
    with pytest.raises(Refused, match="has ended already: succeeded"):
        verbs.cancel(rig.shift, run.id, ANA)
    with pytest.raises(NotFound):
        verbs.cancel(rig.shift, "nowhere", ANA)
    with pytest.raises(NotFound):
        verbs.cancel_batch(rig.shift, "nowhere", ANA)


def test_asking_twice_for_a_cancel_is_one_request(rig: Rig) -> None:
    run = lost_run(rig)
    for _ in range(2):
        assert verbs.cancel(rig.shift, run.id, ANA).cancel_requested_by == "person:ana"
    assert audited(rig, run.id) == ["run.cancel_requested"]


def test_cancelling_a_batch_cancels_what_has_not_ended(rig: Rig) -> None:
    made = rig.order("singles")
    rig.execute(made.runs[0])
    assert verbs.cancel_batch(rig.shift, made.batch.id, ANA) == 1
    assert [rig.run(run.id).state for run in made.runs] == [RunState.SUCCEEDED, RunState.CANCELLED]


def test_acknowledging_muting_and_opening_again_are_kept_with_who_and_why(rig: Rig, row: FindingRow) -> None:
    until = rig.clock() + DAY
    assert verbs.acknowledge(rig.shift, row.id, ANA, "on it").state is FindingState.ACKNOWLEDGED
    muted = verbs.mute(rig.shift, row.id, ANA, "known", until)
    assert (muted.state, muted.state_by, muted.state_reason, muted.muted_until) == (
        FindingState.MUTED, "person:ana", "known", until,
    )  # fmt: skip
    opened = verbs.unmute(rig.shift, row.id, ANA)
    assert (opened.state, opened.muted_until) == (FindingState.OPEN, None)
    assert audited(rig, row.id) == ["finding.open", "finding.muted", "finding.acknowledged"]


def test_findings_refuse_what_their_state_does_not_allow(rig: Rig, row: FindingRow, script: Script) -> None:
    with pytest.raises(Invalid, match="a mute ends in the future"):
        verbs.mute(rig.shift, row.id, ANA, "known", rig.clock())
    with pytest.raises(Invalid, match="`reason` is empty"):
        verbs.mute(rig.shift, row.id, ANA, "", rig.clock() + DAY)
    with pytest.raises(NotFound):
        verbs.acknowledge(rig.shift, "nowhere", ANA)
    with pytest.raises(Refused, match="is open: it cannot become open"):
        verbs.unmute(rig.shift, row.id, ANA)
    script["a"] = ok
    rig.look(entries=["a"])
    with pytest.raises(Refused, match="is resolved: it cannot become acknowledged"):
        verbs.acknowledge(rig.shift, row.id, ANA)


def test_a_mute_that_is_over_opens_the_finding_and_makes_it_news_to_those_who_knew(rig: Rig, row: FindingRow) -> None:
    with rig.ledger.transaction() as tx:
        findings.told(tx, row.id, "mail", "opened", rig.clock())
    verbs.mute(rig.shift, row.id, ANA, "known", rig.clock() + DAY)
    assert verbs.reopen_mutes(rig.shift) == 0
    rig.clock.advance(DAY)
    assert verbs.reopen_mutes(rig.shift) == 1
    assert rig.findings()[0].state is FindingState.OPEN
    assert messages(rig, "finding_opened")[1:] == [row.id]
    with rig.ledger.read() as connection:
        assert findings.tellings(connection, row.id, "opened") == {}
    assert verbs.reopen_mutes(rig.shift) == 0


def test_a_mute_that_was_made_longer_meanwhile_stands(rig: Rig, row: FindingRow) -> None:
    verbs.mute(rig.shift, row.id, ANA, "known", rig.clock() + 2 * DAY)
    with rig.ledger.transaction() as tx:
        assert not findings.end_mute(tx, row.id, by="mute", reason="over", now=rig.clock() + DAY)
    assert rig.findings()[0].state is FindingState.MUTED


def test_a_schedule_is_paused_and_resumed_once_and_known_by_name(rig: Rig) -> None:
    with rig.ledger.transaction() as tx:
        schedules.sync(tx, ["nightly"], rig.clock())
    verbs.pause(rig.shift, "nightly", ANA, "holidays")
    rig.clock.advance(DAY)
    with pytest.raises(Refused, match="is paused already"):
        verbs.pause(rig.shift, "nightly", ANA, "again")
    with pytest.raises(Invalid, match="`reason` is empty"):
        verbs.pause(rig.shift, "nightly", ANA, " ")
    verbs.resume(rig.shift, "nightly", ANA)
    with rig.ledger.read() as connection:
        now = schedules.get(connection, "nightly")
    assert now is not None
    assert (now.paused_by, now.cursor_at) == (None, rig.clock())
    with pytest.raises(Refused, match="is not paused"):
        verbs.resume(rig.shift, "nightly", ANA)
    with pytest.raises(NotFound, match="schedules are nightly"):
        verbs.resume(rig.shift, "nigthly", ANA)


def test_the_brakes_are_set_with_a_reason_and_lifted_by_a_thaw(rig: Rig) -> None:
    def state() -> tuple[str | None, str | None, bool]:
        with rig.ledger.read() as connection:
            found = revisions.state(connection)
        return found.frozen_by, found.frozen_reason, found.killed

    verbs.freeze(rig.shift, ANA, "release week")
    assert state() == ("person:ana", "release week", False)
    verbs.kill(rig.shift, ANA, "wrong target")
    assert state() == ("person:ana", "wrong target", True)
    verbs.thaw(rig.shift, ANA, "over")
    assert state() == (None, None, False)
    assert audited(rig, "ledger") == ["ledger.thawed", "ledger.killed", "ledger.frozen"]
    for brake in (verbs.freeze, verbs.kill, verbs.thaw):
        with pytest.raises(Invalid, match="`reason` is empty"):
            brake(rig.shift, ANA, "")


def test_the_sweeper_acts_only_on_the_second_look_a_grace_later(rig: Rig) -> None:
    rig.shift = replace(rig.shift, pace=Pace(grace=timedelta(0)))
    patient = Sweeper(replace(rig.shift, pace=Pace(grace=timedelta(hours=1))))
    run = lost_run(rig)
    patient.step()
    patient.step()
    assert rig.run(run.id).state is RunState.RUNNING
    Sweeper(rig.shift).step()
    assert rig.run(run.id).state is RunState.QUEUED
    assert audited(rig, run.id) == ["run.requeued"]


def test_a_lost_run_that_somebody_wanted_cancelled_is_cancelled_by_its_next_attempt(rig: Rig) -> None:
    run = lost_run(rig)
    verbs.cancel(rig.shift, run.id, ANA)
    assert take_over(rig.shift, rig.run(run.id)) is RunState.QUEUED
    outcome = rig.execute(run)
    assert outcome is not None
    assert outcome.state is RunState.CANCELLED


def test_every_verb_that_refuses_leaves_no_audit_row(rig: Rig, row: FindingRow) -> None:
    def entries() -> int:
        with rig.ledger.read() as connection:
            return int(connection.execute(select(func.count()).select_from(AUDIT)).scalar_one())

    before = entries()
    refused: list[Callable[[], object]] = [
        lambda: verbs.unmute(rig.shift, row.id, ANA),
        lambda: verbs.cancel(rig.shift, row.run_id, ANA),
        lambda: verbs.resolve(rig.shift, row.run_id, ANA, "applied", "x"),
        lambda: revoke_token(rig.shift, "nowhere", ANA),
        lambda: spend_login_link(rig.shift, "nowhere"),
    ]
    for verb in refused:
        with pytest.raises((Refused, NotFound)):
            verb()
    assert entries() == before


def test_a_token_is_kept_as_its_hash_joins_a_family_and_is_revoked_once(rig: Rig) -> None:
    grants = [Grant(verb="run", jobs=("*",), environments=("*",))]
    first = create_token(rig.shift, "n8n", grants, ANA, lifetime=DAY)
    second = create_token(rig.shift, "n8n", grants, ANA, lifetime=DAY, replaces=first.row.id)
    assert second.row.family == first.row.family
    with rig.ledger.read() as connection:
        assert people.token_by_hash(connection, hash_token(first.text)) == first.row
    revoke_token(rig.shift, first.row.id, ANA)
    with pytest.raises(Refused, match="was revoked before"):
        revoke_token(rig.shift, first.row.id, ANA)
    with pytest.raises(Invalid, match="a token needs a name"):
        create_token(rig.shift, " ", grants, ANA, lifetime=DAY)
    with pytest.raises(Invalid, match="without any grant"):
        create_token(rig.shift, "x", [], ANA, lifetime=DAY)
    with pytest.raises(NotFound):
        create_token(rig.shift, "x", grants, ANA, lifetime=DAY, replaces="nowhere")


def test_a_sign_in_link_is_spent_once_and_in_time(rig: Rig) -> None:
    token = make_login_link(rig.shift, "ana", ANA)
    assert spend_login_link(rig.shift, token) == "ana"
    late = make_login_link(rig.shift, "ana", ANA)
    rig.clock.advance(timedelta(minutes=30))
    for spent in (token, late, "never made"):
        with pytest.raises(Refused, match="was used before, has expired or never existed"):
            spend_login_link(rig.shift, spent)


def test_a_cancel_that_meets_a_run_being_put_back_is_not_lost(rig: Rig) -> None:
    [run] = rig.order(entries=["a"]).runs
    with rig.ledger.transaction() as tx:
        claimed = leases.claim(tx, run.id, job="sites", owner="draining", worker="w9", lease_seconds=30)
    assert claimed is not None
    with ThreadPoolExecutor(1) as pool:
        with rig.ledger.transaction() as tx:
            assert leases.release(tx, claimed)
            asked = pool.submit(verbs.cancel, rig.shift, run.id, ANA)
            _until_somebody_waits(rig)
        assert asked.result().state is RunState.CANCELLED


def _until_somebody_waits(rig: Rig) -> None:
    """On SQLite nobody gets as far as a row that somebody else is writing."""
    while rig.ledger.dialect == "postgresql":
        with rig.ledger.read() as connection:
            if connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                return
        time.sleep(0.01)
