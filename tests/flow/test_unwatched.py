"""Findings about what nobody watches any more."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.flow.conftest import Script, found
from tests.support.shift import ALL_STATES, Rig, sites
from worker.flow.unwatched import retire
from worker.records import FindingState

A_DAY_LATER = timedelta(days=1, hours=1)


@pytest.fixture
def finding_of_a(rig: Rig, script: Script) -> None:
    """The entry `a` has an open finding, seen just now."""
    script["a"] = found
    rig.look(entries=["a"])
    # Looks are timed by the database's clock.
    rig.clock.now = datetime.now(UTC)


@pytest.mark.usefixtures("finding_of_a")
def test_an_entry_taken_out_of_the_estate_leaves_no_open_finding_after_a_day(rig: Rig) -> None:
    rig.watch("sites", sites("b", "c"))
    assert retire(rig.shift) == 0
    rig.clock.advance(A_DAY_LATER)
    assert retire(rig.shift) == 1
    [row] = rig.findings(states=ALL_STATES)
    assert (row.state, row.state_by) == (FindingState.RESOLVED, "sweeper")
    assert "no longer watched" in (row.state_reason or "")


@pytest.mark.usefixtures("finding_of_a")
def test_a_finding_of_a_watched_entry_stays_open_however_old(rig: Rig) -> None:
    rig.clock.advance(timedelta(days=400))
    assert retire(rig.shift) == 0
    assert rig.findings()[0].state is FindingState.OPEN


@pytest.mark.usefixtures("finding_of_a")
def test_a_finding_of_a_job_that_this_process_does_not_know_stays_open(rig: Rig) -> None:
    rig.watch("sites", {})
    del rig.shift.jobs["sites"]  # type: ignore[attr-defined]
    rig.clock.advance(A_DAY_LATER)
    assert retire(rig.shift) == 0


def test_a_target_that_was_looked_at_once_leaves_no_open_finding_after_a_day(rig: Rig, script: Script) -> None:
    script["once"] = found
    rig.look(targets=[{"name": "once"}])
    rig.clock.now = datetime.now(UTC) + A_DAY_LATER
    assert retire(rig.shift) == 1
