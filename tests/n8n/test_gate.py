"""A canvas asks, a person decides, and the yes is used once: by whoever asked, in time, for the payload that was approved."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from tests.api.kit import problem
from tests.n8n.gatehouse import OTHER, PAYLOAD, Gatehouse, consume, question
from worker.records import ApprovalState, Choice


def test_a_question_is_asked_agreed_to_and_its_yes_used_once(gatehouse: Gatehouse) -> None:
    canvas = gatehouse.canvas()
    asked = gatehouse.ask(canvas)
    assert (asked["state"], asked["answer"], asked["gate"]["payload_sha256"]) == ("pending", "waiting", PAYLOAD)
    approval = gatehouse.ward.say(gatehouse.approval(asked))
    assert (approval.state, approval.effect_run_id) == (ApprovalState.APPROVED, None)
    used = consume(canvas, approval.id)
    assert used.status_code == 200, used.text
    assert (used.json()["answer"], used.json()["approval"]["state"]) == ("approved", "carried_out")
    assert problem(consume(canvas, approval.id)) == (409, "consumed_before", None)
    assert gatehouse.ward.effect_runs() == []
