"""A ledger that goes away in the middle of a step: what became of the step is not lost, and nobody is thought to do it still."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, update
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from tasks.context import ApplyContext
from tasks.model import Receipt, Step
from tests.support.effects import Repair, open_repair
from tests.support.mending import SLOTS, Mending, lines_of
from worker.flow.lost import take_over
from worker.ledger import Ledger
from worker.ledger.tables import RUNS
from worker.records import EffectOutcome, RunState, Verdict

AWAY = OperationalError("UPDATE", {}, ConnectionError("server closed the connection"))
BROKEN = DatabaseError("UPDATE", {}, ConnectionError("malformed"))


class Flickering(Ledger):
    """Refuses transactions of one thread as it is told to; the others', such as the heartbeat's, go through."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.answers: list[DBAPIError | None] = []
        self.of = 0

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if self.of == threading.get_ident() and self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer
        with super().transaction() as tx:
            yield tx


@dataclass
class Unlucky(Mending):
    """As its first step begins, the ledger is told what to answer from then on."""

    ledger: Flickering
    answers: list[DBAPIError | None] = field(default_factory=list)

    def apply(self, ctx: ApplyContext, step: Step) -> Receipt:
        self.ledger.of, self.ledger.answers, self.answers = threading.get_ident(), self.answers, []
        return super().apply(ctx, step)


@pytest.fixture
def repair(ledger_url: str, tmp_path: Path) -> Iterator[Repair]:
    with open_repair(ledger_url, tmp_path) as opened, closing(Flickering(ledger_url)) as ledger:
        pace = replace(opened.rig.shift.pace, patience=timedelta(0))
        jobs = {"slots": replace(SLOTS, remedy=Unlucky(ledger))}
        opened.rig.shift = replace(opened.rig.shift, ledger=ledger, pace=pace, jobs=jobs)
        # The probe knows nothing: what is lost stays lost.
        opened.entry(by_command=True, probes=False)
        yield opened


def answering(repair: Repair, *answers: DBAPIError | None) -> None:
    """What the ledger says to: the program's keeper, this worker again, the outcome, and what comes after."""
    remedy = repair.rig.shift.jobs["slots"].remedy
    assert isinstance(remedy, Unlucky)
    remedy.answers = list(answers)


def test_a_ledger_that_is_away_as_the_program_ends_hides_nothing_from_the_job(repair: Repair) -> None:
    answering(repair, None, AWAY)
    run, outcome = repair.mend()
    assert (outcome.verdict, repair.outcomes(run)) == (Verdict.VERIFIED, {"write-a": EffectOutcome.APPLIED})


def test_an_outcome_waits_for_the_ledger_as_long_as_it_takes(repair: Repair) -> None:
    answering(repair, None, None, AWAY, AWAY, AWAY)
    run, outcome = repair.mend()
    assert (outcome.verdict, repair.outcomes(run)) == (Verdict.VERIFIED, {"write-a": EffectOutcome.APPLIED})


def test_a_program_that_the_ledger_could_not_hear_of_was_never_started_and_is_tried_again(repair: Repair) -> None:
    answering(repair, AWAY)
    run = repair.approve()
    assert repair.carry(run) is None
    assert (repair.rig.run(run.id).state, repair.outcomes(run)) == (RunState.QUEUED, {"write-a": EffectOutcome.DID_NOT})
    assert lines_of(str(repair.folder), "a") == []
    outcome = repair.carry(run)
    assert outcome is not None
    assert outcome.verdict is Verdict.VERIFIED
    assert len(lines_of(str(repair.folder), "a")) == 1


def test_a_worker_that_lives_on_without_its_run_is_not_thought_to_do_its_step(repair: Repair) -> None:
    repair.entry(by_command=True)
    answering(repair, None, None, BROKEN)
    run = repair.approve()
    with pytest.raises(DatabaseError):
        repair.carry(run)
    assert [(effect.outcome, effect.process) for effect in repair.effects(run)] == [(None, {})]
    with repair.rig.ledger.transaction() as tx:
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(lease_until=datetime(2026, 1, 1, tzinfo=UTC)))
    assert take_over(repair.rig.shift, repair.rig.run(run.id)) is RunState.QUEUED
    outcome = repair.carry(run)
    assert outcome is not None
    assert (outcome.verdict, len(lines_of(str(repair.folder), "a"))) == (Verdict.VERIFIED, 1)
