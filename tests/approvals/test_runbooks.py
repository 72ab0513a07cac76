"""Every reason code that a repair can end with has its runbook."""

import ast
from collections.abc import Iterator
from pathlib import Path

import worker.flow
from tasks.model import VerificationVerdict
from worker.flow.runbooks import RUNBOOKS
from worker.records import ApprovalState

FLOW = Path(worker.flow.__file__).parent
CALLS = {"needs_attention": 1, "_unknown": 2}
"""Functions that take a reason code, and at which place."""


def codes(tree: ast.AST) -> Iterator[str]:
    """Literal reason codes in calls: `Refusal(code=…)`, `Ending(reason=…)`, `needs_attention(run, …)`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        place = CALLS.get(name)
        given = [word.value for word in node.keywords if (name, word.arg) in {("Refusal", "code"), ("Ending", "reason")}]
        given += node.args[place : place + 1] if place is not None else []
        yield from (str(one.value) for one in given if isinstance(one, ast.Constant) and one.value is not None)


def test_every_reason_code_has_a_runbook() -> None:
    sources = [*(FLOW / "carrying").glob("*.py"), FLOW / "lost.py"]
    found = {code for source in sources for code in codes(ast.parse(source.read_text()))}
    assert {"outcome_unknown", "world_moved", "killed"} <= found, "the codes are not found any more"
    assert found - {"rolled_back"} - RUNBOOKS.keys() == set()


def test_whatever_a_verification_says_but_verified_has_a_runbook() -> None:
    assert {str(verdict) for verdict in VerificationVerdict} - {"verified"} <= RUNBOOKS.keys()


def test_every_end_of_a_request_but_a_repair_has_a_runbook() -> None:
    ends = {str(state) for state in ApprovalState if state.terminal}
    assert ends - {"carried_out"} <= RUNBOOKS.keys()
