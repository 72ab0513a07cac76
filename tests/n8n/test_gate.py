"""A canvas asks, a person decides, and the yes is used once: by whoever asked, in time, for the payload that was approved."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.api.kit import CLI, problem
from tests.approvals.kit import decide_on, page_of, text_of
from tests.approvals.mailroom import Mailroom, routes, to_team
from tests.approvals.mailroom import text_of as mail_text
from tests.approvals.ward import PROD
from tests.n8n.gatehouse import OTHER, PAYLOAD, Gatehouse, consume, question
from tests.support.mail import mail_server
from worker.flow import gates
from worker.flow.api_tokens import create_token
from worker.flow.deciding import revoke
from worker.flow.errors import Forbidden
from worker.flow.expiring import expire_due, expire_unused
from worker.flow.verbs import freeze, thaw
from worker.ledger import people, runs
from worker.policy import Freeze
from worker.records import ActorKind, ApprovalState, Choice, FindingState, Trigger
from worker.sweeper import Sweeper
from worker.tokens import Grant, grants_of_role

OPEN = (FindingState.OPEN,)


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


def test_of_many_that_use_a_yes_at_once_one_wins(gatehouse: Gatehouse) -> None:
    canvas = gatehouse.canvas()
    approval = gatehouse.approved(canvas)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: consume(canvas, approval.id).status_code, range(24)))
    assert sorted(answers) == [200, *[409] * 23]
    assert len(gatehouse.ward.audit("gate.consumed")) == 1
    assert len(gatehouse.ward.audit("gate.refused")) == 23


def test_a_yes_counts_for_one_payload(gatehouse_here: Gatehouse) -> None:
    canvas = gatehouse_here.canvas()
    approval = gatehouse_here.approved(canvas)
    refused = consume(canvas, approval.id, OTHER)
    assert problem(refused) == (409, "payload_differs", "payload_sha256")
    assert PAYLOAD in refused.json()["detail"]
    (row,) = gatehouse_here.ward.audit("gate.refused")
    assert (row.actor, row.facts["code"], row.facts["given"]) == ("n8n:canvas", "payload_differs", OTHER)
    assert consume(canvas, approval.id).status_code == 200


def test_a_yes_is_over_after_its_time_and_then_expires(gatehouse_here: Gatehouse) -> None:
    canvas, clock = gatehouse_here.canvas(), gatehouse_here.ward.rig.clock
    approval = gatehouse_here.approved(canvas, use_by="30m")
    assert approval.expires_at == clock() + timedelta(minutes=30)
    clock.advance(timedelta(minutes=30))
    assert problem(consume(canvas, approval.id)) == (409, "too_late", None)
    Sweeper(gatehouse_here.ward.rig.shift).step()
    assert gatehouse_here.ward.approval(approval.id).state is ApprovalState.EXPIRED
    assert problem(consume(canvas, approval.id)) == (409, "too_late", None)
    assert [row.facts["code"] for row in gatehouse_here.ward.audit("gate.refused")] == ["too_late", "too_late"]


def test_a_yes_holds_for_an_hour_unless_asked_for_longer(gatehouse_here: Gatehouse) -> None:
    canvas, clock = gatehouse_here.canvas(), gatehouse_here.ward.rig.clock
    approval = gatehouse_here.approved(canvas)
    clock.advance(timedelta(minutes=59, seconds=59))
    assert consume(canvas, approval.id).status_code == 200


def test_only_the_family_that_asked_uses_the_yes(gatehouse_here: Gatehouse) -> None:
    approval = gatehouse_here.approved(gatehouse_here.canvas("asker"))
    other = gatehouse_here.canvas("other")
    assert problem(consume(other, approval.id)) == (403, "other_family", None)
    blind = gatehouse_here.canvas("blind", [Grant(verb="ask")])
    assert problem(consume(blind, approval.id)) == (404, "unknown_approval", None)
    (row,) = gatehouse_here.ward.audit("gate.refused")
    assert (row.actor, row.facts["code"]) == ("n8n:other", "other_family")


def test_a_rotated_token_is_of_the_same_family(gatehouse_here: Gatehouse) -> None:
    shift = gatehouse_here.ward.rig.shift
    approval = gatehouse_here.approved(gatehouse_here.canvas("old"))
    with shift.ledger.read() as connection:
        (old,) = [row for row in people.tokens(connection) if row.name == "old"]
    grants, lifetime = grants_of_role("n8n"), timedelta(days=1)
    fresh = create_token(shift, "new", grants, CLI, lifetime=lifetime, kind=ActorKind.N8N, replaces=old.id)
    assert consume(gatehouse_here.hall.client(fresh.text), approval.id).status_code == 200


def test_what_is_not_approved_is_not_consumed(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    waits = house.approval(house.ask(canvas))
    assert problem(consume(canvas, waits.id)) == (409, "not_approved", None)
    house.ward.say(waits, choice=Choice.DENY)
    assert problem(consume(canvas, waits.id)) == (409, "not_approved", None)
    revoked = house.approved(canvas, subject="Another")
    revoke(house.ward.rig.shift, revoked.id, CLI, "the release is bad")
    assert problem(consume(canvas, revoked.id)) == (409, "not_approved", None)
    asked = house.ward.ask()  # of a repair, which is no gate
    assert problem(consume(canvas, asked.id)) == (404, "unknown_gate", None)


def test_brakes_hold_a_yes_and_let_it_go_again(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    approval = house.approved(canvas)
    freeze(house.ward.rig.shift, CLI, "audit")
    assert problem(consume(canvas, approval.id)) == (409, "frozen", None)
    thaw(house.ward.rig.shift, CLI, "audit is over")
    estate = house.ward.rig.estate[-1]
    window = Freeze.model_validate({"name": "always", "environments": [PROD], "days": list(_DAYS)})
    house.ward.change(policy=estate.policy.model_copy(update={"freezes": (window,)}))
    assert problem(consume(canvas, approval.id)) == (409, "frozen", None)
    house.ward.change(policy=estate.policy, modes={PROD: "propose"})
    assert problem(consume(canvas, approval.id)) == (409, "not_in_execute", None)
    house.ward.change(modes={PROD: "execute"}, people=estate.people[:1])
    assert problem(consume(canvas, approval.id)) == (409, "quorum_lost", None)
    house.ward.change(people=estate.people)
    assert consume(canvas, approval.id).status_code == 200


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def test_time_out_is_a_no_and_the_question_is_no_finding_any_more(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    asked = house.ask(canvas)
    assert [row.reason for row in house.ward.rig.findings(OPEN)] == ["question"]
    house.ward.rig.clock.advance(timedelta(days=7))
    assert expire_due(house.ward.rig.shift) == 1
    told = house.canvas("later").get(f"/v1/asks/{asked['ask']}").json()
    assert (told["answer"], told["state"]) == ("denied", "expired")
    assert house.ward.rig.findings(OPEN) == []


@pytest.mark.parametrize("choice", Choice)
def test_an_answered_question_is_no_finding_any_more(gatehouse_here: Gatehouse, choice: Choice) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    house.ward.say(house.approval(house.ask(canvas)), choice=choice)
    assert house.ward.rig.findings(OPEN) == []


def test_the_same_question_joins_and_another_payload_takes_its_place(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    first, same, changed = house.ask(canvas), house.ask(canvas), house.ask(canvas, payload_sha256=OTHER)
    assert first["approval_id"] == same["approval_id"] != changed["approval_id"]
    told = canvas.get(f"/v1/asks/{first['ask']}").json()
    assert (told["answer"], told["state"]) == ("denied", "superseded")
    assert [row.id for row in house.ward.pending()] == [changed["approval_id"]]
    assert len(house.ward.rig.findings(OPEN)) == 1


def test_two_canvases_do_not_take_each_others_place(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    one = house.ask(house.canvas("one"))
    other = house.ask(house.canvas("other"), payload_sha256=OTHER)
    assert {row.id for row in house.ward.pending()} == {one["approval_id"], other["approval_id"]}


def test_a_denied_question_is_denied_again_without_asking_people(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    house.ward.say(house.approval(house.ask(canvas)), choice=Choice.DENY, reason="not on a Friday")
    again = house.ask(canvas)
    assert (again["answer"], again["reason"]) == ("denied", "denied before: not on a Friday")
    assert house.ward.pending() == []


def test_the_same_key_is_the_same_question_and_with_another_body_a_conflict(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    first = house.ask(canvas, idempotency_key="n8n/wf/7/ask/0/0")
    again = house.ask(canvas, idempotency_key="n8n/wf/7/ask/0/0")
    assert again["ask"] == first["ask"]
    assert house.ward.approval(first["approval_id"]).nights == 1
    other = canvas.post("/v1/asks", json=question(payload_sha256=OTHER, idempotency_key="n8n/wf/7/ask/0/0"))
    assert problem(other) == (409, "idempotency_key_reused", "idempotency_key")


def test_without_a_worker_the_question_is_queued_and_asked_later(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    house.work = False
    queued = canvas.post("/v1/asks", json=question(), headers={"Prefer": "wait=1"})
    assert (queued.status_code, queued.json()["state"], queued.json()["answer"]) == (202, "queued", "waiting")
    house.work = True
    with house.ward.rig.ledger.read() as connection:
        asked = runs.of_batch(connection, queued.json()["ask"])
    house.do_the_work(asked)
    assert canvas.get(queued.headers["Location"]).json()["state"] == "pending"


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"payload_sha256": "abc"}, (422, "invalid", "payload_sha256")),
        ({"payload_sha256": PAYLOAD.upper()}, (422, "invalid", "payload_sha256")),
        ({"subject": ""}, (422, "invalid", "subject")),
        ({"subject": "two\nlines"}, (422, "invalid", "subject")),
        ({"subject": "x" * 161}, (422, "invalid", "subject")),
        ({"body": "x" * 8001}, (422, "invalid", "body")),
        ({"risk": "dreadful"}, (422, "invalid", "risk")),
        ({"use_by": "0s"}, (422, "invalid", "use_by")),
        ({"use_by": "8d"}, (422, "invalid", "use_by")),
        ({"use_by": "tomorrow"}, (422, "invalid", "use_by")),
        ({"callback_url": "http://evil.example/x"}, (422, "callback_host", "callback_url")),
        ({"asker": "somebody-else"}, (422, "invalid", "asker")),
        ({"environment": "moon"}, (409, "not_in_execute", None)),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_and_writes_nothing(
    gatehouse_here: Gatehouse, members: dict[str, Any], refusal: tuple[int, str, str | None]
) -> None:
    canvas = gatehouse_here.canvas()
    before = gatehouse_here.hall.picture()
    assert problem(canvas.post("/v1/asks", json=question(**members))) == refusal
    assert gatehouse_here.hall.picture() == before


def test_without_a_rule_nobody_is_asked(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    policy = house.ward.rig.estate[-1].policy
    house.ward.change(policy=policy.model_copy(update={"rules": policy.rules[:1]}))
    refused = house.canvas().post("/v1/asks", json=question())
    assert problem(refused) == (409, "no_rule", None)
    assert refused.json()["detail"] == f"no rule of policy.toml covers ask: gate in {PROD} at medium risk"


def test_a_loop_gone_wrong_does_not_drown_people(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    first = house.ask(canvas, idempotency_key="first")
    house.work = False
    with house.ward.rig.ledger.read() as connection:
        (token,) = people.tokens(connection)
    loop = gates.Asking(
        subject="Number 1",
        body="",
        risk="low",
        payload_sha256=PAYLOAD,
        environment=PROD,
        use_seconds=60,
        actor=CLI,
        family=token.family,
        trigger=Trigger.N8N,
    )
    for number in range(1, gates.MOST_WAITING):
        gates.ask(house.ward.rig.shift, replace(loop, subject=f"Number {number}"), lambda _: None)
    assert problem(canvas.post("/v1/asks", json=question(subject="One more"))) == (409, "too_many_questions", None)
    assert house.ask(canvas, idempotency_key="first")["ask"] == first["ask"]
    house.work = True
    house.ask(house.canvas("other"))
    house.ward.say(house.approval(first))
    house.ask(canvas, subject="One more")


def test_a_question_is_not_a_run_of_anybody(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    target = {"name": "x", **question(), "asker": "somebody-else"}
    everything = house.hall.client(house.hall.token(ActorKind.TOKEN, "ci"))
    body = {"job": "ask", "params": {"targets": [target]}}
    assert problem(everything.post("/v1/runs", json=body)) == (422, "not_run_but_asked", "job")
    assert house.ward.approvals() == []


def test_whoever_the_canvas_speaks_for_does_not_decide(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    approval = house.approval(house.ask(house.canvas(behalf="bo")))
    assert "bo" in approval.requesters
    with pytest.raises(Forbidden, match="somebody else must decide"):
        house.ward.say(approval, "bo")
    assert house.ward.say(approval, "cy").state is ApprovalState.APPROVED


def test_risk_is_what_the_asker_says_and_never_less_than_medium(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    risks = {said: house.approval(house.ask(canvas, subject=said, risk=said)).risk.value for said in ("low", "medium", "high")}
    assert risks == {"low": "medium", "medium": "medium", "high": "high"}


def test_every_audit_row_of_a_gate_says_what_a_yes_does_not_mean(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    consume(canvas, house.approved(canvas).id)
    rows = [*house.ward.audit("approval."), *house.ward.audit("gate.")]
    assert {row.verb for row in rows} == {
        "approval.asked",
        "approval.approved_by",
        "approval.approved",
        "approval.carried_out",
        "gate.consumed",
    }
    assert {row.facts["gate"] for row in rows} == {"Gate only: neither executed nor verified by Nightshift"}
    assert {row.facts["payload_sha256"] for row in rows} == {PAYLOAD}


def test_a_repair_is_still_carried_out_by_a_run(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    approval = house.ward.say(house.ward.ask())
    (run,) = house.ward.effect_runs()
    assert (approval.state, approval.effect_run_id) == (ApprovalState.APPROVED, run.id)


def test_page_and_mail_say_what_a_yes_does_not_mean(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    approval = house.approval(house.ask(canvas))
    said = "Gate only: neither executed nor verified by Nightshift"
    browser = house.hall.opened(approval)
    assert said in text_of(page_of(browser, approval))
    assert "whoever asked may do exactly this, once" in page_of(browser, approval)
    assert decide_on(browser, approval).status_code == 303
    assert "may be used once, until" in text_of(page_of(house.hall.signed_in("bo"), approval))
    consume(canvas, approval.id)
    assert "The yes was used" in text_of(page_of(house.hall.signed_in("bo"), approval))


def test_every_mail_of_a_gate_says_what_a_yes_does_not_mean(gatehouse_here: Gatehouse) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    with mail_server() as server:
        room = Mailroom(house.ward, server, routes(server))
        used = house.approval(house.ask(canvas))
        mails = to_team(room.after())
        house.ward.say(used)
        mails += to_team(room.after())
        house.approved(canvas, subject="Forgotten")
        room.after()
        house.ward.rig.clock.advance(timedelta(hours=2))
        expire_unused(house.ward.rig.shift)
        mails += to_team(room.after())
    asked, agreed, void = map(mail_text, mails)
    said = "Gate only: neither executed nor verified by Nightshift"
    assert all(said in text for text in (asked, agreed, void))
    assert "Whoever asked may use this yes once, until" in agreed
    assert "it is void" in void
    assert "It is carried out now" not in agreed
