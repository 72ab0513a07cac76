"""What a canvas that was taken over, or was built in a hurry, does with questions: none of it is more than a question."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.api.kit import CLI, problem
from tests.n8n.gatehouse import OTHER, Gatehouse, consume, question
from worker.flow import gates
from worker.flow.deciding import revoke
from worker.flow.expiring import expire_due, expire_unused
from worker.ledger import revisions
from worker.records import ApprovalState, Choice


@pytest.mark.parametrize(
    "subject",
    [
        "   ",
        "two\nlines",
        "two\u2028lines",
        "two\x85lines",
        "deploy \u202e3.2.1 pohs",
        "Deploy\u200b shop 1.2.3",
        "Deploy shop\x1b[2K\rNothing to see",
        "Deploy shop \U000e0041",
    ],
)
def test_a_subject_that_hides_something_is_refused(gatehouse_here: Gatehouse, subject: str) -> None:
    canvas = gatehouse_here.canvas()
    before = gatehouse_here.hall.picture()
    answer = canvas.post("/v1/asks", json=question(subject=subject))
    assert problem(answer) == (422, "invalid", "subject")
    assert "one line that people can see" in answer.json()["detail"]
    assert gatehouse_here.hall.picture() == before


@pytest.mark.parametrize("subject", ["Größe des Korbs ändern", "店を更新する", "Ship it 👩\u200d💻", "क्\u200dष"])
def test_a_subject_of_any_script_is_taken(gatehouse_here: Gatehouse, subject: str) -> None:
    house = gatehouse_here
    assert house.approval(house.ask(house.canvas(), subject=subject)).subject == subject


def test_a_loop_that_always_asks_the_same_with_another_payload_does_not_drown_people(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    first = house.ask(canvas, payload_sha256=f"{0:064x}", idempotency_key="first")
    for number in range(1, gates.MOST_AN_HOUR):
        house.ask(canvas, payload_sha256=f"{number:064x}")
    assert len(house.ward.pending()) == 1, "each took the place of the one before"
    refused = canvas.post("/v1/asks", json=question(payload_sha256=OTHER))
    assert problem(refused) == (409, "too_many_questions", None)
    assert "is a loop asking them?" in refused.json()["detail"]
    assert house.ask(canvas, payload_sha256=f"{0:064x}", idempotency_key="first")["ask"] == first["ask"]
    house.ask(house.canvas("other"))
    house.ward.rig.clock.advance(timedelta(hours=1, seconds=1))
    house.ask(canvas, payload_sha256=OTHER)


def test_a_yes_of_before_a_restore_is_not_used_again(gatehouse_here: Gatehouse) -> None:
    """It may have been used after the backup was taken."""
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    approval = house.approved(canvas)
    with house.ward.rig.ledger.transaction() as tx:
        revisions.set_state(tx, epoch=2)
    assert problem(consume(canvas, approval.id)) == (409, "before_a_restore", None)
    assert house.ward.approval(approval.id).state is ApprovalState.APPROVED


def test_a_replayed_and_a_late_consume_fail_and_stay_failed(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    used = house.approved(canvas)
    assert [consume(canvas, used.id).status_code for _ in range(3)] == [200, 409, 409]
    late = house.approved(canvas, subject="Later", use_by="30m")
    house.ward.rig.clock.advance(timedelta(minutes=30))
    assert problem(consume(canvas, late.id)) == (409, "too_late", None)
    expire_unused(house.ward.rig.shift)
    assert problem(consume(canvas, late.id)) == (409, "too_late", None)
    codes = [row.facts["code"] for row in house.ward.audit("gate.refused")][::-1]
    assert codes == ["consumed_before", "consumed_before", "too_late", "too_late"]


@pytest.mark.parametrize("how", ["denied", "expired", "superseded", "revoked"])
def test_what_is_no_yes_is_consumed_by_nobody(gatehouse_here: Gatehouse, how: str) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    asked = house.ask(canvas)
    end(house, canvas, how, asked)
    assert problem(consume(canvas, asked["approval_id"])) == (409, "not_approved", None)
    told = canvas.get(f"/v1/asks/{asked['ask']}").json()
    assert (told["answer"], told["state"]) == ("denied", how)


def end(house: Gatehouse, canvas: httpx.Client, how: str, asked: dict[str, Any]) -> None:
    match how:
        case "denied":
            house.ward.say(house.approval(asked), choice=Choice.DENY, reason="no")
        case "expired":
            house.ward.rig.clock.advance(timedelta(days=7))
            expire_due(house.ward.rig.shift)
        case "superseded":
            house.ask(canvas, payload_sha256=OTHER)
        case "revoked":
            revoke(house.ward.rig.shift, asked["approval_id"], CLI, "never mind")


def test_asking_to_take_a_repair_back_takes_nobody_the_decision(gatehouse_here: Gatehouse) -> None:
    """Who is named once does not decide alone on their own wish; naming everybody, one after the other, is no way out."""
    house = gatehouse_here
    house.ward.mend()
    (run,) = house.ward.effect_runs()
    names = ("ana", "bo", "cy")
    answers = [undo(house.canvas(f"hostile-{name}", behalf=name), run.id) for name in names]
    assert [answer.status_code for answer in answers] == [202] * len(names)
    (asked,) = house.ward.pending()
    assert "ana" in asked.requesters
    assert not {"bo", "cy"} & set(asked.requesters)
    assert house.ward.lines()[-1][0] == 1, "nothing was taken back"


def undo(canvas: httpx.Client, run_id: str) -> httpx.Response:
    return canvas.post(f"/v1/runs/{run_id}/undo", json={"reason": "I say so"})
