"""A night over one stack in memory: scripted looks, a history that goes on from night to night."""

from dataclasses import dataclass, field
from datetime import timedelta

from tasks.drift import JOB, DriftEntry, DriftParams
from tasks.errors import StackError
from tasks.model import Answer, CannotTell, Finding
from tasks.stacks import Look, Looked, State
from tasks.testing import FakeArtifacts, FakeClock, FakeContext, FakeHistory, FakeStacks, run_check
from tests.drift.made import NAME, look, state

D, U, R = Looked.D, Looked.U, Looked.R
PLACE = "lab/dev"


def entry(**more: object) -> DriftEntry:
    values: dict[str, object] = {
        "name": "lab", "backend": "file:///srv/pulumi", "project": "lab", "stack": "dev", "git_url": "https://git.example/lab.git",
        "git_ref": "a" * 40,
    }  # fmt: skip
    return DriftEntry.model_validate(values | more)


@dataclass
class Nights:
    """The same stack, night after night."""

    stacks: FakeStacks = field(default_factory=FakeStacks)
    clock: FakeClock = field(default_factory=FakeClock)
    entries: list[DriftEntry] = field(default_factory=lambda: [entry()])
    history: FakeHistory = field(init=False)
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)
    runs: int = 0
    ctx: FakeContext = field(init=False)

    def __post_init__(self) -> None:
        self.history = FakeHistory(self.clock)

    def sees(
        self,
        *,
        d: Look | StackError | list[Look | StackError] | None = None,
        u: Look | StackError | None = None,
        r: Look | StackError | None = None,
        of: State | None = None,
    ) -> "Nights":
        self.stacks.states[NAME] = of or state()
        self.stacks.looks[NAME, D] = d or look(D)
        self.stacks.looks[NAME, U] = u or look(U)
        self.stacks.looks[NAME, R] = r or look(R)
        return self

    def night(self, **params: object) -> list[Answer]:
        """One run; its facts are kept, and it is tomorrow."""
        self.runs += 1
        self.stacks.looked.clear()
        self.ctx = FakeContext(
            run_id=f"run-{self.runs}-{id(self)}", job="drift", selected=self.entries[:1], estate=self.entries, clock=self.clock,
            history=self.history, stacks=self.stacks, artifacts=self.artifacts,
        )  # fmt: skip
        answers = run_check(JOB, self.ctx, DriftParams.model_validate(params))
        self.history.commit()
        self.clock.advance(timedelta(days=1))
        return answers

    @property
    def looked(self) -> str:
        """What was looked at, in order: `DUR`."""
        return "".join(what.name for _, what in self.stacks.looked)


def findings(answers: list[Answer]) -> list[Finding]:
    return [one for one in answers if isinstance(one, Finding)]


def cannot_tell(answers: list[Answer]) -> dict[str, str]:
    return {one.subject: one.reason for one in answers if isinstance(one, CannotTell)}


def told(answers: list[Answer]) -> list[str]:
    return [f"{one.reason}: {one.title}" for one in findings(answers)]
