"""What failed in n8n stays a finding for a day, one per workflow, and tells no address."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tasks.model import Answer, Finding, Ok
from tasks.testing import FakeContext
from tasks.workflow_failures import JOB, WorkflowFailuresParams


@pytest.fixture
def look() -> "Look":
    return Look()


class Look:
    """One run after another, with the same memory."""

    def __init__(self) -> None:
        self.ctx = FakeContext(job=JOB.name)

    def __call__(self, **told: str) -> Sequence[Answer]:
        answers = list(JOB.check(self.ctx, WorkflowFailuresParams.model_validate(told)))
        self.ctx.history.commit()
        return answers


def titles(answers: Sequence[Answer]) -> list[str]:
    return [answer.title for answer in answers if isinstance(answer, Finding)]


def test_nothing_failed_is_ok(look: Look) -> None:
    assert [type(answer) for answer in look()] == [Ok]


def test_each_workflow_is_one_finding_however_often_it_failed(look: Look) -> None:
    look(workflow="Hello", execution="1", node="Look", message="no answer")
    look(workflow="Other", execution="2")
    answers = look(workflow="Hello", execution="3", node="Ask", message="still none")
    assert titles(answers) == ["n8n: Hello failed", "n8n: Other failed"]
    assert isinstance(answers[0], Finding)
    assert answers[0].detail == "At node Ask: still none. Look at execution 3 in n8n."


def test_a_message_tells_no_address(look: Look) -> None:
    (answer,) = look(workflow="Hello", message="POST http://n8n/webhook-waiting/7?signature=abc said 404")
    assert isinstance(answer, Finding)
    assert "signature" not in str(answer)
    assert "POST (an address) said 404" in answer.detail


def test_after_a_day_without_another_failure_it_is_over(look: Look) -> None:
    look(workflow="Hello")
    look.ctx.clock.advance(timedelta(hours=23, minutes=59))
    assert titles(look()) == ["n8n: Hello failed"]
    look.ctx.clock.advance(timedelta(minutes=1))
    assert [type(answer) for answer in look()] == [Ok]
