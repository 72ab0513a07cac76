"""The page on which a person decides, from the link of their mail to what came of it; and the pages around it."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from tests.approvals.kit import Hall, copy_of, decide_on, form_of, page_of, text_of
from tests.approvals.ward import PIN, PROD, Ward, person, rule
from worker.flow.verbs import freeze, kill
from worker.ledger import plans
from worker.ledger.approval_tables import APPROVALS, PLANS
from worker.ledger.tables import ARTIFACTS, EFFECTS, RUNS
from worker.policy import Freeze, Policy
from worker.records import Actor, ActorKind, Approval, ApprovalState, LinkPurpose, RunState

LIMIT = 30 * 1024
BO = Actor(ActorKind.PERSON, "bo")


def test_a_link_leads_to_the_page_the_page_to_a_decision_and_the_decision_to_what_came_of_it(hall: Hall) -> None:
    approval = hall.ward.ask()
    client = hall.client()
    assert client.get(f"/a/{hall.link(approval)}").headers["location"] == f"/approvals/{approval.id}"
    answer = decide_on(client, approval)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approvals/{approval.id}")
    assert hall.ward.approval(approval.id).state is ApprovalState.APPROVED
    assert hall.ward.decisions(approval)[0].via == "link"
    page = page_of(client, approval)
    assert f'data-live="/approvals/{approval.id}/live"' in page
    live = client.get(f"/approvals/{approval.id}/live")
    assert (live.headers["x-live"], "<html" in live.text) == ("on", False)
    hall.ward.carry_out()
    told = text_of(page_of(client, approval))
    assert "carried out" in told
    assert "verified" in told
    assert "wrote" in told
    assert client.get(f"/approvals/{approval.id}/live").headers["x-live"] == "over"


def test_the_page_says_all_that_a_decision_needs(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    told = " ".join(text_of(page_of(hall_here.opened(approval), approval)).split())
    for words in (
        "write 1 slots",
        "slots · prod · door",
        "medium risk",
        "slot a of door does not hold 1",
        "- ",
        "a.slot: 1",
        "Before 0 After 1",
        "can be undone in place (R1)",
        "every request counts as medium or more",
        "May decide bo, cy",
        "1 person, by rule slots",
        "Asked for it ana, who must not decide",
        "Until 23 Nov 17:00",
        "silence means no",
        "Decide as bo",
        approval.digest,
    ):
        assert words in told, words


def test_the_form_carries_what_was_shown_and_asks_for_the_pin(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    page = page_of(hall_here.opened(approval), approval)
    assert form_of(page, approval).keys() == {"csrf", "digest"}
    assert form_of(page, approval)["digest"] == approval.digest
    assert re.search(r'<input type="password" name="pin" [^>]*autocomplete="off"', page)
    assert "checked" not in page
    assert not re.search(r"<script(?![^>]* src=)|\sstyle=|\son\w+=", page)
    assert "http" not in page


def test_a_signed_in_person_decides_on_the_same_page(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.signed_in("cy")
    assert f'href="/approvals/{approval.id}"' in client.get("/approvals").text
    assert decide_on(client, approval, choice="deny", reason="not tonight").status_code == 303
    (said,) = hall_here.ward.decisions(approval)
    assert (said.person, said.via, said.choice, said.reason) == ("cy", "page", "deny", "not tonight")
    told = text_of(page_of(client, approval))
    assert "Denied by cy" in told
    assert "not tonight" in told


@pytest.mark.parametrize(
    ("members", "status", "told"),
    [
        ({"pin": "000000"}, 403, "wrong PIN"),
        ({"pin": ""}, 403, "wrong PIN"),
        ({"choice": "deny", "reason": " "}, 422, "say why not"),
        ({"choice": ""}, 422, "choose: approve or deny"),
        ({"digest": "0" * 64}, 409, "look again"),
    ],
)
def test_what_is_refused_is_told_on_the_page_without_the_pin(
    hall_here: Hall, members: dict[str, str], status: int, told: str
) -> None:
    approval = hall_here.ward.ask()
    answer = decide_on(hall_here.opened(approval), approval, reason=members.pop("reason", "because of tonight"), **members)
    assert answer.status_code == status
    assert "Nothing was decided." in answer.text
    assert told in text_of(answer.text)
    assert PIN not in answer.text
    assert "because of tonight" in answer.text or "deny" in members.values()
    assert form_of(answer.text, approval)["digest"] == approval.digest
    assert hall_here.ward.approval(approval.id) == approval


def test_a_locked_pin_says_until_when(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    client = hall_here.opened(approval)
    for _ in range(5):
        decide_on(client, approval, pin="000000")
    answer = decide_on(client, approval)
    assert (answer.status_code, "may try again at 2026-11-21 02:29 UTC" in answer.text) == (409, True)


def no_decider(ward: Ward) -> None:
    ward.change(policy=Policy(rules=(rule(people=["cy"]),)))


@pytest.mark.parametrize(
    ("name", "prepare", "told"),
    [("ana", None, "ana asked for the run that led here"), ("bo", no_decider, "lets cy decide, not bo")],
)
def test_who_may_not_decide_sees_why_and_no_form(
    hall_here: Hall, name: str, prepare: Callable[[Ward], None] | None, told: str
) -> None:
    if prepare:
        prepare(hall_here.ward)
    approval = hall_here.ward.ask()
    page = page_of(hall_here.signed_in(name), approval)
    assert told in text_of(page)
    assert 'name="pin"' not in page


def test_a_proposal_says_that_there_is_no_yes_and_can_be_put_away(hall_here: Hall) -> None:
    hall_here.ward.change(modes={PROD: "propose"})
    approval = hall_here.ward.ask()
    client = hall_here.signed_in("bo")
    page = page_of(client, approval)
    assert "there is no yes to give" in text_of(page)
    assert 'name="pin"' not in page
    csrf = form_of(page)["csrf"]
    assert (
        client.post(f"/approvals/{approval.id}/decide", data={"csrf": csrf, "choice": "approve", "pin": PIN}).status_code == 409
    )
    assert client.post(f"/approvals/{approval.id}/dismiss", data={"csrf": csrf, "reason": ""}).status_code == 422
    assert client.post(f"/approvals/{approval.id}/dismiss", data={"csrf": csrf, "reason": "known"}).status_code == 303
    assert hall_here.ward.approval(approval.id).state is ApprovalState.DENIED


def test_a_yes_is_revoked_on_the_page_by_a_person_who_is_signed_in(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    by_link = hall_here.opened(approval)
    assert decide_on(by_link, approval).status_code == 303
    assert "Revoke" not in page_of(by_link, approval)
    client = hall_here.signed_in("cy")
    form = {"csrf": form_of(page_of(client, approval))["csrf"], "reason": "the wrong night"}
    assert client.post(f"/approvals/{approval.id}/revoke", data=form).status_code == 303
    assert hall_here.ward.approval(approval.id).state is ApprovalState.REVOKED
    assert hall_here.ward.effect_runs()[0].state is RunState.CANCELLED


def test_two_people_are_needed_and_the_page_says_how_many_have_agreed(hall_here: Hall) -> None:
    hall_here.ward.change(policy=Policy(rules=(rule(approvers=2),)))
    approval = hall_here.ward.ask()
    bo, cy = hall_here.opened(approval, "bo"), hall_here.opened(approval, "cy")
    assert "Must agree 2 people" in " ".join(text_of(page_of(bo, approval)).split())
    assert decide_on(bo, approval).status_code == 303
    assert "1 of 2 have agreed" in text_of(page_of(cy, approval))
    page = page_of(bo, approval)
    assert ("You have decided on this" in page, 'name="pin"' in page) == (True, False)
    assert decide_on(cy, approval).status_code == 303
    assert hall_here.ward.approval(approval.id).state is ApprovalState.APPROVED


def test_a_request_that_took_the_place_of_another_shows_what_moved(hall_here: Hall) -> None:
    ward = hall_here.ward
    first = ward.ask()
    ward.meddle(7)
    ward.rig.clock.advance(timedelta(days=1))
    second = ward.ask()
    client = hall_here.signed_in()
    told = text_of(page_of(client, second))
    assert "Not what was asked for before" in told
    assert "steps.0.before: 0 → 7" in told
    assert "open for 2 nights" in told
    assert f'href="/approvals/{second.id}"' in page_of(client, first)


def test_a_window_of_the_policy_and_a_brake_are_shown_where_one_decides(hall_here: Hall) -> None:
    ward = hall_here.ward
    window = Freeze.model_validate({"name": "year-end", "from": "2026-11-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"})
    ward.change(policy=Policy(rules=(rule(),), freezes=(window,)))
    approval = ward.ask()
    client = hall_here.opened(approval)
    assert "Freeze window year-end holds" in text_of(page_of(client, approval))
    freeze(ward.rig.shift, BO, "the cellar floods")
    assert "<b>Frozen</b> by person:bo: the cellar floods" in page_of(client, approval)


def test_nothing_that_a_plan_says_becomes_part_of_the_page(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    evil = '<script>alert(1)</script><img src=x onerror=alert(1)>"><form action="//evil"><input name="pin">\u202e\x1b[31m{{7*7}}'
    rewrite(hall_here.ward, approval, text=f"+ {evil}\n~ {evil}", title=evil, summary=evil, irreversible=[evil])
    page = page_of(hall_here.opened(approval), approval)
    assert "<script>" not in page
    assert "<img" not in page.replace('<img src="/static/', "")
    assert page.count('name="pin"') == 1
    assert not {"\u202e", "\x1b"} & set(page)
    assert "{{7*7}}" in page


def test_a_secret_that_slipped_into_a_simulation_is_masked_on_the_page_and_in_the_text(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    token = hall_here.token()
    rewrite(hall_here.ward, approval, text=f"+ token {token}")
    client = hall_here.signed_in()
    for path in ("", "/simulation"):
        assert token not in client.get(f"/approvals/{approval.id}{path}").text
    assert token not in client.get(f"/v1/approvals/{approval.id}").text


@pytest.mark.parametrize("fill", ["&", "<", "é", "+ x"])
def test_no_plan_is_too_large_for_a_page_of_thirty_kilobytes(hall_here: Hall, fill: str) -> None:
    ward = hall_here.ward
    ward.entry(slots=tuple(f"{n:02}{'s' * 100}" for n in range(10)))
    approval = ward.ask()
    rewrite(
        ward, approval, text="\n".join(f"+ {fill * 400}" for _ in range(800)), title=fill * 4000, irreversible=[fill * 900] * 40
    )
    with ward.rig.ledger.transaction() as tx:
        long = {"risk_reasons": [fill * 900] * 60, "labels": {f"{fill * 90}{n}": fill * 900 for n in range(60)}}
        tx.execute(update(APPROVALS).values(**long, subject=fill * 4000, ended_reason=fill * 4000))
    for client in (hall_here.signed_in(), hall_here.opened(approval)):
        page = page_of(client, approval)
        assert len(page.encode()) < LIMIT
        assert 'name="pin"' in page
        whole = client.get(f"/approvals/{approval.id}/simulation")
        assert (whole.text.count("\n"), whole.headers["content-type"]) == (799, "text/plain; charset=utf-8")
        assert "sandbox" in whole.headers["content-security-policy"]
    assert all(len(hall_here.signed_in().get(path).content) < LIMIT for path in ("/approvals", "/static/console.css"))


def test_no_repair_is_too_large_for_its_pages(hall_here: Hall) -> None:
    ward = hall_here.ward
    ward.entry(slots=tuple(f"{n:02}{'&' * 100}" for n in range(10)), behaviour="does_nothing")
    approval = ward.ask()
    ward.say(approval)
    ward.carry_out()
    (run,) = ward.effect_runs()
    with ward.rig.ledger.transaction() as tx:
        long = {"receipt": {"proof": {"&" * 900: "&" * 900}}, "process": {"host": "&" * 900}, "outcome": None}
        tx.execute(update(EFFECTS).values(**long))
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(summary="&" * 2000))
    for path in (f"/approvals/{approval.id}", f"/runs/{run.id}"):
        answer = hall_here.signed_in().get(path)
        assert (answer.status_code, len(answer.content) < LIMIT) == (200, True), (path, len(answer.content))
        assert "not known" in answer.text


def test_a_plan_of_another_format_is_said_to_be_asked_anew(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    with hall_here.ward.rig.ledger.transaction() as tx:
        tx.execute(update(PLANS).values(content=b"nightshift-plan-v0\n{}"))
    client = hall_here.signed_in()
    assert "sealed by another version" in text_of(page_of(client, approval))
    assert client.get(f"/v1/approvals/{approval.id}").json()["plan"]["steps"] is None


def test_a_repair_that_needs_a_person_is_settled_on_the_page_of_its_run(hall_here: Hall) -> None:
    ward = hall_here.ward
    ward.entry(behaviour="writes_another")
    approval = ward.ask()
    ward.say(approval, "cy")
    ward.carry_out()
    client = hall_here.signed_in("bo")
    (run,) = ward.effect_runs()
    assert "needs attention" in text_of(page_of(client, approval))
    page = client.get(f"/runs/{run.id}").text
    told = " ".join(text_of(page).split())
    assert "It did not come out as it should" in told
    assert "After the change something is worse than it was before" in told
    assert "0 of 1 slots hold what they should" in told
    assert f'href="/runbooks#{run.reason}"' in page
    form = {"csrf": page.split('name="csrf" value="')[1].split('"')[0], "resolution": "", "reason": "I saw it"}
    assert client.post(f"/runs/{run.id}/resolve", data=form).status_code == 422
    assert client.post(f"/runs/{run.id}/resolve", data={**form, "resolution": "not_applied"}).status_code == 303
    assert ward.rig.run(run.id).state is RunState.FAILED
    assert "person:bo: I saw it" in text_of(client.get(f"/runs/{run.id}").text)


def half_done(hall: Hall) -> Approval:
    """A repair that needs a person."""
    hall.ward.entry(behaviour="writes_another")
    approval = hall.ward.ask()
    hall.ward.say(approval, "cy")
    hall.ward.carry_out()
    return approval


def settling(page: str, **members: str) -> dict[str, str]:
    """The form as a person fills it in."""
    found = re.search(r'<form[^>]*/resolve".*?</form>', page, re.DOTALL)
    assert found is not None, page
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', found[0]))
    return {**hidden, "resolution": "not_applied", "reason": "I put it right by hand", "pin": PIN, **members}


def test_the_link_of_a_call_for_help_settles_the_repair_with_the_pin(hall: Hall) -> None:
    approval = half_done(hall)
    (run,) = hall.ward.effect_runs()
    token, client = hall.link(approval, purpose=LinkPurpose.RESOLVE), hall.client()
    assert client.get(f"/a/{token}").status_code == 303
    page = page_of(client, approval)
    assert "as bo" in text_of(page)
    assert "After the change something is worse" in text_of(page)
    path = f"/approvals/{approval.id}/resolve"
    for wrong, status, told in (
        ({"pin": "000000"}, 403, "wrong PIN"),
        ({"resolution": ""}, 422, "accepted are applied, not_applied, retry"),
        ({"reason": " "}, 422, "`reason` is empty"),
        ({"csrf": ""}, 403, "open the link again"),
    ):
        answer = client.post(path, data=settling(page, **wrong))
        assert (answer.status_code, told in text_of(answer.text), PIN in answer.text) == (status, True, False)
        assert hall.ward.rig.run(run.id).state is RunState.NEEDS_ATTENTION
    assert client.post(path, data=settling(page)).headers["location"] == f"/approvals/{approval.id}"
    assert hall.ward.rig.run(run.id).state is RunState.FAILED
    assert "/resolve" not in page_of(client, approval)
    assert hall.client().get(f"/a/{token}").status_code == 410
    assert client.post(path, data=settling(page)).status_code == 409


def test_nobody_settles_a_repair_without_the_role_the_right_link_or_their_pin(hall_here: Hall) -> None:
    ward = hall_here.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("vic", "viewer"), person("eve", environment="elsewhere")))
    ward.entry(behaviour="writes_another")
    approval = ward.ask()
    by_decision = hall_here.opened(approval, "cy")
    decide_on(by_decision, approval)
    ward.carry_out()
    before = hall_here.picture(("pin_tries", "links", "audit"))
    callers = [by_decision, *map(hall_here.signed_in, ("vic", "eve"))]
    for name in ("vic", "eve"):
        callers.append(hall_here.client())
        callers[-1].get(f"/a/{hall_here.link(approval, name, purpose=LinkPurpose.RESOLVE)}")
    for caller in callers:
        page = caller.get(f"/approvals/{approval.id}").text
        assert f'action="/approvals/{approval.id}/resolve"' not in page
        csrf = page.split('name="csrf" value="')[1].split('"')[0] if 'name="csrf"' in page else ""
        said = {"csrf": csrf, "resolution": "applied", "reason": "x", "pin": PIN}
        assert caller.post(f"/approvals/{approval.id}/resolve", data=said).status_code in (403, 404, 409)
    assert hall_here.picture(("pin_tries", "links", "audit")) == before
    assert ward.effect_runs()[0].state is RunState.NEEDS_ATTENTION


def test_a_repair_is_taken_back_only_by_a_request_that_people_decide_on(hall_here: Hall) -> None:
    ward = hall_here.ward
    ward.mend()
    (run,) = ward.effect_runs()
    client = hall_here.signed_in("cy")
    page = client.get(f"/runs/{run.id}").text
    form = {"csrf": page.split('name="csrf" value="')[1].split('"')[0]}
    assert "Ask to undo" in page
    assert client.post(f"/runs/{run.id}/undo", data={**form, "reason": ""}).status_code == 422
    answer = client.post(f"/runs/{run.id}/undo", data={**form, "reason": "it was right before"})
    (asked,) = ward.pending()
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approvals/{asked.id}")
    assert len(ward.lines()) == 1
    assert "cy asked for the run that led here" in text_of(page_of(client, asked))


def test_the_list_is_filtered_by_state_and_comes_in_pages(hall_here: Hall) -> None:
    ward = hall_here.ward
    first = ward.ask()
    copies = [copy_of(ward, first, number) for number in range(45)]
    client = hall_here.signed_in()
    page = client.get("/approvals").text
    shown = re.findall(r'href="/approvals/([0-9a-f-]{36})"', page)
    assert shown == [copy.id for copy in copies[::-1]][:40]
    older = re.search(r'href="\?before=([^"]+)" rel="next"', page)
    assert older is not None
    rest = client.get(f"/approvals?before={older[1].replace('&amp;', '&')}").text
    assert re.findall(r'href="/approvals/([0-9a-f-]{36})"', rest) == [*[copy.id for copy in copies[::-1]][40:], first.id]
    assert "None." in client.get("/approvals?state=denied").text
    assert client.get("/approvals?state=odd").status_code == 422
    assert len(page.encode()) < LIMIT


def test_who_may_read_nothing_there_sees_no_request(hall_here: Hall) -> None:
    ward = hall_here.ward
    approval = ward.ask()
    ward.change(people=(*ward.rig.estate[-1].people, person("eve", environment="elsewhere")))
    client = hall_here.signed_in("eve")
    assert "Nothing waits for an answer." in client.get("/approvals").text
    for path in ("", "/live", "/simulation", "/plan"):
        assert client.get(f"/approvals/{approval.id}{path}").status_code == 404


def test_the_brakes_are_pulled_and_let_go_with_a_reason_and_shown_on_every_page(hall_here: Hall) -> None:
    ward = hall_here.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("adm", "admin", environment="*"), person("vic", "viewer")))
    client = hall_here.signed_in("adm")
    form = {"csrf": form_csrf(client.get("/brakes"))}
    assert "Nothing holds back" in client.get("/brakes").text
    assert client.post("/brakes/freeze", data={**form, "reason": " "}).status_code == 422
    assert client.post("/brakes/freeze", data={**form, "reason": "a storm"}).status_code == 303
    for path in ("/", "/findings", "/runs", "/approvals", "/audit", "/brakes"):
        assert "<b>Frozen</b> by person:adm: a storm" in client.get(path).text
    assert client.post("/brakes/kill", data={**form, "reason": "a flood"}).status_code == 303
    assert "<b>Killed</b> by person:adm: a flood" in client.get("/").text
    assert client.post("/brakes/thaw", data={**form, "reason": "dry again"}).status_code == 303
    assert 'class="brake"' not in client.get("/").text
    assert client.post("/brakes/stop", data={**form, "reason": "x"}).status_code == 422
    vic = hall_here.signed_in("vic")
    assert "grant <code>operate</code>" in vic.get("/brakes").text
    assert vic.post("/brakes/freeze", data={"csrf": form_csrf(vic.get("/brakes")), "reason": "x"}).status_code == 403


def test_by_api_anybody_who_operates_pulls_a_brake_and_a_person_lets_it_go(hall_here: Hall) -> None:
    ward = hall_here.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("adm", "admin", environment="*")))
    machine, human = hall_here.client(hall_here.token(ActorKind.TOKEN, "ci")), hall_here.client(hall_here.token(name="adm"))
    told = machine.post("/v1/brakes/kill", json={"reason": "smoke"}).json()
    assert (told["frozen"], told["killed"], told["by"], told["reason"]) == (True, True, "token:ci", "smoke")
    assert machine.post("/v1/brakes/thaw", json={"reason": "x"}).status_code == 403
    assert machine.post("/v1/brakes/freeze", json={"reason": ""}).status_code == 422
    assert human.get("/v1/brakes").json()["killed"] is True
    assert human.post("/v1/brakes/thaw", json={"reason": "aired"}).json()["frozen"] is False
    assert hall_here.client().get("/v1/brakes").status_code == 401


def test_a_killed_instance_says_so_to_a_stranger_with_a_link_too(hall_here: Hall) -> None:
    approval = hall_here.ward.ask()
    kill(hall_here.ward.rig.shift, BO, "smoke")
    page = page_of(hall_here.opened(approval), approval)
    assert "<b>Killed</b>" in page
    assert 'href="/brakes"' not in page


def test_the_audit_trail_of_a_request_is_one_click_away(hall_here: Hall) -> None:
    ward = hall_here.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("adm", "admin", environment="*")))
    approval = ward.ask()
    ward.say(approval)
    client = hall_here.signed_in("adm")
    assert f'href="/audit?about={approval.id}"' in page_of(client, approval)
    told = text_of(client.get(f"/audit?about={approval.id}").text)
    for verb in ("approval asked", "approval approved by", "approval approved"):
        assert verb in told
    assert "not chained yet" in told


def form_csrf(answer: httpx.Response) -> str:
    return answer.text.split('name="csrf" value="')[1].split('"')[0]


def rewrite(ward: Ward, approval: Approval, *, text: str, title: str = "", summary: str = "", irreversible: Any = ()) -> None:
    """As if the remedy had said so."""
    with ward.rig.ledger.transaction() as tx:
        plan = plans.get(tx, approval.digest)
        assert plan is not None
        content = text.encode()
        tx.execute(update(ARTIFACTS).where(ARTIFACTS.c.sha256 == plan.simulation_sha256).values(content=content))
        tx.execute(update(PLANS).values(irreversible=list(irreversible), **({"summary": summary} if summary else {})))
        if title:
            tx.execute(update(APPROVALS).values(title=title))
