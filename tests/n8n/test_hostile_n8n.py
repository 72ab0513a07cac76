"""A canvas that was taken over, with a token that may do all that the role n8n may: it asks, and decides nothing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from tests.api.kit import NIGHTLY, problem
from tests.approvals.kit import page_of, yes
from tests.approvals.ward import PIN, undelivered
from tests.n8n.gatehouse import N8N, PAYLOAD, Gatehouse, consume, question
from worker.api import console
from worker.api.app import ROUTERS
from worker.records import ActorKind, ApprovalState

WHY = {"reason": "because"}
SECRET = "link-canary-0123456789"
REFUSED: Mapping[str, dict[str, Any]] = {
    "POST /v1/runs/{run}/resolve": {"resolution": "applied", **WHY},
    "POST /v1/runs/{effect}/cancel": WHY,
    "POST /v1/batches/{effect_batch}/cancel": WHY,
    "POST /v1/findings/{finding}/acknowledge": WHY,
    "POST /v1/findings/{finding}/mute": {**WHY, "until": "2099-01-01T00:00:00Z"},
    "POST /v1/findings/{finding}/unmute": {},
    "POST /v1/approvals/{approval}/decisions": {"choice": "approve", "digest": "0" * 64, "pin": PIN, "reason": "it must be"},
    "POST /v1/approvals/{approval}/revoke": WHY,
    "POST /v1/approvals/{approval}/dismiss": WHY,
    "POST /v1/approvals/{others_gate}/consume": {"payload_sha256": PAYLOAD},
    "POST /v1/brakes/{brake}": WHY,
    "POST /v1/schedules/{schedule}/pause": WHY,
    "POST /v1/schedules/{schedule}/resume": {},
    "DELETE /v1/subscriptions/{others_subscription}": {},
    "POST /v1/deliveries/{others_delivery}/resend": {},
    "POST /v1/deliveries/{others_delivery}/put-away": WHY,
}
ITS_OWN = {"POST /v1/runs", "POST /v1/asks", "POST /v1/subscriptions", "POST /v1/runs/{run}/undo"}
"""What a canvas is for, and asking people to take a repair back; the routes above serve its own gates and results, too."""
FOR_ALL_ELSE = {"GET /healthz", "GET /readyz", "GET /metrics", "GET /docs"}
"""Neither API nor page."""


def routes(router: Any) -> Iterator[tuple[str, str]]:
    for route in router.routes:
        if hasattr(route, "original_router"):
            yield from routes(route.original_router)
        elif isinstance(route, APIRoute):
            yield from ((method, route.path) for method in sorted(route.methods or ()) if method not in ("HEAD", "OPTIONS"))


def shape(route: str) -> str:
    """Without the names of its members."""
    return re.sub(r"{\w+}", "{}", route)


EVERYTHING = [f"{method} {path}" for part in ROUTERS for method, path in routes(part.router)]
READS = [route.removeprefix("GET ") for route in EVERYTHING if route.startswith("GET /v1/")]
WRITES = [route for route in EVERYTHING if " /v1/" in route and not route.startswith("GET ")]
FOR_ALL = {"/login", "/static/{name}", "/runbooks"}
"""Nothing of an instance is on these."""
PAGES = [(method, path) for method, path in routes(console.router) if path not in FOR_ALL or method != "GET"]


@pytest.fixture
def scene(gatehouse_here: Gatehouse) -> dict[str, str]:
    """A repair that was approved, a question that waits, and things of another canvas."""
    house = gatehouse_here
    repair = house.ward.say(house.ward.ask())
    (effect,) = house.ward.effect_runs()
    (finding,) = house.ward.rig.findings()
    other = house.canvas("other")
    waits, gate = house.approval(house.ask(other, subject="Waits")), house.approved(other)
    made = other.post("/v1/subscriptions", json={"url": "http://localhost:1/hook", "events": ["finding.opened"]})
    return {
        "run": repair.run_id,
        "effect": effect.id,
        "effect_batch": effect.batch_id,
        "finding": finding.id,
        "approval": waits.id,
        "others_gate": gate.id,
        "brake": "freeze",
        "schedule": "nightly-doors",
        "others_subscription": made.json()["id"],
        "others_delivery": undelivered(house.ward, waits.run_id),
    }


def test_every_route_that_writes_is_known_here() -> None:
    assert sorted(map(shape, {*REFUSED, *ITS_OWN})) == sorted(set(map(shape, WRITES)))


def test_every_route_there_is_is_one_of_those_that_are_tried_here(gatehouse_here: Gatehouse) -> None:
    pages = {f"{method} {path}" for method, path in routes(console.router)}
    assert set(EVERYTHING) == {*WRITES, *(f"GET {path}" for path in READS), *pages, *FOR_ALL_ELSE}
    beside = [route for route in gatehouse_here.hall.app.routes if not hasattr(route, "original_router")]
    assert [getattr(route, "path", route) for route in beside] == ["/openapi.json"]


def test_what_a_canvas_may_not_do_is_refused_changes_nothing_and_is_in_the_audit(
    gatehouse_here: Gatehouse, scene: dict[str, str]
) -> None:
    house = gatehouse_here
    house.ward.change(schedules={NIGHTLY.name: replace(NIGHTLY, job="slots")})
    hostile = house.canvas("hostile", behalf="bo")
    before = house.hall.picture(without=("audit",))
    tried = {**REFUSED, "POST /v1/brakes/kill": WHY, "POST /v1/brakes/thaw": WHY}
    answers = {}
    for route, body in tried.items():
        method, path = route.format(**scene).split(" ")
        answers[route] = hostile.request(method, path, json=body)
    assert {route: answer.status_code for route, answer in answers.items()} == dict.fromkeys(tried, 403)
    assert house.hall.picture(without=("audit",)) == before
    rows = house.ward.audit("request.refused")[::-1]
    assert {row.actor for row in rows} == {"n8n:hostile for bo"}
    assert [row.facts["code"] for row in rows] == [problem(answer)[1] for answer in answers.values()]
    assert {shape(row.object_id) for row in rows} == {shape(known) for known in REFUSED}


def test_no_page_link_or_form_is_for_the_bearer_of_a_token(gatehouse_here: Gatehouse, scene: dict[str, str]) -> None:
    house = gatehouse_here
    link, login = house.hall.link(house.ward.approval(scene["approval"])), house.hall.login_token()
    members = {"token": link, "approval_id": scene["approval"], "run_id": scene["effect"], "finding_id": scene["finding"]}
    members |= {"batch_id": scene["effect_batch"], "brake": "kill", "schedule": NIGHTLY.name}
    members |= {"delivery_id": scene["others_delivery"]}
    hostile = house.canvas("hostile")
    before = house.hall.picture(without=("audit",))
    form = {"token": login, **WHY}
    answers = {
        f"{method} {path}": hostile.request(method, path.format(**members), data=form if method == "POST" else None)
        for method, path in PAGES
    }
    assert len(answers) > 20
    assert {page: answer.status_code for page, answer in answers.items()} == dict.fromkeys(answers, 403)
    assert [answer.headers.get("set-cookie") for answer in answers.values()] == [None] * len(answers)
    assert house.hall.picture(without=("audit",)) == before
    rows = house.ward.audit("request.refused")[::-1]
    assert [(row.actor, row.object_id, row.facts) for row in rows] == [
        ("n8n:hostile", page, {"code": "not_a_person"}) for page in answers
    ]
    assert not [token for token in (link, login) if token in str(house.hall.picture())]


def test_a_page_that_a_person_opened_is_not_taken_over_by_a_token(gatehouse_here: Gatehouse, scene: dict[str, str]) -> None:
    """Cookies and CSRF token of a person's browser, in the hands of somebody who also shows a token."""
    house = gatehouse_here
    approval = house.ward.approval(scene["approval"])
    browser = house.hall.opened(approval)
    form = yes(page_of(browser, approval))
    browser.headers["Authorization"] = house.canvas("hostile").headers["Authorization"]
    assert browser.post(f"/approvals/{approval.id}/decide", data=form).status_code == 403
    assert house.ward.approval(approval.id).state is ApprovalState.PENDING


def test_nothing_that_a_canvas_reads_holds_a_link_a_callback_or_a_secret(
    gatehouse_here: Gatehouse, scene: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    house = gatehouse_here
    canvas = house.canvas("reader")
    link = house.hall.link(house.ward.approval(scene["approval"]))
    url = f"http://localhost:1/webhook-waiting/7?signature={SECRET}"
    asked = house.ask(canvas, subject="With a callback", callback_url=url)
    made = canvas.post("/v1/subscriptions", json={"url": f"http://localhost:1/{SECRET}", "events": ["finding.opened"]})
    secret = made.json()["secret"]
    run = house.ward.rig.run(house.approval(asked).run_id)
    (artifact,) = canvas.get(f"/v1/runs/{run.id}").json()["artifacts"]
    members = {"approval_id": asked["approval_id"], "ask_id": asked["ask"], "batch_id": run.batch_id, "run_id": run.id}
    members |= {"finding_id": scene["finding"], "digest": house.approval(asked).digest, "name": "slots"}
    members |= {"subscription_id": made.json()["id"], "sha256": artifact["sha256"]}
    read = [path.format(**members) for path in READS] + [route.removeprefix("GET ") for route in FOR_ALL_ELSE]
    read += ["/openapi.json", "/v1/approvals?state=all", "/v1/audit?limit=1000", "/v1/deliveries?state=failed"]
    read += [f"/v1/approvals/{scene['approval']}", f"/v1/approvals/{scene['others_gate']}", f"/v1/runs/{scene['run']}"]
    answers = {path: canvas.get(path) for path in read}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(read, 200)
    told = "".join(answer.text for answer in answers.values())
    for canary in (link, SECRET, secret):
        assert canary not in told
        assert not [table for table, rows in house.hall.picture().items() if canary in "".join(rows)]
    assert SECRET not in capfd.readouterr().err


def test_a_forged_yes_is_none(gatehouse_here: Gatehouse) -> None:
    """Neither a made-up approval, nor the hash of another payload, nor somebody else's yes."""
    house = gatehouse_here
    hostile = house.canvas("hostile")
    assert problem(consume(hostile, "0191d3a4-0000-7000-8000-000000000000")) == (404, "unknown_approval", None)
    mine = house.approval(house.ask(hostile))
    assert problem(consume(hostile, mine.id)) == (409, "not_approved", None)
    others = house.approved(house.canvas("other"))
    assert problem(consume(hostile, others.id)) == (403, "other_family", None)
    assert [row.facts["code"] for row in house.ward.audit("gate.refused")] == ["other_family", "not_approved"]


def test_n8n_on_behalf_of_somebody_is_an_actor_of_its_own(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    for_ana, alone = house.canvas("canvas", behalf="ana@example.com"), house.canvas("canvas")
    approval = house.approved(for_ana)
    assert consume(for_ana, approval.id).status_code == 200
    house.ask(alone, subject="Another")
    queued = [row.actor for row in house.ward.audit("batch.queued")]
    assert queued == ["n8n:canvas", "n8n:canvas for ana@example.com"]
    assert house.ward.audit("gate.consumed")[0].actor == "n8n:canvas for ana@example.com"


def test_nobody_but_n8n_speaks_for_others(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    for kind, name in ((ActorKind.TOKEN, "ci"), (ActorKind.PERSON, "bo")):
        client = house.hall.client(house.hall.token(kind, name))
        client.headers["X-On-Behalf-Of"] = "ana"
        assert problem(client.post("/v1/asks", json=question())) == (422, "on_behalf_of", "X-On-Behalf-Of")


def test_a_token_without_the_grant_asks_nobody(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    reader = house.canvas("reader", [grant for grant in N8N if grant.verb != "ask"])
    assert problem(reader.post("/v1/asks", json=question())) == (403, "forbidden", None)
    assert house.ward.approvals() == []


def test_revoked_and_expired_tokens_are_told_so(gatehouse_here: Gatehouse) -> None:
    house = gatehouse_here
    canvas: httpx.Client = house.canvas("old")
    house.ward.rig.clock.advance(timedelta(days=31))
    assert problem(canvas.post("/v1/asks", json=question())) == (401, "token_expired", None)
