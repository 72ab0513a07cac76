"""What a canvas gets back: one result per item by one callback, signed, and what happens to those that never arrive."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import pytest

from notifications.webhook import verify
from tasks.errors import ProviderError
from tests.api.kit import CLI, problem
from tests.approvals.kit import text_of
from tests.n8n.gatehouse import OTHER, PAYLOAD, Gatehouse, consume
from tests.relay.web import CRASHED, RESUMED, RUNNING, Waiting, waiting
from worker.flow.errors import Refused
from worker.flow.expiring import expire_due
from worker.flow.undelivered import resend
from worker.ledger import telling
from worker.records import Choice, DeliveryState, FindingState
from worker.relay import CallbackRelay
from worker.tokens import Grant

SECRET = "whsec_bmlnaHRzaGlmdC1uaWdodHNoaWZ0LW5pZ2h0c2hpZnQ="


@pytest.fixture
def node() -> Iterator[Waiting]:
    with waiting() as listening:
        yield listening


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with closing(httpx.Client(timeout=5)) as made:
        yield made


def test_three_items_in_are_three_results_out_through_one_callback(
    gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client
) -> None:
    house = gatehouse_here
    canvas = house.canvas()
    items = [{"job": "slots", "params": {"entries": ["door"]}} for _ in range(3)]
    asked = canvas.post("/v1/runs", json={"items": items, "callback_url": node.url})
    assert asked.status_code == 202, asked.text
    assert asked.json()["results"] is None
    for run in reversed(asked.json()["runs"]):
        house.ward.rig.execute(house.ward.rig.run(run["id"]))
    CallbackRelay(house.ward.rig.shift, client=client).step()
    (body,) = node.got
    assert body["type"] == "batch.ended"
    assert [(one["item"], one["verdict"], one["ok"]) for one in body["results"]] == [
        (number, "findings", False) for number in range(3)
    ]
    assert [one["runs"] for one in body["results"]] == [[run["id"]] for run in asked.json()["runs"]]


def test_a_result_says_which_approvals_were_asked(gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client) -> None:
    house = gatehouse_here
    asked = house.canvas().post("/v1/runs", json={"job": "slots", "callback_url": node.url}).json()
    house.ward.rig.execute(house.ward.rig.run(asked["runs"][0]["id"]))
    (approval,) = house.ward.pending()
    CallbackRelay(house.ward.rig.shift, client=client).step()
    ((told,),) = (one["approvals"] for one in node.got[0]["results"])
    assert (told["id"], told["how"], told["answer"], told["state"]) == (approval.id, "new", "waiting", "pending")
    again = house.canvas().post("/v1/runs", json={"job": "slots"}).json()
    house.ward.rig.execute(house.ward.rig.run(again["runs"][0]["id"]))
    ((told,),) = (one["approvals"] for one in house.canvas().get(f"/v1/batches/{again['batch']['id']}").json()["results"])
    assert (told["id"], told["how"]) == (approval.id, "joined")


@pytest.mark.parametrize(("choice", "answer"), [(Choice.APPROVE, "approved"), (Choice.DENY, "denied")])
def test_the_wait_of_a_question_is_resumed_by_its_answer_and_not_before(
    gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client, choice: Choice, answer: str
) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    relay = CallbackRelay(house.ward.rig.shift, client=client)
    asked = house.ask(canvas, callback_url=node.url)
    relay.step()
    assert node.got == []
    house.ward.say(house.approval(asked), choice=choice, reason="as I said")
    relay.step()
    relay.step()
    (body,) = node.got
    assert (body["type"], body["ask"], body["answer"], body["state"]) == ("ask.answered", asked["ask"], answer, answer)
    assert body["gate"]["payload_sha256"] == PAYLOAD
    assert [one["person"] for one in body["decisions"]] == ["bo"]
    if choice is Choice.APPROVE:
        assert consume(canvas, body["approval_id"]).status_code == 200
    relay.step()
    assert len(node.got) == 1


def test_the_wait_of_a_question_that_nobody_answered_takes_the_branch_of_a_no(
    gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client
) -> None:
    house = gatehouse_here
    house.ask(house.canvas(), callback_url=node.url)
    house.ward.rig.clock.advance(timedelta(days=7))
    expire_due(house.ward.rig.shift)
    CallbackRelay(house.ward.rig.shift, client=client).step()
    assert [(body["answer"], body["state"]) for body in node.got] == [("denied", "expired")]


def test_a_question_whose_place_was_taken_lets_its_wait_go_on(
    gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client
) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    house.ask(canvas, callback_url=node.url)
    house.ask(canvas, payload_sha256=OTHER)
    CallbackRelay(house.ward.rig.shift, client=client).step()
    assert [(body["answer"], body["state"]) for body in node.got] == [("denied", "superseded")]


def test_a_denied_question_asked_again_is_called_back_at_once(
    gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client
) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    house.ward.say(house.approval(house.ask(canvas)), choice=Choice.DENY, reason="no")
    house.ask(canvas, callback_url=node.url)
    CallbackRelay(house.ward.rig.shift, client=client).step()
    assert [(body["answer"], body["reason"]) for body in node.got] == [("denied", "denied before: no")]


def test_a_signed_result_is_verified_by_the_secret_and_stays_itself_when_sent_again(
    gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client
) -> None:
    house = gatehouse_here
    relay = CallbackRelay(house.ward.rig.shift, lambda: SECRET, client=client)
    node.answers = [RUNNING, RESUMED]
    house.ward.say(house.approval(house.ask(house.canvas(), callback_url=node.url)))
    relay.step()
    house.ward.rig.clock.advance(timedelta(seconds=1))
    relay.step()
    first, second = node.sent
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    for request in (first, second):
        signed = (request.headers["webhook-id"], request.headers["webhook-timestamp"], request.body)
        signature = request.headers["webhook-signature"]
        assert verify(SECRET, *signed, signature, now=house.ward.rig.clock())
        assert not verify("another secret", *signed, signature, now=house.ward.rig.clock())
        assert not verify(SECRET, signed[0], signed[1], request.body + b" ", signature, now=house.ward.rig.clock())


def test_a_result_is_not_sent_unsigned_when_its_secret_cannot_be_read(
    gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client
) -> None:
    def gone() -> str:
        raise ProviderError("env:CALLBACK_SECRET: the variable is not set", stage="secret")

    house = gatehouse_here
    house.ward.say(house.approval(house.ask(house.canvas(), callback_url=node.url)))
    CallbackRelay(house.ward.rig.shift, gone, client=client).step()
    assert node.got == []
    (row,) = house.canvas().get("/v1/deliveries?kind=callback").json()["deliveries"]
    assert (row["state"], "env:CALLBACK_SECRET" in row["detail"]) == ("sending", True)


class TestUndelivered:
    """Results that a Wait never took."""

    @pytest.fixture
    def failed(self, gatehouse_here: Gatehouse, node: Waiting, client: httpx.Client) -> dict[str, Any]:
        """One, of a canvas whose execution crashed."""
        house, canvas = gatehouse_here, gatehouse_here.canvas()
        node.answers = [CRASHED]
        house.ward.say(house.approval(house.ask(canvas, callback_url=node.url)))
        relay = CallbackRelay(house.ward.rig.shift, client=client)
        relay.step()
        return {"canvas": canvas, "relay": relay}

    def test_it_is_listed_with_its_reason_and_told_as_a_finding(
        self, gatehouse_here: Gatehouse, node: Waiting, failed: dict[str, Any]
    ) -> None:
        (row,) = failed["canvas"].get("/v1/deliveries?kind=callback&state=failed").json()["deliveries"]
        why = "the execution failed, crashed or was stopped before it could take the result"
        assert row["detail"] == f"127.0.0.1:{node.port} answered 409: {why}"
        (finding,) = [one for one in gatehouse_here.ward.rig.findings() if one.reason == "callback_undelivered"]
        assert (finding.title, finding.state) == ("1 result did not reach whoever asked", FindingState.OPEN)
        assert "signature" not in str(finding)

    def test_sent_again_it_arrives_and_the_finding_is_over(
        self, gatehouse_here: Gatehouse, node: Waiting, failed: dict[str, Any]
    ) -> None:
        canvas, relay = failed["canvas"], failed["relay"]
        (row,) = canvas.get("/v1/deliveries?kind=callback&state=failed").json()["deliveries"]
        node.answers = [RESUMED]
        again = canvas.post(f"/v1/deliveries/{row['id']}/resend")
        assert (again.status_code, again.json()["state"]) == (202, "sending")
        assert problem(canvas.post(f"/v1/deliveries/{row['id']}/resend")) == (409, "wrong_state", None)
        relay.step()
        assert node.got[0] == node.got[1]
        assert canvas.get("/v1/deliveries?kind=callback&state=failed").json()["deliveries"] == []
        (finding,) = [one for one in gatehouse_here.ward.rig.findings() if one.reason == "callback_undelivered"]
        assert finding.state is FindingState.RESOLVED
        assert problem(canvas.post(f"/v1/deliveries/{row['id']}/resend")) == (409, "wrong_state", None)
        (noted,) = gatehouse_here.ward.audit("delivery.resent")
        assert noted.actor == "n8n:canvas"

    def test_put_away_with_a_reason_nobody_waits_for_it(self, gatehouse_here: Gatehouse, failed: dict[str, Any]) -> None:
        canvas = failed["canvas"]
        (row,) = canvas.get("/v1/deliveries?kind=callback&state=failed").json()["deliveries"]
        assert problem(canvas.post(f"/v1/deliveries/{row['id']}/put-away", json={})) == (422, "invalid", "reason")
        gone = canvas.post(f"/v1/deliveries/{row['id']}/put-away", json={"reason": "its database was reset"})
        assert gone.json()["state"] == "disabled"
        (finding,) = [one for one in gatehouse_here.ward.rig.findings() if one.reason == "callback_undelivered"]
        assert finding.state is FindingState.RESOLVED

    def test_a_narrow_token_sees_and_sends_its_own_alone(
        self, gatehouse_here: Gatehouse, node: Waiting, failed: dict[str, Any]
    ) -> None:
        (row,) = failed["canvas"].get("/v1/deliveries?kind=callback").json()["deliveries"]
        narrow = gatehouse_here.canvas("narrow", [Grant(verb="run", jobs=("slots",)), Grant(verb="read", jobs=("slots",))])
        assert narrow.get("/v1/deliveries").json()["deliveries"] == []
        assert problem(narrow.post(f"/v1/deliveries/{row['id']}/resend")) == (404, "unknown_delivery", None)

    def test_a_person_sends_it_again_on_the_console(
        self, gatehouse_here: Gatehouse, node: Waiting, failed: dict[str, Any]
    ) -> None:
        assert gatehouse_here.hall.signed_in("bo").get("/deliveries").status_code == 403
        browser = gatehouse_here.hall.signed_in("root")
        page = browser.get("/deliveries").text
        assert f"127.0.0.1:{node.port} answered 409" in text_of(page)
        (path,) = re.findall(r'action="(/deliveries/[^"]+/resend)"', page)
        (csrf, *_) = re.findall(r'name="csrf" value="([^"]+)"', page)
        assert browser.post(path).status_code == 403
        assert browser.post(path, data={"csrf": csrf}).headers["Location"] == "/deliveries?state=sending"
        node.answers = [RESUMED]
        failed["relay"].step()
        assert "Everything arrived." in text_of(browser.get("/deliveries").text)

    def test_a_message_is_not_sent_again_by_this(self, gatehouse_here: Gatehouse) -> None:
        with gatehouse_here.ward.rig.ledger.transaction() as tx:
            now = gatehouse_here.ward.rig.clock()
            mail = telling.begin_delivery(tx, message_id="m", kind="digest", channel="mail", subject="d", at=now)
            telling.end_delivery(tx, mail.id, state=DeliveryState.FAILED, detail="refused", at=now)
        with pytest.raises(Refused, match="only a result"):
            resend(gatehouse_here.ward.rig.shift, mail.id, CLI)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"items": []}, (422, "no_items", "items")),
        ({"items": [{"job": "slots"}] * 1001, "callback_url": "http://localhost/x"}, (422, "too_many_items", "items")),
        ({"job": "slots", "callback_url": "http://elsewhere.example/x"}, (422, "callback_host", "callback_url")),
        ({"job": "slotz"}, (422, "unknown_job", "job")),
        ({"job": "slots", "params": {"depht": 1}}, (422, "invalid_parameter", "params.depht")),
    ],
)
def test_what_a_canvas_got_wrong_is_told_by_field_and_writes_nothing(
    gatehouse_here: Gatehouse, body: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    canvas = gatehouse_here.canvas()
    before = gatehouse_here.hall.picture()
    assert problem(canvas.post("/v1/runs", json=body)) == refusal
    assert gatehouse_here.hall.picture() == before


def test_a_new_family_starts_with_fresh_keys_and_an_old_one_keeps_its_own(gatehouse_here: Gatehouse) -> None:
    """As n8n's execution ids do once its database was reset."""
    house = gatehouse_here
    body = {"job": "slots", "idempotency_key": "n8n/wf/1/start/0/0"}
    before, after = house.canvas("before"), house.canvas("after")
    first = before.post("/v1/runs", json=body).json()
    assert before.post("/v1/runs", json=body).json()["batch"]["id"] == first["batch"]["id"]
    assert after.post("/v1/runs", json=body).json()["batch"]["id"] != first["batch"]["id"]
    other = before.post("/v1/runs", json={**body, "note": "another"})
    assert problem(other) == (409, "idempotency_key_reused", "idempotency_key")
    assert other.json()["detail"].count("SHA-256") == 1
