"""Normal form, differences and joining: pure, without an n8n."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.providers.n8n.difference import Change, differences, matters
from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.folder import load_folder, order
from tasks.providers.n8n.gateway import IN_FILES, moved
from tasks.providers.n8n.merging import merge
from tasks.providers.n8n.node_types import NodeTypes
from tasks.providers.n8n.reading import Names, on_grid, read_workflow
from tasks.providers.n8n.workflow import Workflow
from tasks.providers.n8n.writing import render
from tests.n8n.bench import MATERIAL, node_of

Raw = dict[str, Any]


def nightly(*edits: Callable[[Raw], object]) -> Workflow:
    raw = json.loads((MATERIAL / "example_nightly_tls.json").read_text())
    for edit in edits:
        edit(raw)
    return read_workflow(raw, where="the test")


def move(name: str, x: int, y: int) -> Callable[[Raw], object]:
    return lambda raw: node_of(raw, name).update(position=[x, y])


def told(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.kind, change.where) for change in changes]


@pytest.mark.parametrize(("pixels", "place"), [(180, 192), (20, 32), (-40, -48), (0, 0), (16, 16), (16.4, 16), (-1, -16)])
def test_positions_land_where_the_canvas_puts_them(pixels: float, place: int) -> None:
    assert on_grid(pixels) == place


def test_a_workflow_reads_as_it_was_written() -> None:
    for path in MATERIAL.glob("*.json"):
        text = path.read_text()
        assert render(read_workflow(json.loads(text), where=path.name)) == text


def test_what_belongs_to_one_n8n_is_left_out_and_its_ids_become_names() -> None:
    export = {
        "id": "aaaaaaaaaaaaaaaa", "name": "Caller", "active": True, "versionId": "v", "meta": {"instanceId": "i"},
        "pinData": {},
        "shared": [{"project": {"name": "Olga <olga@example.test>"}}], "staticData": {"last": 1}, "triggerCount": 1,
        "settings": {"executionOrder": "v1", "binaryMode": "x", "errorWorkflow": "bbbbbbbbbbbbbbbb", "timezone": "DEFAULT"},
        "nodes": [
            {
                "name": "Call", "id": "n", "type": "n8n-nodes-base.executeWorkflow", "typeVersion": 1.3,
                "position": [20, -40],
                "parameters": {"workflowId": {"value": "bbbbbbbbbbbbbbbb", "__rl": True, "mode": "list", "cachedResultName": ""}},
                "credentials": {"httpHeaderAuth": {"id": "c", "name": "what it was called"}},
            }
        ],
        "connections": {"Call": {"main": [[], []]}},
    }  # fmt: skip
    names = Names({"bbbbbbbbbbbbbbbb": "The callee"}, {"c": "What it is called"})
    written = json.loads(render(read_workflow(export, where="the test", names=names)))
    assert written == {
        "name": "Caller",
        "settings": {"errorWorkflow": "wf:the_callee", "executionOrder": "v1"},
        "nodes": [
            {
                "name": "Call", "id": "n", "type": "n8n-nodes-base.executeWorkflow", "typeVersion": 1.3,
                "position": [32, -48],
                "credentials": {"httpHeaderAuth": {"id": None, "name": "What it is called"}},
                "parameters": {"workflowId": {"__rl": True, "mode": "id", "value": "wf:the_callee"}},
            }
        ],
        "connections": {},
    }  # fmt: skip


def test_a_node_without_an_id_always_gets_the_same() -> None:
    def forget(raw: Raw) -> None:
        for node in raw["nodes"]:
            node.pop("id")
            node.pop("webhookId", None)

    assert render(nightly(forget)) == render(nightly(forget))
    assert len({node.id for node in nightly(forget).nodes}) == len(nightly().nodes)


def test_defaults_are_left_out_as_the_editor_does() -> None:
    types = NodeTypes(
        [
            {
                "name": "n8n-nodes-base.noOp", "version": [1],
                "properties": [
                    {"name": "mode", "default": "once"},
                    {"name": "count", "default": 1},
                    {"name": "hidden", "default": "x", "displayOptions": {"show": {"mode": ["other"]}}},
                    {"name": "new", "default": True, "displayOptions": {"show": {"@version": [{"_cnd": {"gte": 2}}]}}},
                ],
            }
        ]
    )  # fmt: skip
    given = {"mode": "once", "count": True, "hidden": "x", "new": True}
    raw = {"name": "One", "nodes": [{"name": "N", "type": "n8n-nodes-base.noOp", "parameters": given}], "connections": {}}
    (node,) = read_workflow(raw, where="the test", types=types).nodes
    assert node.parameters == {"count": True, "hidden": "x", "new": True}


def test_an_export_that_is_not_published_says_so_and_a_file_without_a_word_is_to_be() -> None:
    assert nightly().to_publish
    assert not nightly(lambda raw: raw.update(active=False)).to_publish
    by_hand = nightly(lambda raw: raw.update(active=False, nodes=[node_of(raw, "Run by hand")], connections={}))
    assert by_hand.published, "nothing could be published: nothing to say"
    assert not by_hand.to_publish


def test_a_move_is_told_from_a_change() -> None:
    changes = differences(nightly(), nightly(move("Report", 1600, 0)))
    assert told(changes) == [("moved", "node Report")]
    assert not matters(changes)


def test_a_move_that_swaps_branches_matters() -> None:
    changes = differences(nightly(), nightly(move("All clean", 784, -160)))
    assert told(changes) == [("moved", "node All clean"), ("reordered", "branches of Anything found?")]
    assert matters(changes)


def test_a_renamed_node_is_one_change_and_its_links_are_the_same() -> None:
    def rename(raw: Raw) -> None:
        text = json.dumps(raw).replace("Look at certificates", "Look")
        raw.update(json.loads(text))

    assert told(differences(nightly(), nightly(rename))) == [("renamed", "node Look")]


def test_a_note_is_told_and_matters_to_no_run() -> None:
    changes = differences(nightly(), nightly(lambda raw: node_of(raw, "Read me")["parameters"].update(content="other")))
    assert told(changes) == [("changed", "node Read me: parameters.content")]
    assert not matters(changes)


def test_every_kind_of_change_is_told_where_it_is() -> None:
    def change(raw: Raw) -> None:
        node_of(raw, "Keep the run")["parameters"]["options"]["timeout"] = 1
        node_of(raw, "Keep the run").pop("retryOnFail")
        node_of(raw, "Keep the run")["credentials"]["httpHeaderAuth"]["name"] = "Another"
        raw["nodes"].remove(node_of(raw, "All clean"))
        raw["connections"]["Anything found?"]["main"].pop()
        raw["settings"]["timezone"] = "Europe/Berlin"
        raw["tags"] = ["nightly"]

    assert told(differences(nightly(), nightly(change))) == [
        ("removed", "tag nightshift"),
        ("changed", "settings.timezone"),
        ("removed", "node All clean"),
        ("removed", "node Keep the run.retryOnFail"),
        ("changed", "node Keep the run: credentials.httpHeaderAuth"),
        ("changed", "node Keep the run: parameters.options.timeout"),
        ("removed", "link Anything found? (output 1) → All clean"),
    ]


def test_edits_of_different_things_are_joined() -> None:
    ours = nightly(lambda raw: node_of(raw, "Report").update(notes="ours"))
    theirs = nightly(move("Keep the run", 800, 48), lambda raw: raw["settings"].update(timezone="Europe/Berlin"))
    joined = merge(nightly(), ours, theirs).workflow
    assert joined == nightly(
        lambda raw: node_of(raw, "Report").update(notes="ours"),
        move("Keep the run", 800, 48),
        lambda raw: raw["settings"].update(timezone="Europe/Berlin"),
    )


def test_edits_of_the_same_thing_are_not_joined() -> None:
    ours = nightly(lambda raw: raw["settings"].update(timezone="Europe/Berlin"))
    theirs = nightly(lambda raw: raw["settings"].update(timezone="Asia/Tokyo"))
    assert merge(nightly(), ours, theirs).clashes == ("setting timezone",)
    assert merge(nightly(), ours, ours).workflow == ours


def test_a_node_deleted_here_and_changed_there_is_not_joined() -> None:
    def without(raw: Raw) -> None:
        raw["nodes"].remove(node_of(raw, "All clean"))
        raw["connections"]["Anything found?"]["main"].pop()

    theirs = nightly(lambda raw: node_of(raw, "All clean").update(notes="theirs"))
    assert merge(nightly(), nightly(without), theirs).clashes[0].startswith("node All clean")


def test_a_link_to_a_node_that_the_other_side_deleted_is_not_joined() -> None:
    def without(raw: Raw) -> None:
        raw["nodes"].remove(node_of(raw, "All clean"))
        raw["connections"]["Anything found?"]["main"].pop()

    more = nightly(
        lambda raw: raw["connections"].update({"Report": {"main": [[{"node": "All clean", "type": "main", "index": 0}]]}})
    )
    assert merge(nightly(), nightly(without), more).clashes == ("link Report → All clean",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "holds a list of 0"),
        ("7", "must hold one JSON object"),
        ('{"name": "A"}', "`nodes` must be a list"),
        ('{"name": "A", "name": "B", "nodes": [], "connections": {}}', "the key 'name' stands there twice"),
        ('{"name": "A", "nodes": [1], "connections": {}}', "node 1: must be an object"),
        (
            '{"name": "A", "nodes": [{"name": "N", "type": "t", "position": [1]}], "connections": {}}',
            "`position` must be two numbers",
        ),
        (
            '{"name": "A", "nodes": [{"name": "N", "type": "t", "typeVersion": "1"}], "connections": {}}',
            "`typeVersion` must be a number",
        ),
        ('{"name": "A", "nodes": [], "connections": {"N": {"main": [[{}]]}}}', "`connections` is not as n8n writes it"),
        ('{"name": "A", "nodes": [], "connections": {"N": 1}}', "`connections` is not as n8n writes it"),
    ],
)
def test_a_file_that_is_no_workflow_is_named_with_what_is_wrong(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(WorkflowError) as caught:
        load_folder(tmp_path)
    assert "bad.json" in str(caught.value)
    assert says in str(caught.value)


def test_two_files_of_one_workflow_are_both_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(render(nightly()))
    with pytest.raises(WorkflowError, match=r"two\.json and .*one\.json both hold the workflow example_nightly_tls"):
        load_folder(tmp_path)


def test_workflows_that_need_each_other_in_a_circle_are_named() -> None:
    one = replace(nightly(), name="One", nodes=(), links=(), settings={"errorWorkflow": "wf:two"})
    two = replace(one, name="Two", settings={"errorWorkflow": "wf:one"})
    with pytest.raises(WorkflowError, match="one → two → one"):
        order({"one": one, "two": two})
    assert order({"one": one}) == ["one"]


def test_the_gateways_address_is_changed_only_where_a_request_goes_to_it() -> None:
    here, there = IN_FILES, "http://gateway:8321"
    kind = "n8n-nodes-base.httpRequest"
    assert moved(kind, {"url": f"{here}/v1/runs"}, here, there) == {"url": f"{there}/v1/runs"}
    assert moved(kind, {"url": f"={here}/v1/runs/{{{{ $json.id }}}}"}, here, there) == {
        "url": f"={there}/v1/runs/{{{{ $json.id }}}}"
    }
    for kept in ("http://127.0.0.1:83210/v1/runs", "http://other:8321/v1/runs"):
        assert moved(kind, {"url": kept}, here, there) == {"url": kept}
    assert moved("n8n-nodes-base.set", {"url": here}, here, there) == {"url": here}
