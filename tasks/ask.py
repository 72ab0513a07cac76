"""A gate for work that somebody else does: its finding is a question that people decide on; nothing is executed here."""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tasks.context import Context, Entry
from tasks.job import Job, Params
from tasks.model import Answer, Finding, Plan, Reversibility, Severity, Simulation, Step

ACTION = "gate"
"""What a rule of policy.toml must allow for a question to be asked."""
GATE_ONLY = "Gate only: neither executed nor verified by Nightshift"
_REVERSIBILITY = {"low": Reversibility.R1, "medium": Reversibility.R2, "high": Reversibility.R3}


def _visible_line(text: str) -> str:
    # Emoji and some scripts join characters by U+200C and U+200D.
    unseen = [char for char in text if unicodedata.category(char) in _UNSEEN and char not in "\u200c\u200d"]
    if unseen or not text.strip():
        message = "must be one line that people can see: no line break, control or invisible character, and not only spaces"
        raise ValueError(message)
    return text


_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
Line = Annotated[str, AfterValidator(_visible_line)]
"""What two people read as the same is the same: nothing in it that hides, or turns the text around."""


class Question(Entry):
    """What is asked, by whom, and for which payload the answer counts."""

    subject: Line = Field(min_length=1, max_length=160, description="What is to be done, in one line.")
    body: str = Field("", max_length=8000, description="All that people need to know to decide; plain text.")
    risk: Literal["low", "medium", "high"] = Field("medium", description="As the asker sees it; low counts as medium.")
    payload_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of what will be done after a yes, in hex.")
    use_seconds: int = Field(3600, ge=1, description="So long after the yes it may be consumed.")
    asker: str = Field(description="Whose question it is: only they consume the answer.")

    @property
    def cause(self) -> str:
        """At most one question of an asker about a subject waits at a time."""
        return f"asked_by_{self.asker}"


def check(ctx: Context, params: Params) -> Iterator[Answer]:  # noqa: ARG001 - the shape of a check
    """A question is a finding until it is answered."""
    for question in ctx.entries(Question):
        yield Finding(
            entry=question.name,
            subject=question.subject,
            key="question",
            reason="question",
            cause=question.cause,
            severity=Severity.INFO,
            title=f"Question: {question.subject}",
            detail=f"{GATE_ONLY}.",
            evidence={"payload_sha256": question.payload_sha256, "risk": question.risk},
        )


def plan_of(question: Question) -> Plan:
    """One step that pins the payload, and the words that people decide on."""
    step = Step(
        id="gate",
        action=ACTION,
        target=question.subject,
        arguments={"payload_sha256": question.payload_sha256, "body": question.body, "use_seconds": question.use_seconds},
        reversibility=_REVERSIBILITY[question.risk],
    )
    return Plan(job=JOB.name, scope=question.environment, account=question.asker, finding_keys=("question",), steps=(step,))


class Gate:
    """Plans, and never applies: whoever asked does the work."""

    def plan(self, ctx: Context, params: Params, findings: Sequence[Finding]) -> tuple[Plan, Simulation]:  # noqa: ARG002
        """See `tasks.job.Proposer`."""
        (question,) = ctx.entries(Question)
        held = timedelta(seconds=question.use_seconds)
        text = (
            f"{GATE_ONLY}.\nA yes may be used once, within {held}, for the payload {question.payload_sha256}.\n\n{question.body}"
        )
        irreversible = (f"{GATE_ONLY}: what can be undone of it, only the asker knows",)
        return plan_of(question), Simulation(summary=question.subject, text=text, irreversible=irreversible)


JOB: Job[Params] = Job(
    name="ask",
    summary="Asks people for a yes to work that somebody else does, such as an n8n workflow.",
    check=check,
    params=Params,
    entry=Question,
    entries_per_run=1,
    time_limit=timedelta(minutes=1),
    ad_hoc=True,
    gate=True,
    remedy=Gate(),
)
