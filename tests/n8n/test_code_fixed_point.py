"""Whichever way a workflow went, it comes back as the same bytes: API, command line, and another n8n's exports."""

import json
from pathlib import Path

from tests.n8n.bench import Bench, node_of, texts
from tests.servers import N8nServer
from tests.servers.n8n import exported


def test_what_was_pushed_is_pulled_as_the_same_bytes(bench: Bench) -> None:
    bench.push()
    bench.cli("n8n", "pull", str(bench.elsewhere))
    assert texts(bench.elsewhere) == texts(bench.folder)


def test_a_second_push_writes_nothing(bench: Bench) -> None:
    bench.push()
    before = bench.held()
    assert bench.cli.json("n8n", "push", str(bench.folder), "--yes")["written"] == {}
    assert bench.held() == before


def test_an_export_of_the_command_line_becomes_the_same_bytes(bench: Bench, n8n_server: N8nServer) -> None:
    bench.push()
    bench.elsewhere.mkdir()
    for raw in exported(n8n_server, bench.elsewhere):
        assert raw["shared"][0]["project"]["name"].endswith("<owner@example.test>"), "the export says whose it is"
    bench.cli("n8n", "fmt", str(bench.elsewhere))
    assert texts(bench.elsewhere) == texts(bench.folder)


def test_an_answer_of_the_api_becomes_the_same_bytes(bench: Bench) -> None:
    bench.push()
    bench.elsewhere.mkdir()
    for raw in bench.n8n.api("GET", "/workflows")["data"]:
        (bench.elsewhere / f"{raw['id']}.json").write_text(json.dumps(raw))
    bench.cli("n8n", "fmt", str(bench.elsewhere))
    assert texts(bench.elsewhere) == texts(bench.folder)


def test_a_save_of_the_editor_that_moved_a_node_shows_as_a_move_alone(bench: Bench) -> None:
    bench.push()
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result")["position"].__setitem__(0, 1000))
    changes = bench.cli.json("n8n", "diff", str(bench.folder), code=1)["example_run_job"]
    assert [(change["kind"], change["where"], change["after"]) for change in changes] == [("moved", "node Result", [1008, 0])]
    assert bench.cli.json("n8n", "check", str(bench.folder))["workflows"]["example_run_job"]["state"] == "moved only"


def test_fmt_changes_nothing_when_it_is_run_again(bench: Bench, tmp_path: Path) -> None:
    before = texts(bench.folder)
    assert bench.cli("n8n", "fmt", str(bench.folder)).strip() == "3 in normal form"
    assert texts(bench.folder) == before
