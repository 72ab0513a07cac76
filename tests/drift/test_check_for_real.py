"""The whole job over the real CLI and a laboratory: one stack, night after night."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.drift import JOB, DriftEntry, DriftParams
from tasks.model import Answer, CannotTell, Finding, Ok, Plan, Simulation
from tasks.testing import FakeArtifacts, FakeClock, FakeContext, FakeHistory, read_only, run_check
from tests.drift.providing import looker, servers
from tests.lab.lab import Lab, LabStack

SIX = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}


@dataclass
class RealNights:
    lab: Lab
    stack: LabStack
    more: dict[str, object] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)
    history: FakeHistory = field(init=False)
    ctx: FakeContext = field(init=False)
    nights: int = 0

    def __post_init__(self) -> None:
        self.history = FakeHistory(self.clock)

    def night(self) -> list[Answer]:
        value = self.lab.value(self.stack)
        assert value.source is not None
        entry = DriftEntry.model_validate({
            "name": "lab", "backend": value.backend.url, "credentials": dict(value.backend.credentials), "project": value.project,
            "stack": value.name, "path": str(value.source.path), "passphrase": value.passphrase,
            "variables": dict(value.environment), **self.more,
        })  # fmt: skip
        self.nights += 1
        self.ctx = FakeContext(
            run_id=f"{self.nights}-{self.lab.folder}", job="drift", selected=[entry], estate=[entry], clock=self.clock,
            history=self.history, artifacts=self.artifacts, stacks=looker(self.lab).stacks,
        )  # fmt: skip
        before = (self.lab.cloud.counts().writes, self.lab.state_hash(self.stack))
        answers = run_check(JOB, self.ctx)
        assert (self.lab.cloud.counts().writes, self.lab.state_hash(self.stack)) == before
        self.history.commit()
        self.clock.advance(timedelta(days=1))
        return answers

    def proposed(self, answers: list[Answer]) -> tuple[Plan, Simulation] | None:
        assert JOB.remedy is not None
        with read_only(self.ctx):
            return JOB.remedy.plan(self.ctx, DriftParams(), [one for one in answers if isinstance(one, Finding)])


def told(answers: list[Answer]) -> list[str]:
    return [one.title if isinstance(one, Finding) else f"{type(one).__name__} {one.subject} {one.reason}" for one in answers]


@pytest.mark.slow
def test_a_stack_drifts_is_told_and_proposed_to_be_put_back_and_is_clean_again(lab: Lab) -> None:
    nights = RealNights(lab, lab.stack(servers(**SIX)))
    [clean] = nights.night()
    assert isinstance(clean, Ok), told([clean])
    lab.cloud.change(nights.stack.id("a"), size=9)
    answers = nights.night()
    assert told(answers) == ["lab/dev: a (Server): size 1 → 9"]
    made = nights.proposed(answers)
    assert made is not None
    [step] = made[0].steps
    assert (step.action, step.before, step.after) == ("revert", {"size": 9}, {"size": 1})
    assert nights.artifacts.secret == {"lab.plan.json"}
    lab.cloud.change(nights.stack.id("a"), size=1)
    assert told(nights.night()) == ["Ok lab/dev ok"]


@pytest.mark.slow
def test_what_is_not_deployed_stays_out_of_the_repair_of_another_resource(lab: Lab) -> None:
    stack = lab.stack(servers(**SIX))
    lab.write(stack, servers(**{**SIX, "b": 20}))
    lab.cloud.remove(stack.id("a"))
    nights = RealNights(lab, stack)
    answers = nights.night()
    assert told(answers) == ["lab/dev: a (Server): gone", "lab/dev: the program has what is not deployed: b (size 2 → 20)"]
    drift = [one for one in answers if isinstance(one, Finding) and one.reason == "drift"]
    made = nights.proposed(list(drift))
    assert made is not None
    assert [(step.target, step.before, step.after) for step in made[0].steps] == [
        (stack.urn("a"), {"": "gone"}, {"": "there"}),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_drift_that_shall_be_accepted_shows_the_change_of_the_program(lab: Lab) -> None:
    nights = RealNights(lab, lab.stack(servers(**SIX)), {"proposes": "accept"})
    lab.cloud.change(nights.stack.id("c"), size=33)
    made = nights.proposed(nights.night())
    assert made is not None
    assert '+    "size": 33,' in made[1].text
    assert Path(nights.stack.folder / "Pulumi.yaml").read_text().count("33") == 0


@pytest.mark.slow
def test_one_failing_read_hides_no_other_drift_and_is_not_green(lab: Lab) -> None:
    nights = RealNights(lab, lab.stack(servers(**SIX)))
    lab.cloud.change(nights.stack.id("a"), size=9)
    lab.cloud.turn(failing=[nights.stack.id("b")])
    answers = nights.night()
    assert "lab/dev: a (Server): size 1 → 9" in told(answers)
    assert {one.subject for one in answers if isinstance(one, CannotTell)} >= {"lab/dev: b"}
    assert not any(isinstance(one, Ok) for one in answers)


@pytest.mark.slow
def test_an_account_that_holds_nothing_trips_the_breaker(lab: Lab) -> None:
    nights = RealNights(lab, lab.stack(servers(**SIX)))
    lab.cloud.turn(wrong_account=True)
    answers = nights.night()
    assert {type(one) for one in answers} == {CannotTell}
    assert {one.reason for one in answers} == {"mass_delete"}
