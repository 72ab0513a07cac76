"""A push does all or nothing, undoes nobody's edit, and says what is missing before it writes."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.providers.n8n.api import N8nApi
from tasks.providers.n8n.errors import N8nAway, PushFailed, Refused
from tasks.providers.n8n.folder import load_folder, read_base
from tasks.providers.n8n.instance import look
from tasks.providers.n8n.planning import plan_push
from tasks.providers.n8n.pushing import carry_out
from tests.n8n.bench import GATEWAY, Bench, node_of, texts


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def in_normal_form(bench: Bench) -> None:
    bench.cli("n8n", "fmt", str(bench.folder))


def set_url(raw: dict[str, Any]) -> None:
    node_of(raw, "Start run")["parameters"]["url"] = "http://127.0.0.1:9999/v1/runs"


def test_what_is_called_is_published_before_its_caller(bench: Bench) -> None:
    plan = bench.cli.json("n8n", "push", str(bench.folder), "--yes")["plan"]
    assert [(each["workflow"], each["action"]) for each in plan] == [
        ("example_error_handler", "create"),
        ("example_run_job", "create"),
        ("example_nightly_tls", "create"),
    ]
    assert all(raw["activeVersionId"] == raw["versionId"] for raw in bench.n8n.api("GET", "/workflows")["data"])


def test_without_a_yes_the_plan_is_shown_and_nothing_written(bench: Bench) -> None:
    before = bench.held()
    said = bench.cli("n8n", "push", str(bench.folder), code=1)
    assert "create example_run_job and publish it" in said
    assert "repeat with --yes" in said
    assert "plan: 3 to write" in bench.cli("n8n", "push", str(bench.folder), "--dry-run")
    assert bench.held() == before


def test_credentials_are_linked_by_type_and_name(bench: Bench) -> None:
    bench.push()
    wanted = {each["name"]: each["id"] for each in bench.n8n.api("GET", "/credentials")["data"]}
    linked = node_of(bench.raw("example_run_job"), "Start run")["credentials"]["httpHeaderAuth"]
    assert linked == {"id": wanted[GATEWAY], "name": GATEWAY}


def test_a_changed_file_is_pushed_and_published_and_its_setting_unset(bench: Bench) -> None:
    bench.push()
    edit(bench.folder / "example_run_job.json", set_url)
    edit(bench.folder / "example_run_job.json", lambda raw: raw["settings"].pop("errorWorkflow"))
    edit(bench.folder / "example_run_job.json", lambda raw: raw.update(tags=["other"]))
    bench.push()
    raw = bench.raw("example_run_job")
    assert node_of(raw["activeVersion"], "Start run")["parameters"]["url"].startswith("http://127.0.0.1:9999")
    assert "errorWorkflow" not in raw["settings"]
    assert [tag["name"] for tag in raw["tags"]] == ["other"]
    in_normal_form(bench)
    bench.cli("n8n", "check", str(bench.folder))


def test_a_push_that_meets_a_canvas_edit_refuses_and_shows_it(bench: Bench) -> None:
    bench.push()
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(disabled=True))
    edit(bench.folder / "example_run_job.json", set_url)
    before = bench.held()
    said = bench.push(code=1)
    assert "+ node Result.disabled: true" in said
    assert "example_run_job: changed in n8n" in said
    assert "Olga Owner" in said
    assert bench.held() == before


def test_a_push_does_not_publish_again_what_somebody_unpublished(bench: Bench) -> None:
    bench.push()
    bench.n8n.api("POST", f"/workflows/{bench.raw('example_nightly_tls')['id']}/deactivate")
    assert "~ published: true → false" in bench.push(code=1)
    assert bench.raw("example_nightly_tls")["activeVersionId"] is None


def test_force_overwrites_an_edit_and_keeps_a_copy(bench: Bench) -> None:
    bench.push()
    edited = bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(disabled=True))
    bench.push("--force")
    bench.cli("n8n", "check", str(bench.folder))
    (copy,) = (bench.folder / ".n8n-backup").iterdir()
    assert node_of(json.loads(copy.read_text()), "Result")["disabled"] is True
    assert copy.name.startswith("example_run_job.")
    assert edited["versionId"] not in copy.name, "the copy is of the version that the editor saved"


def test_a_workflow_that_no_pull_has_seen_is_not_overwritten(bench: Bench) -> None:
    bench.push()
    (bench.folder / ".n8n-base.json").unlink()
    bench.push()
    (bench.folder / ".n8n-base.json").unlink()
    edit(bench.folder / "example_run_job.json", set_url)
    assert "changed in n8n" in bench.push(code=1)


def test_joining_by_pull_lets_the_push_through(bench: Bench) -> None:
    bench.push()
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(notes="from the canvas"))
    edit(bench.folder / "example_run_job.json", set_url)
    in_normal_form(bench)
    assert "example_run_job: changed on both sides: joined" in bench.cli("n8n", "pull", str(bench.folder))
    bench.push()
    live = bench.raw("example_run_job")["activeVersion"]
    assert node_of(live, "Result")["notes"] == "from the canvas"
    assert node_of(live, "Start run")["parameters"]["url"].startswith("http://127.0.0.1:9999")


def test_a_pull_of_two_edits_of_one_thing_writes_nothing(bench: Bench) -> None:
    bench.push()
    bench.save_in_editor(
        "example_run_job", lambda raw: node_of(raw, "Start run")["parameters"].update(url="http://127.0.0.1:7/v1/runs")
    )
    edit(bench.folder / "example_run_job.json", set_url)
    in_normal_form(bench)
    before = texts(bench.folder)
    assert "node Start run: parameters" in bench.cli("n8n", "pull", str(bench.folder), code=1)
    assert texts(bench.folder) == before
    bench.cli("n8n", "pull", str(bench.folder), "--winner", "theirs")
    assert "127.0.0.1:7/" in texts(bench.folder)["example_run_job.json"]


def test_a_workflow_renamed_on_the_canvas_is_renamed_here_and_in_what_refers_to_it(bench: Bench) -> None:
    bench.push()
    bench.save_in_editor("example_run_job", lambda raw: raw.update(name="Example / Run a job"))
    assert "was renamed in n8n to 'Example / Run a job'" in bench.push(code=1)
    assert "example_run_a_job: changed in n8n: taken (was example_run_job.json)" in bench.cli("n8n", "pull", str(bench.folder))
    assert sorted(texts(bench.folder)) == ["example_error_handler.json", "example_nightly_tls.json", "example_run_a_job.json"]
    assert "wf:example_run_a_job" in texts(bench.folder)["example_nightly_tls.json"]
    bench.cli("n8n", "check", str(bench.folder))
    bench.push()


def test_an_edit_of_ours_survives_a_rename_on_the_canvas(bench: Bench) -> None:
    bench.push()
    edit(bench.folder / "example_run_job.json", set_url)
    bench.save_in_editor("example_run_job", lambda raw: raw.update(name="Example / Run a job"))
    bench.cli("n8n", "pull", str(bench.folder))
    assert "127.0.0.1:9999" in texts(bench.folder)["example_run_a_job.json"]


def clashing_webhook(bench: Bench) -> None:
    """A published workflow of somebody else on the same path: n8n refuses to publish ours, the last of three."""
    hook = {"name": "Hook", "id": "h", "type": "n8n-nodes-base.webhook", "typeVersion": 2.1, "position": [0, 0]}
    hook |= {"webhookId": "w", "parameters": {"httpMethod": "POST", "path": "nightshift/nightly-tls", "options": {}}}
    body = {"name": "Somebody else's", "nodes": [hook], "connections": {}, "settings": {}}
    made = bench.n8n.api("POST", "/workflows", body)
    bench.n8n.api("POST", f"/workflows/{made['id']}/activate", {})


def test_a_push_that_fails_half_way_leaves_a_new_n8n_as_it_was(bench: Bench) -> None:
    clashing_webhook(bench)
    before = bench.held()
    said = bench.push(code=1)
    assert "n8n refused POST" in said
    assert "n8n is as it was" in said
    assert bench.held() == before
    assert not (bench.folder / ".n8n-base.json").exists()


def test_a_push_that_fails_half_way_puts_back_what_it_had_updated(bench: Bench) -> None:
    edit(bench.folder / "example_nightly_tls.json", lambda raw: raw.update(active=False))
    bench.push()
    # A draft that nobody published: it must stay a draft, and the published version what it was.
    bench.save_in_editor("example_error_handler", lambda raw: node_of(raw, "On error").update(notes="a draft"))
    bench.cli("n8n", "pull", str(bench.folder))
    clashing_webhook(bench)
    before = bench.held()
    for name in ("example_run_job", "example_error_handler"):
        edit(bench.folder / f"{name}.json", lambda raw: raw.update(tags=["fresh"]))
        edit(bench.folder / f"{name}.json", lambda raw: raw["settings"].update(executionTimeout=60))
    edit(bench.folder / "example_error_handler.json", lambda raw: node_of(raw, "On error").update(notes="pushed"))
    edit(bench.folder / "example_run_job.json", set_url)
    edit(bench.folder / "example_nightly_tls.json", lambda raw: raw.pop("active"))
    assert "n8n is as it was" in bench.push(code=1)
    assert bench.held() == before


class CutOff(httpx.HTTPTransport):
    """Loses the connection at the n-th write; for good, or for once."""

    def __init__(self, at: int, *, for_good: bool) -> None:
        super().__init__()
        self.left, self.for_good = at, for_good

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            self.left -= 1
            if self.left == 0 or (self.left < 0 and self.for_good):
                raise httpx.ConnectError("connection refused")
        return super().handle_request(request)


def push_over(bench: Bench, transport: httpx.BaseTransport) -> PushFailed:
    folder = load_folder(bench.folder)
    with N8nApi(bench.n8n.url, bench.n8n.api_key) as api:
        instance = look(api)
    plan = plan_push(folder, instance, read_base(bench.folder, bench.n8n.url))
    with N8nApi(bench.n8n.url, bench.n8n.api_key, transport=transport) as api, pytest.raises(PushFailed) as caught:
        carry_out(api, plan, instance)
    return caught.value


@pytest.mark.parametrize("at", [2, 4, 5, 8, 11])
def test_a_connection_lost_at_any_write_leaves_n8n_as_it_was(at: int, bench: Bench) -> None:
    before = bench.held()
    failed = push_over(bench, CutOff(at, for_good=False))
    assert failed.left == ()
    assert bench.held() == before


def test_what_could_not_be_put_back_is_named(bench: Bench) -> None:
    failed = push_over(bench, CutOff(5, for_good=True))
    assert [left.partition(" (")[0] for left in failed.left] == ["example_error_handler", "tag nightshift", "tag nightly"]
    assert "could not be put back: example_error_handler" in str(failed)


def test_an_edit_during_the_push_stops_it_and_is_kept(bench: Bench) -> None:
    bench.push()
    edit(bench.folder / "example_run_job.json", set_url)
    folder = load_folder(bench.folder)
    with N8nApi(bench.n8n.url, bench.n8n.api_key) as api:
        instance = look(api)
        plan = plan_push(folder, instance, read_base(bench.folder, bench.n8n.url))
        bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(notes="meanwhile"))
        with pytest.raises(PushFailed, match="changed in n8n while the push was on its way"):
            carry_out(api, plan, instance)
    assert node_of(bench.raw("example_run_job"), "Result")["notes"] == "meanwhile"


def test_nothing_is_deleted_without_prune_and_archived_with_it(bench: Bench) -> None:
    bench.push()
    (bench.folder / "example_nightly_tls.json").unlink()
    bench.push()
    assert bench.raw("example_nightly_tls")["isArchived"] is False
    assert "archive example_nightly_tls" in bench.push("--prune")
    assert bench.raw("example_nightly_tls")["isArchived"] is True


def test_a_credential_that_is_missing_or_there_twice_is_named_before_the_first_write(bench: Bench) -> None:
    before = bench.held()
    bench.n8n.add_credential(GATEWAY, "Authorization", "another")
    assert re.search(r"node Start run: n8n has 2 credentials 'Nightshift gateway' of type httpHeaderAuth", bench.push(code=1))
    for row in bench.n8n.api("GET", "/credentials")["data"]:
        bench.n8n.api("DELETE", f"/credentials/{row['id']}")
    assert "n8n has no credential 'Nightshift gateway' of type httpHeaderAuth: create it in n8n" in bench.push(code=1)
    assert bench.held() == before


def test_two_workflows_of_one_name_are_told_with_their_ids(bench: Bench) -> None:
    bench.push()
    twin = bench.n8n.api("POST", "/workflows", {"name": "Example / Run job", "nodes": [], "connections": {}, "settings": {}})[
        "id"
    ]
    assert re.search(rf"example_run_job: n8n has 2 workflows of this name \(.*{twin}", bench.push(code=1))
    assert twin in bench.cli("n8n", "check", str(bench.folder), code=1)
    assert twin in bench.cli("n8n", "pull", str(bench.folder), code=1)


def test_a_callee_or_error_workflow_that_is_not_published_stops_the_push(bench: Bench) -> None:
    bench.push()
    for slug in ("example_nightly_tls", "example_run_job", "example_error_handler"):
        bench.n8n.api("POST", f"/workflows/{bench.raw(slug)['id']}/deactivate")
    for slug in ("example_run_job", "example_error_handler"):
        (bench.folder / f"{slug}.json").unlink()
    folder = load_folder(bench.folder)
    with N8nApi(bench.n8n.url, bench.n8n.api_key) as api:
        instance = look(api)
        with pytest.raises(Refused) as caught:
            carry_out(api, plan_push(folder, instance, {}), instance)
    assert "node Look at certificates: example_run_job is in n8n only, and not published" in str(caught.value)
    assert "error workflow: example_error_handler is in n8n only, and not published" in str(caught.value)


def test_a_mistake_that_lint_calls_an_error_stops_the_push(bench: Bench) -> None:
    edit(bench.folder / "example_run_job.json", lambda raw: raw.update(pinData={"Result": [{"json": {}}]}))
    assert "pinned-data" in bench.push(code=1)


def test_another_version_of_n8n_is_read_and_not_written(bench: Bench) -> None:
    folder = load_folder(bench.folder)
    with N8nApi(bench.n8n.url, bench.n8n.api_key, transport=Elsewhere("2.99.0")) as api:
        instance = look(api)
        plan = plan_push(folder, instance, {})
        assert "is version 2.99.0; push was tested with 2.15.1 only" in plan.refusals[0]
        with pytest.raises(Refused):
            carry_out(api, plan, instance)
    assert bench.held()["workflows"] == {}


class Elsewhere(httpx.HTTPTransport):
    """The same n8n with another number on its start page."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/":
            return super().handle_request(request)
        told = base64.b64encode(json.dumps({"release": f"n8n@{self.version}"}).encode()).decode()
        return httpx.Response(200, text=f'<meta name="n8n:config:sentry" content="{told}">')


def test_an_n8n_that_is_down_or_a_key_that_may_not_is_said_plainly(bench: Bench) -> None:
    away = bench.cli.with_environ(NIGHTSHIFT_N8N_URL="http://127.0.0.1:9")
    assert "does not answer" in away("n8n", "push", str(bench.folder), "--yes", code=2)
    wrong = bench.cli.with_environ(OPERATORS_KEY="of-yesterday")
    assert "does not know this API key (401)" in wrong("n8n", "check", str(bench.folder), code=2)
    reader = bench.n8n.new_api_key("reader", "workflow:list", "workflow:read", "credential:list", "tag:list")
    may_read = bench.cli.with_environ(OPERATORS_KEY=reader)
    may_read("n8n", "check", str(bench.folder), code=1)
    before = bench.held()
    said = may_read("n8n", "push", str(bench.folder), "--yes", code=1)
    assert "may not do POST /tags (403): give it the scope tag:create" in said
    assert reader not in said
    assert bench.held() == before


def test_what_answers_but_is_no_n8n_is_said(bench: Bench) -> None:
    class Page(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(404, html="<h1>starting</h1>")

    with N8nApi(bench.n8n.url, "key", transport=Page()) as api, pytest.raises(N8nAway, match="page instead of its API"):
        api.workflows()


def test_a_key_typed_where_a_reference_belongs_is_refused_and_not_repeated(bench: Bench) -> None:
    said = bench.cli.with_environ(NIGHTSHIFT_N8N_API_KEY="eyJabc.def")("n8n", "check", str(bench.folder), code=2)
    assert "not a secret reference" in said
    assert "eyJabc" not in said
