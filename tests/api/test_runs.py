"""Asking for runs, looking at them, stopping and resolving them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus

import httpx
import pytest

from tests.api.kit import House, problem
from worker.ledger import batches, leases
from worker.records import ActorKind, RunState
from worker.tokens import Grant, grants_of_role


def test_a_run_is_taken_in_and_rung_for(house: House, api: httpx.Client) -> None:
    answer = api.post("/v1/runs", json={"job": "doors", "params": {"entries": ["front", "back"]}})
    body = answer.json()
    assert answer.status_code == HTTPStatus.ACCEPTED
    assert answer.headers["location"] == f"/v1/batches/{body['batch']['id']}"
    assert [run["state"] for run in body["runs"]] == ["queued"]
    assert body["batch"]["requested_by"] == "token:ci"
    assert body["joined"] is False
    assert house.rung == [body["runs"][0]["id"]]


def test_items_become_one_batch_in_their_order(api: httpx.Client) -> None:
    items = [{"job": "whistle"}, {"job": "doors", "params": {"entries": ["cellar"]}}, {"job": "whistle"}]
    body = api.post("/v1/runs", json={"items": items}).json()
    assert [(run["item"], run["job"]) for run in body["runs"]] == [(0, "whistle"), (1, "doors"), (2, "whistle")]


def test_waiting_answers_with_the_results_once_all_have_ended(house: House, api: httpx.Client) -> None:
    house.work = True
    answer = api.post("/v1/runs", json={"job": "doors"}, headers={"Prefer": "respond-async, wait=600"})
    body = answer.json()
    assert (answer.status_code, answer.headers["preference-applied"]) == (HTTPStatus.OK, "wait=60")
    assert {(run["environment"], run["verdict"], run["summary"]) for run in body["runs"]} == {
        ("prod", "findings", "1 ok, 1 finding"),
        ("test", "cannot_tell", "1 cannot tell"),
    }
    assert body["batch"]["remaining"] == 0


def test_waiting_gives_up_with_202_while_it_still_runs(api: httpx.Client) -> None:
    answer = api.post("/v1/runs", json={"job": "whistle"}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (HTTPStatus.ACCEPTED, "wait=1")


def test_a_waiting_caller_is_answered_when_the_work_is_done(house: House, api: httpx.Client) -> None:
    run_id = api.post("/v1/runs", json={"job": "whistle"}).json()["runs"][0]["id"]
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(api.get, f"/v1/runs/{run_id}", headers={"Prefer": "wait=25"}) for _ in range(4)]
        pool.submit(house.work_through).result()
        assert {answer.result().json()["state"] for answer in waiting} == {"succeeded"}


def test_a_process_that_is_told_to_stop_keeps_nobody_waiting(house: House, api: httpx.Client) -> None:
    here = house.app.state.gateway
    house.app.state.gateway = replace(here, shift=replace(here.shift, draining=lambda: True))
    answer = api.post("/v1/runs", json={"job": "whistle"}, headers={"Prefer": "wait=25"})
    assert (answer.status_code, answer.json()["runs"][0]["state"]) == (HTTPStatus.ACCEPTED, "queued")


def test_the_same_key_gives_the_same_batch(house: House, api: httpx.Client) -> None:
    first = api.post("/v1/runs", json={"job": "whistle", "idempotency_key": "k1"}).json()
    again = api.post("/v1/runs", json={"job": "whistle"}, headers={"Idempotency-Key": "k1"}).json()
    assert again["batch"]["id"] == first["batch"]["id"]
    assert (first["joined"], again["joined"]) == (False, True)
    assert len(house.rung) == 1


def test_the_same_key_with_another_body_is_a_conflict_that_names_both_digests(api: httpx.Client) -> None:
    api.post("/v1/runs", json={"job": "whistle", "idempotency_key": "k1"})
    answer = api.post("/v1/runs", json={"job": "doors", "idempotency_key": "k1"})
    assert problem(answer) == (409, "idempotency_key_reused", "idempotency_key")
    assert answer.json()["detail"].count("SHA-256") == 1
    digests = [word.strip(",;") for word in answer.json()["detail"].split() if len(word.strip(",;")) == 64]
    assert len(set(digests)) == 2


def test_keys_of_two_tokens_do_not_meet(house: House) -> None:
    asked = [house.client(house.token()).post("/v1/runs", json={"job": "whistle", "idempotency_key": "k"}) for _ in range(2)]
    assert [answer.json()["joined"] for answer in asked] == [False, False]


def test_keys_in_header_and_body_that_differ_are_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/runs", json={"job": "whistle", "idempotency_key": "a"}, headers={"Idempotency-Key": "b"})
    assert problem(answer) == (422, "idempotency_keys_differ", "idempotency_key")


def test_an_unknown_job_is_refused_with_the_nearest(house: House, api: httpx.Client) -> None:
    answer = api.post("/v1/runs", json={"job": "door"})
    assert problem(answer) == (422, "unknown_job", "job")
    assert "did you mean 'doors'?" in answer.json()["detail"]
    assert answer.json()["accepted"] == ["doors", "whistle"]
    assert house.rung == []


def test_an_unknown_job_among_items_is_named_by_its_number(api: httpx.Client) -> None:
    answer = api.post("/v1/runs", json={"items": [{"job": "whistle"}, {"job": "whistel"}]})
    assert problem(answer) == (422, "unknown_job", "items[1].job")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"job": "doors", "params": {"forse": 3}}, (422, "invalid_parameter", "params.forse")),
        ({"job": "doors", "params": {"force": "hard"}}, (422, "invalid_parameter", "params.force")),
        ({"job": "doors", "params": {"entries": ["frunt"]}}, (422, "unknown_entry", "params.entries")),
        ({"job": "whistle", "params": {"targets": [{"name": "x"}]}}, (422, "ad_hoc_refused", "params.targets")),
        ({"jobb": "doors"}, (422, "invalid", "jobb")),
        ({"job": "doors", "items": [{"job": "whistle"}]}, (422, "ambiguous", "items")),
        ({"items": []}, (422, "no_items", "items")),
        ({"items": [{"job": "whistle", "parms": {}}]}, (422, "invalid", "items[0].parms")),
        ({}, (422, "ambiguous", "job")),
        ({"params": {}}, (422, "ambiguous", "job")),
        ({"schedule": "nightly-doors", "callback_url": "http://localhost/x"}, (422, "not_for_a_schedule", "callback_url")),
        ({"schedule": "nightly-door"}, (422, "unknown_schedule", "schedule")),
        ({"job": "whistle", "idempotency_key": ""}, (422, "invalid", "idempotency_key")),
        ({"job": "whistle", "note": "nul \0"}, (422, "invalid", "body")),
        ([1], (422, "invalid", "body")),
    ],
)
def test_what_cannot_be_taken_is_refused_by_field_and_writes_nothing(
    house: House, api: httpx.Client, body: object, refusal: tuple[int, str, str]
) -> None:
    assert problem(api.post("/v1/runs", json=body)) == refusal
    with house.shift.ledger.read() as connection:
        assert batches.listing(connection) == []


def test_an_unknown_member_is_answered_with_what_was_meant(api: httpx.Client) -> None:
    document = api.post("/v1/runs", json={"jobb": "doors"}).json()
    assert "did you mean job?" in document["detail"]
    assert "callback_url" in document["accepted"]


def test_a_body_that_is_not_json_is_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/runs", content=b'{"job": ', headers={"Content-Type": "application/json"})
    assert problem(answer) == (422, "not_json", "body")


def test_an_unknown_query_member_is_refused(api: httpx.Client) -> None:
    answer = api.get("/v1/runs?stat=failed")
    assert problem(answer) == (422, "invalid", "stat")
    assert "did you mean state?" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://evil.example/x", "callback_host"),
        ("http://localhost.evil.example/", "callback_host"),
        ("http://n8n.example.com/", "callback_host"),
        ("http://corp.example/", "callback_host"),
        ("http://user:pw@localhost/", "callback_not_a_url"),
        ("ftp://localhost/", "callback_not_a_url"),
        ("localhost/x", "callback_not_a_url"),
        ("http://localhost:99999/", "callback_not_a_url"),
        ("http://localhost\\@evil.example/", "callback_not_a_url"),
    ],
)
def test_a_callback_to_another_host_is_refused_and_not_repeated(api: httpx.Client, url: str, code: str) -> None:
    answer = api.post("/v1/runs", json={"job": "whistle", "callback_url": url})
    assert problem(answer) == (422, code, "callback_url")
    assert url not in answer.text


@pytest.mark.parametrize(
    "url", ["http://localhost:1/x?signature=s3", "https://n8n.example.com:5678/w", "https://a.b.corp.example/"]
)
def test_a_callback_is_kept_encrypted_and_never_shown(house: House, api: httpx.Client, url: str) -> None:
    answer = api.post("/v1/runs", json={"job": "whistle", "callback_url": url})
    with house.shift.ledger.read() as connection:
        batch = batches.get(connection, answer.json()["batch"]["id"])
    assert batch is not None
    assert batch.callback is not None
    assert url not in batch.callback
    assert house.shift.keys.decrypt(batch.callback).decode() == url
    assert url not in answer.text + api.get(f"/v1/batches/{batch.id}").text


def test_the_same_key_with_another_callback_is_another_body(api: httpx.Client) -> None:
    asked = {"job": "whistle", "idempotency_key": "k", "callback_url": "http://localhost:1/first"}
    assert [api.post("/v1/runs", json=asked).json()["joined"] for _ in range(2)] == [False, True]
    answer = api.post("/v1/runs", json={**asked, "callback_url": "http://localhost:1/second"})
    assert problem(answer) == (409, "idempotency_key_reused", "idempotency_key")


def test_half_a_surrogate_pair_is_refused_wherever_it_stands(api: httpx.Client) -> None:
    body = r'{"job": "doors", "params": {"targets": [{"name": "x", "labels": {"a": "\ud800"}}]}}'
    answer = api.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (422, "invalid", "body")
    assert api.get("/v1/runs").json()["runs"] == []


@pytest.mark.parametrize(
    "path", ["/v1/batches?since=9999-12-31T23:59:59-12:00", "/v1/audit?before=99999999999999999999", "/v1/runs?job=%00"]
)
def test_what_no_ledger_can_hold_is_refused(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 422


def test_n8n_joins_the_night_it_did_not_start(house: House) -> None:
    n8n = house.client(house.token(grants_of_role("n8n"), name="canvas", kind=ActorKind.N8N))
    first = n8n.post("/v1/runs", json={"schedule": "nightly-doors"}, headers={"X-On-Behalf-Of": "ana@example.com"}).json()
    again = n8n.post("/v1/runs", json={"schedule": "nightly-doors"}).json()
    assert (first["joined"], again["joined"]) == (False, True)
    assert first["batch"]["id"] == again["batch"]["id"]
    assert first["batch"]["requested_by"] == "n8n:canvas for ana@example.com"


def test_only_n8n_speaks_for_others(api: httpx.Client) -> None:
    answer = api.post("/v1/runs", json={"job": "whistle"}, headers={"X-On-Behalf-Of": "ana"})
    assert problem(answer) == (422, "on_behalf_of", "X-On-Behalf-Of")


def test_a_body_too_large_is_refused_by_its_length(api: httpx.Client) -> None:
    answer = api.post("/v1/runs", json={"job": "whistle", "note": "x" * 17000})
    assert problem(answer) == (413, "body_too_large", "body")


def test_a_body_too_large_is_refused_while_it_streams(api: httpx.Client) -> None:
    chunks = (b" " * 1000 for _ in range(100))
    answer = api.post("/v1/runs", content=chunks, headers={"Content-Type": "application/json"})
    assert problem(answer) == (413, "body_too_large", "body")


def test_a_run_outside_the_grant_is_forbidden(house: House) -> None:
    tester = house.client(house.token([Grant(verb="run", environments=("test",))]))
    answer = tester.post("/v1/runs", json={"job": "doors", "params": {"entries": ["front"]}})
    assert problem(answer) == (403, "forbidden", None)
    assert "environment 'prod'" in answer.json()["detail"]
    assert tester.post("/v1/runs", json={"job": "doors", "params": {"entries": ["cellar"]}}).status_code == HTTPStatus.ACCEPTED


def test_a_schedule_is_joined_only_with_the_grant_for_all_of_it(house: House) -> None:
    tester = house.client(house.token([Grant(verb="run", environments=("test",))]))
    assert problem(tester.post("/v1/runs", json={"schedule": "nightly-doors"})) == (403, "forbidden", None)


def test_a_target_outside_the_estate_needs_its_own_grant(house: House, api: httpx.Client) -> None:
    body = {"job": "doors", "params": {"targets": [{"name": "attic", "open": True}]}}
    operator = house.client(house.token(grants_of_role("operator")))
    assert problem(operator.post("/v1/runs", json=body)) == (403, "ad_hoc_forbidden", None)
    assert api.post("/v1/runs", json=body).status_code == HTTPStatus.ACCEPTED


def test_runs_outside_the_grant_do_not_exist(house: House, api: httpx.Client) -> None:
    asked = api.post("/v1/runs", json={"job": "doors"}).json()
    [hidden] = [run["id"] for run in asked["runs"] if run["environment"] == "prod"]
    [shown] = [run["id"] for run in asked["runs"] if run["environment"] == "test"]
    tester = house.client(house.token([Grant(verb="read", environments=("test",))]))
    assert [run["id"] for run in tester.get("/v1/runs").json()["runs"]] == [shown]
    assert problem(tester.get(f"/v1/runs/{hidden}")) == (404, "unknown_run", None)
    assert problem(tester.post(f"/v1/runs/{hidden}/cancel")) == (404, "unknown_run", None)
    batch = tester.get(f"/v1/batches/{asked['batch']['id']}").json()
    assert [run["id"] for run in batch["runs"]] == [shown]


def test_pages_of_runs_follow_each_other(api: httpx.Client) -> None:
    asked = [run["id"] for _ in range(5) for run in api.post("/v1/runs", json={"job": "whistle"}).json()["runs"]]
    seen: list[str] = []
    after = ""
    while after is not None:
        page = api.get(f"/v1/runs?limit=2{after and '&before=' + after}").json()
        seen += [run["id"] for run in page["runs"]]
        after = page["next"]
    assert seen == sorted(asked, reverse=True)


def test_runs_are_filtered(house: House, api: httpx.Client) -> None:
    api.post("/v1/runs", json={"items": [{"job": "whistle"}, {"job": "doors"}]})
    house.work_through()
    batch = api.post("/v1/runs", json={"job": "whistle"}).json()["batch"]["id"]
    assert len(api.get("/v1/runs?job=whistle").json()["runs"]) == 2
    assert len(api.get("/v1/runs?job=whistle&state=queued").json()["runs"]) == 1
    assert len(api.get(f"/v1/runs?batch={batch}").json()["runs"]) == 1
    assert problem(api.get("/v1/runs?state=sleeping")) == (422, "invalid", "state")


def test_a_run_shows_what_it_left(house: House, api: httpx.Client) -> None:
    house.work = True
    run_id = api.post("/v1/runs", json={"job": "doors", "params": {"entries": ["front"]}}).json()["runs"][0]["id"]
    run = api.get(f"/v1/runs/{run_id}", headers={"Prefer": "wait=5"}).json()
    assert (run["state"], run["counts"]) == ("succeeded", {"ok": 0, "finding": 1, "cannot_tell": 0})
    assert [finding["reason"] for finding in run["findings"]] == ["door_open"]
    assert [(line["event"], line["facts"]) for line in run["lines"]] == [("rattling", {"force": 1})]
    assert [artifact["name"] for artifact in run["artifacts"]] == ["keys.txt", "round.txt"]
    assert not {"lease_owner", "lease_until", "fence"} & set(run)


def test_an_artifact_is_sent_for_saving_only(house: House, api: httpx.Client) -> None:
    house.work = True
    run_id = api.post("/v1/runs", json={"job": "doors"}).json()["runs"][0]["id"]
    secret, plain = (artifact["href"] for artifact in api.get(f"/v1/runs/{run_id}").json()["artifacts"])
    answer = api.get(plain)
    assert (answer.content, answer.headers["content-type"]) == (b"every door", "text/plain; charset=utf-8")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''round.txt"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert api.get(secret).content == b"under the mat"
    viewer = house.client(house.token(grants_of_role("viewer")))
    assert viewer.get(plain).content == b"every door"
    assert problem(viewer.get(secret)) == (403, "forbidden", None)
    assert problem(api.get(f"/v1/runs/{run_id}/artifacts/{'0' * 64}")) == (404, "unknown_artifact", None)


def test_a_queued_run_is_cancelled_once(api: httpx.Client) -> None:
    run_id = api.post("/v1/runs", json={"job": "whistle"}).json()["runs"][0]["id"]
    answer = api.post(f"/v1/runs/{run_id}/cancel", json={"reason": "no need"})
    assert (answer.json()["state"], answer.json()["summary"]) == ("cancelled", "cancelled by token:ci: no need")
    assert problem(api.post(f"/v1/runs/{run_id}/cancel")) == (409, "run_ended", None)


def test_cancelling_needs_the_grant_to_run(house: House, api: httpx.Client) -> None:
    run_id = api.post("/v1/runs", json={"job": "whistle"}).json()["runs"][0]["id"]
    viewer = house.client(house.token(grants_of_role("viewer")))
    assert problem(viewer.post(f"/v1/runs/{run_id}/cancel")) == (403, "forbidden", None)


def test_a_batch_is_cancelled_whole(house: House, api: httpx.Client) -> None:
    batch = api.post("/v1/runs", json={"job": "doors"}).json()["batch"]["id"]
    narrow = [Grant(verb="run", environments=("test",)), Grant(verb="read", environments=("test",))]
    assert problem(house.client(house.token(narrow)).post(f"/v1/batches/{batch}/cancel")) == (403, "forbidden", None)
    assert api.post(f"/v1/batches/{batch}/cancel").json() == {"cancelled": 2}
    body = api.get(f"/v1/batches/{batch}", headers={"Prefer": "wait=5"}).json()
    assert (body["states"], body["entries_looked_at"], body["remaining"]) == ({"cancelled": 2}, 0, 0)
    assert problem(api.get("/v1/batches/none")) == (404, "unknown_batch", None)


def test_a_run_that_needs_attention_is_resolved_with_a_reason(house: House, api: httpx.Client) -> None:
    run_id = api.post("/v1/runs", json={"job": "whistle"}).json()["runs"][0]["id"]
    body = {"resolution": "not_applied", "reason": "looked at the door"}
    assert problem(api.post(f"/v1/runs/{run_id}/resolve", json=body)) == (409, "not_needs_attention", None)
    with house.shift.ledger.transaction() as tx:
        taken = leases.claim(tx, run_id, job="whistle", owner="me", worker="w", lease_seconds=-1)
        assert taken is not None
        assert leases.take_lost(tx, taken, state=RunState.NEEDS_ATTENTION, reason="outcome_unknown")
    assert problem(api.post(f"/v1/runs/{run_id}/resolve", json={"resolution": "guess", "reason": "x"})) == (
        422,
        "invalid",
        "resolution",
    )
    operatorless = house.client(house.token(grants_of_role("n8n")))
    assert problem(operatorless.post(f"/v1/runs/{run_id}/resolve", json=body)) == (403, "forbidden", None)
    assert api.post(f"/v1/runs/{run_id}/resolve", json=body).json()["state"] == "failed"
