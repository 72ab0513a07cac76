"""Who may call: tokens and sessions, and what is refused to whom."""

import pytest

from tests.api.kit import House, problem
from worker.ledger import people
from worker.tokens import grants_of_role

PATHS = ("/v1/runs", "/v1/batches", "/v1/findings", "/v1/jobs", "/v1/schedules", "/v1/audit", "/v1/deliveries", "/v1/runs/x")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_read_without_a_token(house: House, path: str) -> None:
    answer = house.client().get(path)
    assert problem(answer) == (401, "token_missing", None)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer", "Basic YTpi", "nst_x"])
def test_a_malformed_authorization_is_refused_even_beside_a_session(house: House, header: str) -> None:
    client = house.signed_in()
    assert problem(client.get("/v1/runs", headers={"Authorization": header})) == (401, "token_malformed", None)


def test_an_unknown_token_is_refused_and_not_repeated(house: House) -> None:
    answer = house.client("nst_made-up").get("/v1/runs")
    assert problem(answer) == (401, "token_unknown", None)
    assert "made-up" not in answer.text


def test_an_expired_token_is_refused_as_such(house: House) -> None:
    token = house.token(days=-1)
    answer = house.client(token).get("/v1/runs")
    assert problem(answer) == (401, "token_expired", None)
    assert token not in answer.text


def test_a_token_dies_with_its_revocation(house: House) -> None:
    client = house.client(house.token())
    assert client.get("/v1/runs").status_code == 200
    with house.shift.ledger.transaction() as tx:
        [row] = people.tokens(tx)
        people.revoke_token(tx, row.id, house.clock())
    assert problem(client.get("/v1/runs")) == (401, "token_revoked", None)


def test_the_audit_is_for_those_who_may_read_everything(house: House) -> None:
    narrow = house.client(house.token(grants_of_role("viewer", environments=("prod",))))
    assert problem(narrow.get("/v1/audit")) == (403, "forbidden", None)
    assert house.client(house.token(grants_of_role("viewer"))).get("/v1/audit").status_code == 200


def test_a_session_reads_and_needs_the_csrf_token_to_write(house: House) -> None:
    client = house.signed_in()
    assert client.get("/v1/runs").json() == {"runs": [], "next": None}
    assert problem(client.post("/v1/runs", json={"job": "whistle"})) == (403, "csrf", None)
    csrf = client.get("/").text.split('name="csrf" value="')[1].split('"')[0]
    made = client.post("/v1/runs", json={"job": "whistle"}, headers={"X-CSRF-Token": csrf})
    assert made.json()["batch"]["requested_by"] == "person:ana"


def test_the_csrf_token_of_another_session_is_refused(house: House) -> None:
    other = house.signed_in("ana")
    csrf = other.get("/").text.split('name="csrf" value="')[1].split('"')[0]
    answer = house.signed_in("ana").post("/v1/runs", json={"job": "whistle"}, headers={"X-CSRF-Token": csrf})
    assert problem(answer) == (403, "csrf", None)


def test_a_role_taken_away_counts_at_once(house: House) -> None:
    client = house.signed_in()
    house.people.clear()
    assert client.get("/").status_code == 403
    assert problem(client.get("/v1/audit")) == (403, "forbidden", None)


def test_unknown_paths_and_methods_are_problems(house: House) -> None:
    client = house.client(house.token())
    assert problem(client.get("/v1/nothing")) == (404, "not_found", None)
    answer = client.delete("/v1/runs")
    assert problem(answer) == (405, "method_not_allowed", None)
    assert answer.headers["allow"]
