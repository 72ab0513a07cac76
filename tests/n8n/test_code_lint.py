"""Every rule finds what it is for, says how to mend it, and says nothing about the workflows that are right."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.providers.n8n.lint import RULES, lint_folder
from tasks.providers.n8n.node_types import NodeTypes
from tests.n8n.bench import MATERIAL, node_of

Raw = dict[str, Any]
HTTP = "n8n-nodes-base.httpRequest"
# Written by us in the shape of `n8n export:nodes`; what n8n really exports is its own property.
TYPES = NodeTypes(
    [
        {
            "name": "n8n-nodes-base.wait",
            "version": [1, 1.1],
            "properties": [
                {
                    "name": "resume",
                    "type": "options",
                    "default": "timeInterval",
                    "options": [{"value": "webhook"}, {"value": "form"}],
                },
                *(
                    {"name": name, "type": "string", "default": ""}
                    for name in ("httpMethod", "limitWaitTime", "options", "resumeAmount")
                ),
                {
                    "name": "formTitle",
                    "type": "string",
                    "default": "",
                    "required": True,
                    "displayOptions": {"show": {"resume": ["form"]}},
                },
            ],
        },
        *(
            {
                "name": f"n8n-nodes-base.{kind}",
                "version": version,
                "properties": [{"name": each} for each in [*parameters.split(), "specifyBody"]],
            }
            for kind, version, parameters in (
                ("stickyNote", 1, "content color height width"),
                ("executeWorkflowTrigger", 1.1, "workflowInputs"),
                ("set", 3.4, "mode jsonOutput options"),
                (
                    "httpRequest",
                    4.4,
                    "authentication genericAuthType headerParameters jsonBody method options sendBody sendHeaders url",
                ),
            )
        ),
    ]
)


def run_job(*edits: Callable[[Raw], object]) -> Raw:
    raw: Raw = json.loads((MATERIAL / "example_run_job.json").read_text())
    for edit in edits:
        edit(raw)
    return raw


def on(name: str, /, **parameters: object) -> Callable[[Raw], object]:
    """Parameters of one node; None takes one away."""

    def edit(raw: Raw) -> None:
        node = node_of(raw, name)
        node["parameters"] = {key: value for key, value in (node["parameters"] | parameters).items() if value is not None}

    return edit


def keys(name: str, /, **values: object) -> Callable[[Raw], object]:
    """Keys of one node beside its parameters; None takes one away."""

    def edit(raw: Raw) -> None:
        node = node_of(raw, name)
        node.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del node[key]

    return edit


def settings(**values: object) -> Callable[[Raw], object]:
    return lambda raw: raw.update(settings={key: value for key, value in (raw["settings"] | values).items() if value is not None})


def added(
    name: str, kind: str, after: str | None = "Start run", version: float = 1, **parameters: object
) -> Callable[[Raw], object]:
    """One more node, behind another one."""

    def edit(raw: Raw) -> None:
        raw["nodes"].append(
            {"name": name, "id": name, "type": kind, "typeVersion": version, "position": [160, 800], "parameters": parameters}
        )
        if after:
            raw["connections"].setdefault(after, {"main": [[]]})["main"][0].append({"node": name, "type": "main", "index": 0})

    return edit


def header(name: str, value: str) -> Callable[[Raw], object]:
    return on("Start run", headerParameters={"parameters": [{"name": name, "value": value}]})


BAD: dict[str, list[Callable[[Raw], object]]] = {
    "answer-before-the-wait": [
        added("Hook", "n8n-nodes-base.webhook", None, authentication="headerAuth", responseMode="lastNode")
    ],
    "callback-into-nowhere": [on("Wait for result", resume="timeInterval")],
    "certificate-not-checked": [on("Start run", options={"allowUnauthorizedCerts": True})],
    "circle": [
        added(
            "Again", "n8n-nodes-base.executeWorkflow", workflowId={"__rl": True, "mode": "id", "value": "wf:example_nightly_tls"}
        )
    ],
    "credential-follows-redirects": [keys("Start run", typeVersion=4.2)],
    "credential-id": [keys("Start run", credentials={"httpHeaderAuth": {"name": "Nightshift gateway"}})],
    "dangling-link": [
        lambda raw: raw["connections"]["Start run"]["main"][0].append({"node": "Gone", "type": "main", "index": 0})
    ],
    "each-loses-results": [],
    "environment": [on("Result", jsonOutput="={{ $env.TOKEN }}")],
    "error-output-unused": [keys("Start run", onError="continueErrorOutput")],
    "execution-order": [settings(executionOrder=None)],
    "failure-passed-on": [keys("Result", onError="continueRegularOutput")],
    "idempotency-key-repeats": [header("Idempotency-Key", "={{ $execution.id }}/{{ $itemIndex }}")],
    "long-code": [added("Code", "n8n-nodes-base.code", jsCode="\n" * 20)],
    "lost-key": [keys("Result", rewireOutputLogTo="main")],
    "many-into-one-wait": [
        lambda raw: raw["nodes"].append(
            {
                "name": "List",
                "id": "l",
                "type": "n8n-nodes-base.splitOut",
                "typeVersion": 1,
                "position": [0, 640],
                "parameters": {},
            }
        ),
        lambda raw: raw["connections"].update(List={"main": [[{"node": "Start run", "type": "main", "index": 0}]]}),
    ],
    "missing-parameter": [on("Wait for result", resume="form")],
    "never-reached": [added("Alone", "n8n-nodes-base.noOp", None)],
    "no-credential": [keys("Start run", credentials=None)],
    "no-error-workflow": [settings(errorWorkflow=None)],
    "no-idempotency-key": [header("X-Other", "=1")],
    "no-note": [lambda raw: raw["nodes"].remove(node_of(raw, "Read me"))],
    "no-retry": [keys("Start run", retryOnFail=False)],
    "no-time-zone": [added("Clock", "n8n-nodes-base.scheduleTrigger", None), settings(timezone=None)],
    "node-id-twice": [lambda raw: keys("Result", id=node_of(raw, "Start run")["id"])(raw)],
    "node-name-twice": [keys("Result", name="Start run")],
    "not-callable": [keys("When called", disabled=True)],
    "nothing-starts-it": [keys("When called", type="n8n-nodes-base.noOp")],
    "off-grid": [keys("Result", position=[721, 3])],
    "open-webhook": [added("Hook", "n8n-nodes-base.webhook", None)],
    "personal": [lambda raw: raw.update(shared=[{"project": {"name": "Olga <olga@example.test>"}}])],
    "pinned-data": [lambda raw: raw.update(pinData={"Start run": [{"json": {"name": "Ana"}}]})],
    "risky-node": [added("Shell", "n8n-nodes-base.executeCommand")],
    "secret": [on("Result", jsonOutput="Bearer abcdefghijklmnop0123")],
    "secret-header": [header("X-Api-Key", "12345")],
    "switched-off": [keys("Result", disabled=True)],
    "unknown-choice": [on("Wait for result", resume="bell")],
    "unknown-node-in-expression": [on("Result", jsonOutput="={{ $('Start a run').item.json }}")],
    "unknown-node-type": [added("Other", "n8n-nodes-community.other")],
    "unknown-node-version": [keys("Start run", typeVersion=9)],
    "unknown-parameter": [on("Start run", uri="http://127.0.0.1:8321/v1/runs")],
    "unknown-workflow": [settings(errorWorkflow="wf:nobody")],
    "wait-answers-get": [on("Wait for result", httpMethod=None)],
    "wait-limit": [on("Wait for result", limitWaitTime=None)],
    "wait-suffix": [
        added("Second", "n8n-nodes-base.wait", resume="webhook", httpMethod="POST", limitWaitTime=True),
    ],
    "webhook-path-twice": [
        added(
            "Hook", "n8n-nodes-base.webhook", None, authentication="headerAuth", httpMethod="POST", path="nightshift/nightly-tls"
        )
    ],
    "workflow-by-id": [settings(errorWorkflow="abcdefghij012345")],
}


TYPED = {"missing-parameter", "unknown-choice", "unknown-node-type", "unknown-node-version", "unknown-parameter"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MATERIAL, tmp_path / "workflows"))


def found(folder: Path, types: NodeTypes | None = None) -> set[str]:
    """Codes; with node types only of the one workflow whose types are told."""
    remarks = lint_folder(folder, types)
    return {remark.rule.code for remark in remarks if types is None or remark.file.name == "example_run_job.json"}


def test_workflows_that_are_right_are_clean(folder: Path) -> None:
    assert lint_folder(folder) == []


@pytest.mark.parametrize("code", [code for code in BAD if code != "each-loses-results"])
def test_a_rule_finds_what_it_is_for(code: str, folder: Path) -> None:
    typed = TYPES if code in TYPED else None
    assert code not in found(folder, typed)
    (folder / "example_run_job.json").write_text(json.dumps(run_job(*BAD[code])))
    assert code in found(folder, typed)


def test_a_sub_workflow_that_waits_must_not_run_once_per_item(folder: Path) -> None:
    raw = json.loads((folder / "example_nightly_tls.json").read_text())
    on("Look at certificates", mode="each")(raw)
    (folder / "example_nightly_tls.json").write_text(json.dumps(raw))
    assert "each-loses-results" in found(folder)


def test_an_error_workflow_that_hears_nothing_is_found(folder: Path) -> None:
    raw = json.loads((folder / "example_error_handler.json").read_text())
    (folder / "example_error_handler.json").write_text(json.dumps({**raw, "active": False}))
    assert "deaf-error-workflow" in found(folder)


def test_form_and_name_of_a_file_are_looked_at(folder: Path) -> None:
    text = (folder / "example_run_job.json").read_text()
    (folder / "mine.json").write_text(text.replace("\n", ""))
    (folder / "broken.json").write_text("{")
    assert {"file-name", "normal-form", "one-name-twice", "unreadable"} <= found(folder)


def test_no_rule_is_without_a_test() -> None:
    elsewhere = {"deaf-error-workflow", "file-name", "normal-form", "one-name-twice", "unreadable"}
    assert RULES.keys() == BAD.keys() | elsewhere
    assert len(RULES) >= 20


def test_every_rule_says_why_and_how_to_mend() -> None:
    assert [rule.code for rule in RULES.values() if not (rule.why.endswith(".") and rule.mend)] == []


def test_an_expression_and_a_masked_value_are_no_secrets(folder: Path) -> None:
    raw = run_job(on("Result", jsonOutput="=Bearer {{ $json.body.token_of_somebody_else }}"))
    (folder / "example_run_job.json").write_text(json.dumps(raw))
    assert "secret" not in found(folder)


def test_a_find_never_repeats_the_secret(folder: Path) -> None:
    (folder / "example_run_job.json").write_text(json.dumps(run_job(*BAD["secret"])))
    assert "klmnop0123" not in "".join(remark.says for remark in lint_folder(folder))
