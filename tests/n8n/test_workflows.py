"""Each workflow that ships, published on a real n8n and run against a real gateway and worker."""

from tests.n8n import waits
from tests.n8n.stage import Stage
from tests.support.waiting import until


def test_three_items_in_are_three_results_out_through_one_callback(stage: Stage) -> None:
    entries = ["fine", "hello", "fine"]
    said = stage.out(stage.call("Run job", [{"job": "command", "params": {"entries": [name]}} for name in entries]), "Call")
    told = [(one["item"], one["status"], one["verdict"], one["ok"]) for one in said]
    assert told == [(0, "succeeded", "ok", True), (1, "succeeded", "findings", False), (2, "succeeded", "ok", True)]
    (batch,) = {one["batch"] for one in said}
    # n8n may have gone on before the answer to it was noted.
    assert waits.told(stage, batch, "sent", "failed", "disabled")["state"] == "sent"


def test_what_the_gateway_refuses_comes_back_as_a_status_for_each_item(stage: Stage) -> None:
    said = stage.out(stage.call("Run job", [{"job": "comand", "params": {}}, {"job": "command", "params": {}}]), "Call")
    assert [(one["item"], one["status"], one["ok"]) for one in said] == [(0, "not_started", False), (1, "not_started", False)]
    assert "comand" in said[0]["message"]


def test_hello_asks_a_person_and_goes_on_with_their_yes(stage: Stage) -> None:
    execution = stage.run(stage.id_of("Hello"))
    asked = stage.decide("Go on with Hello", "approve")
    assert stage.out(execution, "The workflow goes on") == [{"said": "hello to the finding", "by": ["ana"]}]
    assert stage.ana.get(f"/v1/approvals/{asked['id']}").json()["state"] == "carried_out"


def test_a_no_takes_the_other_branch_with_its_reason(stage: Stage) -> None:
    execution = stage.call("Ask before", [{"subject": "Deploy 1.2.3", "body": "A basket.", "payload": {"version": "1.2.3"}}])
    stage.decide("Deploy 1.2.3", "deny", "not on a Friday")
    (said,) = stage.out(execution, "Call")
    assert (said["answer"], said["state"], said["reason"]) == ("denied", "denied", "not on a Friday")


def test_a_question_that_cannot_be_asked_is_a_no_with_its_reason(stage: Stage) -> None:
    (said,) = stage.out(stage.call("Ask before", [{"subject": "Elsewhere", "payload": {}, "environment": "attic"}]), "Call")
    assert (said["answer"], said["state"]) == ("denied", "not_asked")
    assert said["reason"].startswith("environment 'attic' is in mode observe")


def test_two_questions_in_one_call_ask_nobody(stage: Stage) -> None:
    (said,) = stage.out(stage.call("Ask before", [{"subject": "One", "payload": {}}, {"subject": "Two", "payload": {}}]), "Call")
    assert said == {"answer": "denied", "state": "not_asked", "reason": "one question per call: put a Loop Over Items before it"}
    assert stage.ana.get("/v1/approvals?state=pending").json()["approvals"] == []


def test_the_night_is_joined_and_waited_for(stage: Stage) -> None:
    assert stage.webhook("nightshift/nightly-tls").status_code == 200
    (first,) = stage.out(stage.newest("Nightly TLS"), "The night")
    assert (first["joined"], first["over"], first["counts"]) == (False, True, {"ok": 0, "finding": 0, "cannot_tell": 1})
    known = stage.executions("Nightly TLS")
    stage.webhook("nightshift/nightly-tls")
    (second,) = stage.out(stage.newest("Nightly TLS", known), "The night")
    assert (second["joined"], second["batch"]) == (True, first["batch"])


def test_the_night_over_the_stacks_is_joined_and_told_in_one_line(stage: Stage) -> None:
    assert stage.webhook("nightshift/nightly-drift").status_code == 200
    (first,) = stage.out(stage.newest("Nightly drift"), "The night")
    assert (first["joined"], first["over"], first["report"]) == (False, True, "looked at 1 of 1, 1 cannot tell")
    known = stage.executions("Nightly drift")
    stage.webhook("nightshift/nightly-drift")
    (second,) = stage.out(stage.newest("Nightly drift", known), "The night")
    assert (second["joined"], second["batch"]) == (True, first["batch"])


def test_a_webhook_is_closed_to_those_without_the_word(stage: Stage) -> None:
    known = stage.executions("Nightly TLS")
    assert stage.webhook("nightshift/nightly-tls", word="guessed").status_code == 403
    assert stage.executions("Nightly TLS") == known


def test_what_fails_in_n8n_becomes_a_finding(stage: Stage) -> None:
    stage.call_by_webhook_and_fail()
    (found,) = until("it is found", lambda: stage.findings("Test / Fails"))
    assert (found["title"], found["reason"]) == ("n8n: Test / Fails failed", "workflow_failed")
    assert "At node Fails: it broke" in found["detail"]


def test_a_finding_that_opens_starts_its_workflow(stage: Stage) -> None:
    stage.subscribe("nightshift/finding-opened", "finding.opened")
    stage.api.post("/v1/runs", json={"job": "command", "params": {"entries": ["leak"]}})
    execution = stage.newest("On finding opened")
    (told,) = stage.out(execution, "Write it down")
    assert (told["subject"], told["severity"], told["job"], told["state"]) == ("leak", "medium", "command", "open")


def test_a_decision_starts_its_workflow(stage: Stage) -> None:
    stage.subscribe("nightshift/approval-decided", "approval.decided")
    stage.call("Ask before", [{"subject": "Tell of it", "payload": {}}])
    asked = stage.decide("Tell of it", "approve")
    (told,) = stage.out(stage.newest("On approval decided"), "What was decided")
    assert (told["approval"], told["subject"], told["by"]) == (asked["id"], "Tell of it", ["ana"])
    assert told["state"] in ("approved", "carried_out")


def test_the_morning_tells_what_is_open_and_what_waits(stage: Stage) -> None:
    stage.api.post("/v1/runs", json={"job": "command", "params": {"entries": ["leak"]}}, headers={"Prefer": "wait=30"})
    stage.webhook("nightshift/morning-digest")
    (told,) = stage.out(stage.newest("Morning digest"), "The morning")
    assert told["waiting"] == 0
    assert told["text"].startswith(f"{told['open']} open, 0 waiting for a person\n")
    assert "medium: leak ended with exit code 1" in told["text"]


def test_a_result_that_no_wait_took_is_listed_with_its_reason(stage: Stage) -> None:
    execution = stage.call("Ask before", [{"subject": "Hold the line", "payload": {}}])
    stage.pending("Hold the line")
    url = f"{stage.n8n.url}/webhook-waiting/{execution}?signature={'0' * 64}"
    asked = stage.api.post("/v1/runs", json={"job": "command", "params": {"entries": ["fine"]}, "callback_url": url}).json()
    until("it is undelivered", lambda: stage.api.get("/v1/deliveries?kind=callback&state=failed").json()["deliveries"])
    stage.webhook("nightshift/undelivered")
    (told,) = stage.out(stage.newest("Undelivered results"), "Undelivered")
    assert (told["batch"], told["why"].partition(": ")[0]) == (
        asked["batch"]["id"],
        f"{stage.n8n.url.removeprefix('http://')} answered 401",
    )
    stage.decide("Hold the line", "deny")


def test_an_edit_on_the_canvas_is_found_with_what_differs(stage: Stage) -> None:
    stage.webhook("nightshift/canvas-drift")
    (before,) = stage.out(stage.newest("Canvas drift"), "The comparison")
    assert (before["drifted"], before["status"]) == (False, "succeeded")
    known = stage.executions("Canvas drift")
    stage.edit("Hello", "The workflow ends", jsonOutput="={{ JSON.stringify({ said: 'never' }) }}")
    stage.webhook("nightshift/canvas-drift")
    (after,) = stage.out(stage.newest("Canvas drift", known), "The comparison")
    assert after["drifted"]
    (found,) = stage.findings("nightshift_hello on n8n")
    assert (found["reason"], found["title"]) == ("draft_differs", "n8n: nightshift_hello: draft differs")
    assert "changed node The workflow ends: parameters.jsonOutput" in found["detail"]
