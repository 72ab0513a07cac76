"""Whoever waits for a repair at the command line is told what it waits for."""

import pytest
from sqlalchemy import insert, select

from tests.approvals.ward import Ward
from worker.cli.following import why_queued
from worker.flow import verbs
from worker.ledger.rows import new_id
from worker.ledger.tables import RUNS
from worker.policy import Freeze
from worker.records import Actor, ActorKind, Run, RunState

ANA = Actor(ActorKind.PERSON, "ana")
LONG = 60.0


@pytest.fixture
def queued(ward_here: Ward) -> Run:
    ward_here.say(ward_here.ask())
    (run,) = ward_here.effect_runs()
    return run


def test_a_kill_is_called_a_kill_and_a_freeze_a_freeze(ward_here: Ward, queued: Run) -> None:
    verbs.freeze(ward_here.rig.shift, ANA, "a storm")
    assert (why_queued(ward_here.rig.shift, queued, waited=LONG) or "").startswith("frozen by person:ana: a storm;")
    verbs.kill(ward_here.rig.shift, ANA, "a flood")
    assert (why_queued(ward_here.rig.shift, queued, waited=LONG) or "").startswith("killed by person:ana: a flood;")


def test_a_window_of_the_policy_is_named(ward_here: Ward, queued: Run) -> None:
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    always = Freeze.model_validate({"name": "always", "days": days, "timezone": "UTC"})
    policy = ward_here.rig.estate[-1].policy
    ward_here.change(policy=policy.model_copy(update={"freezes": (always,)}))
    assert (why_queued(ward_here.rig.shift, queued, waited=LONG) or "").startswith("freeze always of policy.toml holds")


def test_the_run_that_has_the_subject_in_hand_is_named(ward_here: Ward, queued: Run) -> None:
    with ward_here.rig.ledger.transaction() as tx:
        row = tx.execute(select(RUNS).where(RUNS.c.id == queued.id)).mappings().one()
        other = new_id()
        state = RunState.NEEDS_ATTENTION
        tx.execute(insert(RUNS).values({**row, "id": other, "state": state, "approval_id": None}))
    told = why_queued(ward_here.rig.shift, queued, waited=LONG) or ""
    assert told.startswith(f"waits for run {other}, which has {queued.subject} in hand")
    assert f"`nightshift resolve {other} --reason …`" in told


def test_no_worker_is_blamed_only_when_nothing_else_explains_it(ward_here: Ward, queued: Run) -> None:
    assert why_queued(ward_here.rig.shift, queued, waited=0) is None
    assert "no worker took it" in (why_queued(ward_here.rig.shift, queued, waited=LONG) or "")
