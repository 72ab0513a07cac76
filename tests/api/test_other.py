"""Findings, jobs, schedules, audit, health and metrics."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.kit import House, Served, problem
from worker.api.app import create_app
from worker.ledger import Ledger
from worker.tokens import Grant, Sessions, grants_of_role


@pytest.fixture
def found(house: House, api: httpx.Client) -> str:
    """Id of the finding about the front door."""
    house.work = True
    api.post("/v1/runs", json={"job": "doors"})
    return str(api.get("/v1/findings?kind=finding").json()["findings"][0]["id"])


def test_findings_are_listed_worst_first_and_filtered(house: House, api: httpx.Client, found: str) -> None:
    listed = api.get("/v1/findings").json()
    assert [(row["reason"], row["environment"]) for row in listed["findings"]] == [("door_open", "prod"), ("jammed", "test")]
    assert listed["total"] == 2
    assert api.get("/v1/findings?environment=test&limit=1").json()["total"] == 1
    assert api.get("/v1/findings?state=muted").json()["findings"] == []
    assert api.get(f"/v1/findings/{found}").json()["recheck"] == "rattle front"
    assert problem(api.get("/v1/findings/none")) == (404, "unknown_finding", None)
    assert problem(api.get("/v1/findings?severity=dreadful")) == (422, "invalid", "severity")


def test_findings_outside_the_grant_do_not_exist(house: House, found: str) -> None:
    tester = house.client(house.token(grants_of_role("operator", environments=("test",))))
    assert [row["reason"] for row in tester.get("/v1/findings").json()["findings"]] == ["jammed"]
    assert problem(tester.get(f"/v1/findings/{found}")) == (404, "unknown_finding", None)
    assert problem(tester.post(f"/v1/findings/{found}/acknowledge")) == (404, "unknown_finding", None)


def test_a_finding_is_acknowledged_muted_and_opened_again(house: House, api: httpx.Client, found: str) -> None:
    assert api.post(f"/v1/findings/{found}/acknowledge", json={"reason": "on it"}).json()["state"] == "acknowledged"
    until = (house.clock() + timedelta(days=7)).isoformat()
    muted = api.post(f"/v1/findings/{found}/mute", json={"reason": "builders inside", "until": until}).json()
    assert (muted["state"], muted["state_by"], muted["state_reason"]) == ("muted", "token:ci", "builders inside")
    assert api.post(f"/v1/findings/{found}/unmute").json()["state"] == "open"
    verbs = [row["verb"] for row in api.get(f"/v1/audit?object={found}").json()["audit"]]
    assert verbs == ["finding.open", "finding.muted", "finding.acknowledged"]
    assert problem(api.post(f"/v1/findings/{found}/unmute")) == (409, "wrong_state", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "until"),
        ({"reason": "x", "until": "2026-12-01"}, "until"),
        ({"reason": "x", "until": "2026-12-01T00:00:00"}, "until"),
        ({"reason": "x", "until": "2020-12-01T00:00:00Z"}, "until"),
        ({"reason": " ", "until": "2026-12-01T00:00:00Z"}, "reason"),
        ({"reason": "x", "until": "2026-12-01T00:00:00Z", "for": "ever"}, "for"),
    ],
)
def test_a_mute_without_end_or_reason_is_refused(api: httpx.Client, found: str, body: dict[str, str], field: str) -> None:
    assert problem(api.post(f"/v1/findings/{found}/mute", json=body))[2] == field


def test_a_viewer_mutes_nothing(house: House, found: str) -> None:
    viewer = house.client(house.token(grants_of_role("viewer")))
    assert problem(viewer.post(f"/v1/findings/{found}/acknowledge")) == (403, "forbidden", None)


def test_jobs_come_with_their_json_schema(house: House, api: httpx.Client) -> None:
    jobs = {job["name"]: job for job in api.get("/v1/jobs").json()["jobs"]}
    assert jobs["doors"]["params"]["properties"]["force"]["type"] == "integer"
    assert jobs["doors"]["entry"]["properties"]["open"]["type"] == "boolean"
    assert jobs["whistle"]["entry"] is None
    assert api.get("/v1/jobs/doors").json()["entries"] == ["front", "back", "cellar"]
    narrow = house.client(house.token([Grant(verb="read", environments=("test",))]))
    assert narrow.get("/v1/jobs/doors").json()["entries"] == ["cellar"]
    assert problem(api.get("/v1/jobs/door")) == (404, "unknown_job", None)


def test_schedules_say_when_they_fire_next(api: httpx.Client) -> None:
    [schedule] = api.get("/v1/schedules").json()["schedules"]
    assert schedule["next"] == ["2026-11-22T01:30:00Z", "2026-11-23T01:30:00Z", "2026-11-24T01:30:00Z"]
    assert (schedule["timezone"], schedule["paused_by"]) == ("Europe/Berlin", None)


def test_a_schedule_is_paused_with_a_reason_and_resumed(house: House, api: httpx.Client) -> None:
    assert problem(api.post("/v1/schedules/nightly-doors/pause", json={})) == (422, "invalid", "reason")
    assert api.post("/v1/schedules/nightly-doors/pause", json={"reason": "new locks"}).json()["paused"] is True
    [schedule] = api.get("/v1/schedules").json()["schedules"]
    assert (schedule["paused_by"], schedule["paused_reason"], schedule["next"]) == ("token:ci", "new locks", [])
    assert problem(api.post("/v1/schedules/nightly-doors/pause", json={"reason": "again"}))[0] == 409
    assert api.post("/v1/schedules/nightly-doors/resume").json()["paused"] is False
    assert problem(api.post("/v1/schedules/nightly/pause", json={"reason": "x"})) == (404, "unknown_schedule", "schedule")
    n8n = house.client(house.token(grants_of_role("n8n")))
    assert problem(n8n.post("/v1/schedules/nightly-doors/resume")) == (403, "forbidden", None)


def test_the_audit_is_paged(api: httpx.Client) -> None:
    for _ in range(3):
        api.post("/v1/runs", json={"job": "whistle"})
    first = api.get("/v1/audit?limit=2").json()
    rest = api.get(f"/v1/audit?limit=2&before={first['next']}").json()
    assert [row["verb"] for row in first["audit"] + rest["audit"]] == ["batch.queued"] * 3
    assert rest["next"] is None
    assert api.get("/v1/deliveries").json() == {"deliveries": [], "next": None}


def test_readiness_names_the_part_that_is_missing(house: House) -> None:
    client = house.client()
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"ledger": "ok", "broker": "ok"}
    house.broker_trouble = "redis://127.0.0.1:1 refuses the connection"
    answer = client.get("/readyz")
    assert problem(answer) == (503, "not_ready", None)
    assert answer.json()["parts"] == {"ledger": "ok", "broker": "redis://127.0.0.1:1 refuses the connection"}
    assert client.get("/healthz").status_code == 200


def test_a_ledger_that_is_away_is_a_503_to_try_again(house: House, api: httpx.Client) -> None:
    token = api.headers["Authorization"]
    house.shift.ledger.close()
    path = house.settings.home / "ledger.db"
    path.rename(house.settings.home / "gone.db")
    path.mkdir()
    answer = api.get("/v1/runs", headers={"Authorization": token})
    assert problem(answer) == (503, "ledger_unavailable", None)
    assert answer.headers["retry-after"] == "5"
    ready = api.get("/readyz")
    assert problem(ready) == (503, "not_ready", None)
    assert "does not answer" in ready.json()["parts"]["ledger"]
    page = house.client().get("/login", headers={"Accept": "text/html"})
    assert page.status_code == 200


def test_a_ledger_that_is_not_migrated_is_not_ready(house: House, served: Served) -> None:
    empty = Ledger(f"sqlite:///{house.settings.home}/empty.db")
    shift = replace(house.shift, ledger=empty)
    served.app = create_app(
        shift,
        house.settings,
        Sessions(shift.keys, timedelta(hours=1), house.clock),
        grants_of=lambda _: (),
        join_night=lambda *_: pytest.fail("nobody joins"),
        broker_trouble=lambda: None,
    )
    assert "nightshift migrate" in house.client().get("/readyz").json()["parts"]["ledger"]
    empty.close()


def test_metrics_tell_what_the_ledger_holds(house: House, found: str) -> None:
    text = house.client().get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    states = {(s.labels["job"], s.labels["state"]): s.value for s in families["nightshift_runs_in_state"].samples}
    assert states == {("doors", "succeeded"): 2}
    severities = {(s.labels["state"], s.labels["severity"]): s.value for s in families["nightshift_findings"].samples}
    assert severities == {("open", "high"): 1, ("open", "medium"): 1}
    assert {s.labels["topic"] for s in families["nightshift_outbox_depth"].samples} >= {"message"}
    [lag] = families["nightshift_schedule_lag_seconds"].samples
    assert (lag.labels, lag.value) == ({"schedule": "nightly-doors"}, 0)
    assert families["nightshift_audit_unchained_rows"].samples[0].value > 0
    assert {s.labels["brake"]: s.value for s in families["nightshift_brake"].samples} == {"freeze": 0, "kill": 0}


def test_a_late_schedule_shows_as_lag(house: House) -> None:
    house.clock.advance(timedelta(days=1))
    assert 'nightshift_schedule_lag_seconds{schedule="nightly-doors"} 2640.0' in house.client().get("/metrics").text


def test_metrics_from_elsewhere_need_a_token_that_reads_everything(house: House) -> None:
    elsewhere = {"X-Forwarded-For": "192.0.2.7"}
    assert problem(house.client().get("/metrics", headers=elsewhere)) == (401, "token_missing", None)
    narrow = house.client(house.token(grants_of_role("viewer", jobs=("doors",))))
    assert problem(narrow.get("/metrics", headers=elsewhere)) == (403, "forbidden", None)
    assert house.client(house.token()).get("/metrics", headers=elsewhere).status_code == 200


def test_what_breaks_inside_is_told_by_an_id_alone(house: House) -> None:
    @house.app.get("/v1/broken")
    def broken() -> None:
        raise RuntimeError("the password is hunter2")

    answer = house.client().get("/v1/broken")
    assert problem(answer) == (500, "internal", None)
    assert "hunter2" not in answer.text
    assert answer.json()["error_id"] in answer.json()["detail"]


def test_the_reference_lists_every_path_and_loads_nothing_from_elsewhere(house: House) -> None:
    page = house.client().get("/docs").text
    paths = house.client().get("/openapi.json").json()["paths"]
    assert len(paths) > 20
    assert all(path in page for path in paths)
    assert "http://" not in page
    assert "https://" not in page
