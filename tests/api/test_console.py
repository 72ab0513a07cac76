"""The console: signing in by a link, the pages, and the forms on them."""

import logging
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.api.kit import House
from worker.flow.errors import Refused
from worker.flow.signing_in import spend_login_link
from worker.ledger import audit_rows, findings, leases
from worker.ledger.rows import new_id
from worker.records import FindingKind, FindingRow, FindingState, RunState

HTML = {"Accept": "text/html"}
LIMIT = 30 * 1024


def csrf_of(page: str) -> str:
    return page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0]


def ids_in(page: str, kind: str) -> list[str]:
    return re.findall(rf'href="/{kind}/([0-9a-f-]{{36}})"', page)


@pytest.fixture
def ana(house: House) -> httpx.Client:
    """An admin, signed in, after a night."""
    house.work = True
    house.client(house.token()).post("/v1/runs", json={"items": [{"job": "doors"}, {"job": "whistle"}]})
    house.work = False
    return house.signed_in("ana")


@pytest.mark.parametrize(
    "path", ["/", "/findings", "/findings/x", "/runs", "/runs/x", "/batches/x", "/schedules", "/audit", "/jobs"]
)
def test_every_page_leads_a_stranger_to_the_door(house: House, path: str) -> None:
    answer = house.client().get(path, headers=HTML)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login")
    assert "nightshift login" in house.client().get("/login").text


def test_looking_at_a_link_writes_nothing(house: House) -> None:
    token, client = house.link(), house.client()
    for method in ("GET", "HEAD", "GET"):
        answer = client.request(method, f"/login/{token}")
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
    assert spend_login_link(house.shift, token) == "ana"


def test_a_link_is_spent_once_for_a_session_and_a_bare_address(house: House) -> None:
    token, client = house.link(), house.client()
    page = client.get(f"/login/{token}").text
    answer = client.post("/login", data={"token": page.split('name="token" value="')[1].split('"')[0]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Max-Age=43200", "Path=/"))
    assert "Secure" not in cookie
    assert client.get("/").status_code == 200
    again = house.client().post("/login", data={"token": token})
    assert (again.status_code, "set-cookie" in again.headers) == (409, False)
    assert "was used before" in again.text
    with house.shift.ledger.read() as connection:
        verbs = [row.entry.verb for row in audit_rows.recent(connection)]
    assert verbs == ["person.signed_in", "person.link_made"]


def test_the_cookie_is_for_tls_alone_where_people_come_by_tls(house: House) -> None:
    token = house.link()
    here = house.app.state.gateway
    settings = house.settings.model_copy(update={"base_url": "https://night.example"})
    house.app.state.gateway = replace(here, settings=settings)
    assert "Secure" in house.client().post("/login", data={"token": token}).headers["set-cookie"]


def test_an_expired_link_signs_nobody_in(house: House) -> None:
    token = house.link()
    house.clock.advance(timedelta(hours=1))
    assert house.client().post("/login", data={"token": token}).status_code == 409


def test_a_link_signs_in_only_who_has_a_role(house: House) -> None:
    answer = house.client().post("/login", data={"token": house.link("stranger")})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "people.toml" in answer.text


def test_another_site_cannot_sign_somebody_in(house: House) -> None:
    token = house.link()
    answer = house.client().post("/login", data={"token": token}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    with pytest.raises(Refused):
        spend_login_link(house.shift, "made-up")
    assert spend_login_link(house.shift, token) == "ana"


def test_a_session_ends_with_its_time_and_by_signing_out(house: House) -> None:
    client = house.signed_in()
    csrf = csrf_of(client.get("/").text)
    assert client.post("/logout").status_code == 403
    assert client.post("/logout", data={"csrf": csrf}).headers["location"] == "/login"
    assert client.get("/").status_code == 303
    other = house.signed_in()
    house.clock.advance(timedelta(hours=13))
    assert other.get("/").status_code == 303


def test_the_access_log_does_not_keep_links(house: House) -> None:
    record = logging.LogRecord("uvicorn.access", logging.INFO, "x", 1, '%s "%s %s"', ("127.0.0.1", "GET", "/login/s3cret"), None)
    logging.getLogger("uvicorn.access").handle(record)
    assert record.getMessage() == '127.0.0.1 "GET /login/***"'


def test_pages_keep_to_themselves(ana: httpx.Client) -> None:
    answer = ana.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy == "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    for page in ("/", "/findings", "/runs", "/schedules", "/jobs", "/audit"):
        answer = ana.get(page)
        text = answer.text
        assert answer.status_code == 200
        assert "http" not in text.replace('http-equiv="refresh"', "")
        assert not re.search(r"<script(?![^>]* src=)|\sstyle=|\son\w+=", text)


def test_static_files_are_kept_by_browsers(ana: httpx.Client) -> None:
    for address in re.findall(r'"(/static/[^"]+)"', ana.get("/").text):
        answer = ana.get(address)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    assert ana.get("/static/../app.py").status_code == 404


def test_tonight_tells_what_was_looked_at_and_found(ana: httpx.Client) -> None:
    page = ana.get("/").text
    assert "1 new finding<" in page
    assert "Looked at 4 of 4" in page
    assert "Door front is open" in page
    assert "nightly-doors" in page
    assert len(ids_in(page, "batches")) == 1


def test_a_finding_shows_its_evidence_escaped_and_how_to_check_again(ana: httpx.Client) -> None:
    [finding] = [one for one in ids_in(ana.get("/findings").text, "findings") if "Door front" in ana.get(f"/findings/{one}").text]
    page = ana.get(f"/findings/{finding}").text
    assert "rattle front" in page
    assert "&lt;/script&gt;" in page
    assert "<b>bold" not in page


def test_a_finding_is_acknowledged_and_muted_by_form(house: House, ana: httpx.Client) -> None:
    finding = ids_in(ana.get("/findings").text, "findings")[0]
    csrf = csrf_of(ana.get(f"/findings/{finding}").text)
    assert ana.post(f"/findings/{finding}/acknowledge", data={"reason": "x"}).status_code == 403
    answer = ana.post(f"/findings/{finding}/acknowledge", data={"reason": "on it", "csrf": csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/findings/{finding}")
    assert "Acknowledged by person:ana: on it" in ana.get(f"/findings/{finding}").text
    assert ana.post(f"/findings/{finding}/mute", data={"days": "7", "csrf": csrf}).status_code == 422
    assert ana.post(f"/findings/{finding}/mute", data={"days": "7", "reason": "known", "csrf": csrf}).status_code == 303
    with house.shift.ledger.read() as connection:
        row = findings.get(connection, finding)
    assert row is not None
    assert (row.state, row.muted_until) == (FindingState.MUTED, house.clock() + timedelta(days=7))
    assert ana.post(f"/findings/{finding}/unmute", data={"csrf": csrf}).status_code == 303


def test_a_viewer_sees_no_forms_and_may_not_send_them(house: House, ana: httpx.Client) -> None:
    vic = house.signed_in("vic")
    finding = ids_in(vic.get("/findings").text, "findings")[0]
    page = vic.get(f"/findings/{finding}").text
    assert "Acknowledge" not in page
    assert vic.post(f"/findings/{finding}/acknowledge", data={"csrf": csrf_of(page)}).status_code == 403
    assert vic.post("/schedules/nightly-doors/pause", data={"csrf": csrf_of(page), "reason": "x"}).status_code == 403


def test_a_run_page_tells_its_story(ana: httpx.Client) -> None:
    run = ids_in(ana.get("/runs?job=doors").text, "runs")[-1]
    page = ana.get(f"/runs/{run}").text
    for told in ("run started", "run succeeded", "rattling", "round.txt", "worker:test-worker"):
        assert told in page
    assert "data-live" not in page
    assert ana.get(f"/runs/{run}/live").headers["x-live"] == "over"


def test_a_run_page_counts_findings_apart_from_what_could_not_be_told(house: House, ana: httpx.Client) -> None:
    with house.shift.ledger.transaction() as tx:
        [found] = [row for row in findings.listing(tx) if row.kind is FindingKind.FINDING]
        untold = replace(found, id="untold", key="cannot_tell:hinge", kind=FindingKind.CANNOT_TELL)
        findings.insert_finding(tx, untold)
    pages = [ana.get(f"/runs/{run}").text for run in ids_in(ana.get("/runs?job=doors").text, "runs")]
    headings = [re.findall(r"<h2>((?:Findings|Cannot tell) <small>[^<]*)</small>", page) for page in pages]
    assert sorted(headings) == [["Cannot tell <small>1"], ["Findings <small>1, 1 cannot tell"]]


def test_a_queued_run_lives_and_is_cancelled_by_form(house: House, ana: httpx.Client) -> None:
    run = house.client(house.token()).post("/v1/runs", json={"job": "whistle"}).json()["runs"][0]["id"]
    page = ana.get(f"/runs/{run}").text
    assert f'data-live="/runs/{run}/live"' in page
    assert 'http-equiv="refresh"' in page
    live = ana.get(f"/runs/{run}/live")
    assert (live.headers["x-live"], "<html" in live.text) == ("on", False)
    assert ana.post(f"/runs/{run}/cancel", data={"csrf": csrf_of(page), "reason": "late"}).status_code == 303
    assert "cancelled by person:ana: late" in ana.get(f"/runs/{run}").text


def test_a_run_that_needs_attention_is_resolved_by_form(house: House, ana: httpx.Client) -> None:
    run_id = house.client(house.token()).post("/v1/runs", json={"job": "whistle"}).json()["runs"][0]["id"]
    with house.shift.ledger.transaction() as tx:
        taken = leases.claim(tx, run_id, job="whistle", owner="me", worker="w", lease_seconds=-1)
        assert taken is not None
        leases.take_lost(tx, taken, state=RunState.NEEDS_ATTENTION, reason="outcome_unknown")
    page = ana.get(f"/runs/{run_id}").text
    assert "Somebody should look" in ana.get("/").text
    form = {"csrf": csrf_of(page), "resolution": "applied", "reason": "saw it"}
    assert ana.post(f"/runs/{run_id}/resolve", data={**form, "resolution": "maybe"}).status_code == 422
    assert ana.post(f"/runs/{run_id}/resolve", data=form).status_code == 303
    assert "saw it" in ana.get(f"/runs/{run_id}").text


def test_a_schedule_is_paused_and_resumed_by_form(ana: httpx.Client) -> None:
    csrf = csrf_of(ana.get("/schedules").text)
    assert ana.post("/schedules/nightly-doors/pause", data={"csrf": csrf, "reason": ""}).status_code == 422
    assert ana.post("/schedules/nightly-doors/pause", data={"csrf": csrf, "reason": "new locks"}).status_code == 303
    assert "new locks" in ana.get("/schedules").text
    assert ana.post("/schedules/nightly-doors/resume", data={"csrf": csrf}).status_code == 303


def test_what_does_not_exist_is_a_page_for_people(ana: httpx.Client) -> None:
    for path in ("/findings/none", "/runs/none", "/batches/none", "/nowhere"):
        answer = ana.get(path, headers=HTML)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_times_are_told_in_the_zone_of_the_instance(ana: httpx.Client) -> None:
    assert re.search(r'<time datetime="2026-11-22T01:30:00Z">22 Nov 01:30</time>', ana.get("/schedules").text)


def test_no_page_outgrows_thirty_kilobytes(house: House, ana: httpx.Client) -> None:
    house.work = True
    run = ids_in(ana.get("/runs?job=doors").text, "runs")[0]
    with house.shift.ledger.transaction() as tx:
        for number in range(300):
            findings.insert_finding(tx, _long_finding(house, number, run))
    house.client(house.token()).post("/v1/runs", json={"items": [{"job": "doors"}] * 22, "note": "n" * 500})
    finding = ids_in(ana.get("/findings").text, "findings")[0]
    batch = ids_in(ana.get("/").text, "batches")[0]
    pages = ("/", "/findings", "/findings?page=2", f"/findings/{finding}", "/runs", f"/runs/{run}", f"/batches/{batch}")
    answers = {page: ana.get(page) for page in (*pages, "/schedules", "/jobs", "/audit")}
    assert {answer.status_code for answer in answers.values()} == {200}
    sizes = {page: len(answer.content) for page, answer in answers.items()}
    assert {page: size for page, size in sizes.items() if size > LIMIT} == {}
    assert all(len(ana.get(address).content) < LIMIT for address in ("/static/console.css", "/static/console.js"))


def _long_finding(house: House, number: int, run_id: str) -> FindingRow:
    with house.shift.ledger.read() as connection:
        model = findings.listing(connection, limit=1)[0]
    long: dict[str, Any] = {
        "id": new_id(),
        "key": f"k{number}",
        "title": '<&">' * 60,
        "subject": "s" * 300,
        "reason": "a_rather_long_reason_code_of_a_job",
        "owner": "the team that answers for the doors",
        "detail": "<d>" * 900,
        "run_id": run_id,
        "evidence": {f"member_{n}": {"text": '"<>"' * 300} for n in range(40)},
    }
    return replace(model, **long)
