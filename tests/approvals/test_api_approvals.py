"""Approvals and plans by API: everybody with `read` may look, and a person alone decides, with their own token and PIN."""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from tests.api.kit import problem
from tests.approvals.kit import Hall, page_of, yes
from tests.approvals.ward import PIN, PROD, person, rule
from worker.configuration import Person
from worker.policy import Policy
from worker.records import ActorKind, Approval, ApprovalState
from worker.tokens import Grant, grants_of_role

DECIDE = "/v1/approvals/{}/decisions"
Say = Callable[[], httpx.Response]
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""A PIN's hash costs 64 MB and 50 ms by design; two hundred at once need not."""


def body(approval: Approval, **members: Any) -> dict[str, Any]:
    return {"choice": "approve", "digest": approval.digest, "pin": PIN, "reason": "it must be", **members}


def test_a_person_decides_with_their_own_token_and_pin(hall: Hall) -> None:
    approval = hall.ward.ask()
    answer = hall.client(hall.token()).post(DECIDE.format(approval.id), json=body(approval))
    assert answer.status_code == 201
    told = answer.json()
    assert (told["state"], told["id"], told["effect_run_id"]) == ("approved", approval.id, hall.ward.effect_runs()[0].id)
    (said,) = hall.ward.decisions(approval)
    assert (said.person, said.via, said.reason) == ("bo", "api", "it must be")


def test_a_no_by_api_needs_a_reason(hall_here: Hall) -> None:
    approval, client = hall_here.ward.ask(), hall_here.client(hall_here.token())
    answer = client.post(DECIDE.format(approval.id), json=body(approval, choice="deny", reason=""))
    assert problem(answer) == (422, "invalid", "reason")
    answer = client.post(DECIDE.format(approval.id), json=body(approval, choice="deny", reason="not now"))
    assert (answer.status_code, answer.json()["state"]) == (201, "denied")


@pytest.mark.parametrize("kind", [kind for kind in ActorKind if kind is not ActorKind.PERSON])
@pytest.mark.parametrize("name", ["ci", "bo"])
def test_a_token_of_any_other_kind_can_ask_and_never_decide(hall_here: Hall, kind: ActorKind, name: str) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.client(hall_here.token(kind, name))
    before = hall_here.picture(without=("audit",))
    assert problem(client.post(DECIDE.format(approval.id), json=body(approval))) == (403, "not_a_person", None)
    assert hall_here.picture(without=("audit",)) == before
    (tried,) = hall_here.ward.audit("request.refused")
    assert (tried.actor, tried.object_id) == (f"{kind}:{name}", "POST /v1/approvals/{approval_id}/decisions")
    assert client.get(f"/v1/approvals/{approval.id}").status_code == 200
    assert client.post("/v1/runs", json={"job": "slots"}).status_code == 202


def test_a_session_decides_on_the_page_and_not_by_api(hall_here: Hall) -> None:
    approval, client = hall_here.ward.ask(), hall_here.signed_in("bo")
    csrf = client.get("/approvals").text.split('name="csrf" value="')[1].split('"')[0]
    answer = client.post(DECIDE.format(approval.id), json=body(approval), headers={"X-CSRF-Token": csrf})
    assert problem(answer) == (403, "not_a_person", None)


def test_what_a_person_s_token_may_do_is_in_the_configuration_in_force(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.client(hall_here.token(name="bo"))
    hall_here.ward.change(people=(person("ana"), person("bo", "viewer")))
    answer = client.post(DECIDE.format(approval.id), json=body(approval))
    assert problem(answer) == (403, "not_a_decider", None)
    hall_here.ward.change(people=(person("ana"),))
    assert client.get("/v1/approvals").json()["approvals"] == []
    assert problem(client.post(DECIDE.format(approval.id), json=body(approval))) == (404, "unknown_approval", None)


@pytest.mark.parametrize(
    ("who", "members", "expected"),
    [
        ("bo", {"pin": "000000"}, (403, "wrong_pin", "pin")),
        ("ana", {}, (403, "self_approval", None)),
        ("bo", {"digest": "0" * 64}, (409, "digest_moved", None)),
        ("bo", {"digest": "short"}, (422, "invalid", "digest")),
        ("bo", {"choice": "maybe"}, (422, "invalid", "choice")),
        ("bo", {"pin": ""}, (422, "invalid", "pin")),
        ("bo", {"pin": 482915}, (422, "invalid", "pin")),
        ("bo", {"reason": "x" * 501}, (422, "invalid", "reason")),
        ("bo", {"person": "cy"}, (422, "invalid", "person")),
        ("bo", {"reason": "a\0b"}, (422, "invalid", "body")),
    ],
)
def test_what_is_refused_decides_nothing_and_repeats_no_pin(
    hall_here: Hall, who: str, members: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.client(hall_here.token(name=who))
    before = hall_here.picture(("pin_tries",))
    answer = client.post(DECIDE.format(approval.id), json=body(approval, **members))
    assert problem(answer) == expected
    assert PIN not in answer.text
    assert hall_here.picture(("pin_tries",)) == before


def test_a_person_without_a_pin_is_told_how_to_get_one(hall_here: Hall) -> None:
    hall_here.ward.change(people=(person("ana"), person("bo", pin=False)))
    approval = hall_here.ward.ask()
    answer = hall_here.client(hall_here.token()).post(DECIDE.format(approval.id), json=body(approval))
    assert problem(answer) == (403, "no_pin", "pin")
    assert "nightshift people pin bo" in answer.json()["detail"]


def test_an_approval_shows_all_that_belongs_to_it(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    hall_here.ward.say(approval)
    client = hall_here.client(hall_here.token(ActorKind.TOKEN, "ci"))
    told = client.get(f"/v1/approvals/{approval.id}").json()
    (run,) = hall_here.ward.effect_runs()
    assert (told["state"], told["digest"], told["deciders"]) == ("approved", approval.digest, ["bo", "cy"])
    assert told["plan"]["steps"][0]["id"] == "write-a"
    assert told["simulation"].startswith("- ")
    assert [said["person"] for said in told["decisions"]] == ["bo"]
    assert [row["key"] for row in told["findings"]] == ["slot:a"]
    assert told["links"]["run"] == f"/v1/runs/{run.id}"
    assert client.get(told["links"]["run"]).json()["approval_id"] == approval.id
    assert client.get(told["links"]["plan"]).status_code == 200


def test_anybody_can_hash_the_exact_bytes_of_a_plan(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.client(hall_here.token(ActorKind.TOKEN, "ci"))
    raw = client.get(f"/v1/plans/{approval.digest}", headers={"Accept": "application/octet-stream"})
    assert raw.headers["content-type"] == "application/octet-stream"
    assert hashlib.sha256(raw.content).hexdigest() == approval.digest
    told = client.get(f"/v1/plans/{approval.digest}").json()
    assert base64.b64decode(told["content_base64"]) == raw.content
    assert problem(client.get(f"/v1/plans/{'0' * 64}")) == (404, "unknown_plan", None)


def test_what_no_grant_covers_does_not_exist(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    elsewhere = hall_here.client(hall_here.token(ActorKind.TOKEN, "ci", grants_of_role("admin", environments=("test",))))
    assert elsewhere.get("/v1/approvals").json() == {"approvals": [], "next": None}
    for path in (f"/v1/approvals/{approval.id}", f"/v1/plans/{approval.digest}"):
        assert elsewhere.get(path).status_code == 404
    answer = elsewhere.post(f"/v1/approvals/{approval.id}/revoke", json={"reason": "x"})
    assert problem(answer) == (404, "unknown_approval", None)


def test_the_list_is_filtered_and_comes_in_pages(hall_here: Hall) -> None:
    ward = hall_here.ward
    first = ward.ask()
    ward.meddle(7)
    second = ward.ask()
    client = hall_here.client(hall_here.token(ActorKind.TOKEN, "ci"))
    assert [one["id"] for one in client.get("/v1/approvals").json()["approvals"]] == [second.id]
    page = client.get("/v1/approvals", params={"state": "all", "limit": 1}).json()
    assert ([one["id"] for one in page["approvals"]], page["next"]) == ([second.id], second.id)
    page = client.get("/v1/approvals", params={"state": "all", "limit": 1, "before": page["next"]}).json()
    assert ([one["id"] for one in page["approvals"]], page["next"]) == ([first.id], None)
    assert client.get("/v1/approvals", params={"job": "other"}).json()["approvals"] == []
    assert client.get("/v1/approvals", params={"environment": "test"}).json()["approvals"] == []
    assert client.get("/v1/approvals", params={"state": "superseded"}).json()["approvals"][0]["id"] == first.id
    assert problem(client.get("/v1/approvals", params={"state": "odd"}))[:2] == (422, "invalid")


def test_what_moved_since_the_request_before_is_told(hall_here: Hall) -> None:
    ward = hall_here.ward
    first = ward.ask()
    ward.meddle(7)
    second = ward.ask()
    client = hall_here.client(hall_here.token())
    told = client.get(f"/v1/approvals/{second.id}").json()
    assert [one["id"] for one in told["earlier"]] == [first.id]
    assert any("0" in line and "7" in line for line in told["earlier"][0]["moved"])
    assert client.get(f"/v1/approvals/{first.id}").json()["superseded_by"] == second.id


@pytest.mark.parametrize("verb", ["operate", "decide"])
def test_a_yes_is_revoked_with_a_reason(hall_here: Hall, verb: str) -> None:
    approval = hall_here.ward.ask()
    hall_here.ward.say(approval)
    grants = [Grant.model_validate({"verb": "read"}), Grant.model_validate({"verb": verb})]
    client = hall_here.client(hall_here.token(ActorKind.TOKEN, "ci", grants))
    assert problem(client.post(f"/v1/approvals/{approval.id}/revoke", json={}))[:2] == (422, "invalid")
    answer = client.post(f"/v1/approvals/{approval.id}/revoke", json={"reason": "wrong night"})
    assert (answer.status_code, answer.json()["state"], answer.json()["ended_reason"]) == (200, "revoked", "wrong night")
    again = client.post(f"/v1/approvals/{approval.id}/revoke", json={"reason": "wrong night"})
    assert problem(again) == (409, "not_pending", None)


def test_who_may_only_look_revokes_and_dismisses_nothing(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.client(hall_here.token(ActorKind.TOKEN, "ci", grants_of_role("viewer")))
    for verb in ("revoke", "dismiss"):
        assert problem(client.post(f"/v1/approvals/{approval.id}/{verb}", json={"reason": "x"})) == (403, "forbidden", None)
    assert hall_here.ward.approval(approval.id) == approval


def test_a_proposal_is_dismissed_and_has_no_yes(hall_here: Hall) -> None:
    hall_here.ward.change(modes={PROD: "propose"})
    approval = hall_here.ward.ask()
    client = hall_here.client(hall_here.token())
    assert problem(client.post(DECIDE.format(approval.id), json=body(approval))) == (409, "propose_only", None)
    answer = client.post(f"/v1/approvals/{approval.id}/dismiss", json={"reason": "known"})
    assert (answer.status_code, answer.json()["state"]) == (200, "denied")


def test_two_people_are_needed_where_the_rule_says_so(hall_here: Hall) -> None:
    hall_here.ward.change(policy=Policy(rules=(rule(approvers=2),)))
    approval = hall_here.ward.ask()
    bo, cy = (hall_here.client(hall_here.token(name=name)) for name in ("bo", "cy"))
    assert bo.post(DECIDE.format(approval.id), json=body(approval)).json()["state"] == "pending"
    assert problem(bo.post(DECIDE.format(approval.id), json=body(approval))) == (409, "decided_before", None)
    assert cy.post(DECIDE.format(approval.id), json=body(approval)).json()["state"] == "approved"


def crowd(number: int) -> tuple[Person, ...]:
    quick = QUICK.hash(PIN)
    return tuple(
        Person.model_validate({"name": f"p{n}", "roles": {PROD: ("operator",)}, "pin_hash": quick}) for n in range(number)
    )


@pytest.mark.slow
def test_of_200_decisions_at_once_by_page_and_api_one_wins(hall: Hall) -> None:
    hall.ward.change(people=(person("ana"), *crowd(40)))
    approval = hall.ward.ask()
    said = [_by_page(hall, approval, n) if n % 2 else _by_api(hall, approval, n) for n in range(40)]
    with ThreadPoolExecutor(40) as pool:
        answers = [status for statuses in pool.map(_five_times, said) for status in statuses]
    assert len(answers) == 200
    won = [status for status in answers if status in (201, 303)]
    assert (len(won), set(answers) - {201, 303}) == (1, {409} | ({410} & set(answers)))
    assert hall.ward.approval(approval.id).state is ApprovalState.APPROVED
    assert (len(hall.ward.decisions(approval)), len(hall.ward.effect_runs())) == (1, 1)
    assert Counter(entry.verb for entry in hall.ward.audit("approval.approved")) == {
        "approval.approved": 1,
        "approval.approved_by": 1,
    }


def _by_page(hall: Hall, approval: Approval, number: int) -> Say:
    client = hall.opened(approval, f"p{number}")
    form = yes(page_of(client, approval))
    return lambda: client.post(f"/approvals/{approval.id}/decide", data=form)


def _by_api(hall: Hall, approval: Approval, number: int) -> Say:
    client = hall.client(hall.token(name=f"p{number}"))
    return lambda: client.post(DECIDE.format(approval.id), json=body(approval))


def _five_times(say: Say) -> list[int]:
    return [say().status_code for _ in range(5)]
