"""Results that meet a Wait in an odd state, an n8n that is away, and too many or too few items: what a person reads then."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.n8n.bench import GATEWAY
from tests.n8n.stage import Stage, items_of, node, open_stage
from tests.n8n.waits import BACK, KEY, Counter, by_hand, callback_of, counting, made, post, resume_url, start, told, wait, waits
from tests.servers import N8nServer
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SLOW = """
[[command]]
name = "slow"
argv = ["sh", "-c", "until [ -e {gate} ]; do sleep 0.05; done"]
"""
TOO_MANY = (
    "10000 items with one callback, at most 1000 are called back at once: "
    "send them in several requests, say with a Loop Over Items"
)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job `slow` ends once there is such a file."""
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture(scope="module")
def stage(_n8n: N8nServer, gate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if not _n8n.running:
        _n8n.start()
    _n8n.wipe()
    with open_stage(_n8n, tmp_path_factory.mktemp("edges"), estate=SLOW.format(gate=gate)) as opened:
        yield opened


@pytest.fixture
def held(stage: Stage, gate: Path) -> Iterator[Path]:
    """Until the test opens it."""
    gate.unlink(missing_ok=True)
    yield gate
    gate.touch()


@pytest.fixture
def counter() -> Iterator[Counter]:
    with counting() as listening:
        yield listening


def tried(stage: Stage, batch: str) -> dict[str, Any] | None:
    """The delivery, once an attempt has ended."""
    row = callback_of(stage, batch)
    return row if row and row["detail"] else None


def asked(entry: str, back: str = BACK) -> str:
    return f"{{ job: 'command', params: {{ entries: ['{entry}'] }}, callback_url: {back} }}"


def waiting_for(stage: Stage, counter: Counter, entry: str, *more: dict[str, Any]) -> tuple[str, str]:
    """A workflow that waits for the result of this entry: ids of its execution and of the batch."""
    seen = "{ batch: $json.body?.batch?.id ?? null }"
    workflow = made(stage, "Waits", [by_hand(), start(stage, asked(entry)), wait(), post("Count", counter.url, seen), *more])
    execution = stage.run(workflow)
    (batch,) = items_of(waits(stage, execution), "Start")
    return execution, str(batch["batch"]["id"])


def test_a_loop_of_five_gets_five_results_each_its_own(stage: Stage, counter: Counter) -> None:
    entries = ["fine", "hello", "fine", "leak", "fine"]
    seen = "{ started: $('Start').first().json.batch.id, came: $json.body.batch.id, verdict: $json.body.results[0].verdict }"
    nodes = [
        by_hand(),
        node("Items", "set", 3.4, 100, mode="raw", jsonOutput=json.dumps({"entries": entries}), options={}),
        node("Each", "splitOut", 1, 150, fieldToSplitOut="entries", options={"destinationFieldName": "entry"}),
        node("Loop", "splitInBatches", 3, 200, options={}),
        start(stage, asked("fine").replace("'fine'", "$json.entry")),
        wait(),
        post("Count", counter.url, seen),
    ]
    after = {
        "Run by hand": [["Items"]],
        "Items": [["Each"]],
        "Each": [["Loop"]],
        "Loop": [[], ["Start"]],
        "Start": [["Wait"]],
        "Wait": [["Count"]],
        "Count": [["Loop"]],
    }
    links = {
        name: {"main": [[{"node": each, "type": "main", "index": 0} for each in output] for output in outputs]}
        for name, outputs in after.items()
    }
    stage.ended(stage.run(made(stage, "Loop of five", nodes, links)))
    assert [one["verdict"] for one in counter.posts] == ["ok", "findings", "ok", "findings", "ok"]
    assert all(one["started"] == one["came"] for one in counter.posts)
    assert len({one["came"] for one in counter.posts}) == 5


def test_a_wait_that_somebody_resumed_before_takes_no_second_result(stage: Stage, counter: Counter, held: Path) -> None:
    execution, batch = waiting_for(stage, counter, "slow")
    by_a_person = httpx.post(resume_url(stage, stage.execution(execution)), json={}, timeout=60, trust_env=False)
    assert by_a_person.status_code == 200, by_a_person.text
    stage.ended(execution)
    held.touch()
    row = told(stage, batch, "sent", "failed", "disabled")
    assert (row["state"], row["detail"].partition(": ")[2]) == (
        "disabled",
        "the execution had finished already: the Wait's limit had passed, or somebody else resumed it",
    )
    assert [one["batch"] for one in counter.posts] == [None]


def test_a_result_never_resumes_the_next_wait_of_the_execution(stage: Stage, counter: Counter, held: Path) -> None:
    later = wait("Wait for something else", "else")
    execution, batch = waiting_for(stage, counter, "slow", later)
    httpx.post(resume_url(stage, stage.execution(execution)), json={}, timeout=60, trust_env=False)
    assert counter.reached(1, 60)
    waits(stage, execution)
    held.touch()
    row = told(stage, batch, "sent", "failed", "disabled")
    assert row["state"] == "failed"
    assert "compare the Wait's webhook suffix with the callback's URL" in row["detail"]
    assert stage.execution(execution)["status"] == "waiting"


def test_a_result_of_a_stopped_execution_is_listed_with_its_reason(stage: Stage, counter: Counter, held: Path) -> None:
    execution, batch = waiting_for(stage, counter, "slow")
    stage.n8n.api("POST", f"/executions/{execution}/stop")
    held.touch()
    row = told(stage, batch, "failed", "disabled")
    assert "stopped before it could take the result" in row["detail"]
    assert counter.posts == []


def test_a_result_of_a_deleted_execution_is_tried_for_minutes_and_says_why(stage: Stage, counter: Counter, held: Path) -> None:
    execution, batch = waiting_for(stage, counter, "slow")
    stage.n8n.api("DELETE", f"/executions/{execution}")
    held.touch()
    row = until("it was tried", lambda: tried(stage, batch))
    assert (row["state"], row["detail"].partition(": ")[2]) == (
        "sending",
        "n8n does not know the execution: deleted, pruned, or of another database",
    )
    assert batch in stage.instance.cli("deliveries", "--json")
    assert counter.posts == []


def test_an_n8n_that_is_down_gets_the_result_when_it_is_back(stage: Stage, counter: Counter, held: Path) -> None:
    _, batch = waiting_for(stage, counter, "slow")
    stage.n8n.stop()
    try:
        held.touch()
        row = until("n8n is missed", lambda: tried(stage, batch))
        assert (row["state"], row["detail"]) == (
            "sending",
            f"nobody listens at 127.0.0.1:{stage.n8n.port}, n8n is down or starting: ConnectError",
        )
        assert "n8n is down or starting" in stage.instance.cli("deliveries", "--json")
    finally:
        stage.n8n.start()
    told(stage, batch, "sent")
    assert counter.reached(1, 60)
    assert [one["batch"] for one in counter.posts] == [batch]


class TestItems:
    """As `Run job` is called from a canvas, or the gateway directly."""

    def test_ten_thousand_are_refused_each_with_what_to_do(self, stage: Stage) -> None:
        many = "Array.from({ length: 10000 }, () => ({ job: 'command', params: { entries: ['fine'] } }))"
        said = stage.out(_called_with(stage, many), "Call")
        assert len(said) == 10_000
        assert {(one["status"], one["ok"]) for one in said} == {("not_started", False)}
        assert {one["message"] for one in said} == {TOO_MANY}

    def test_none_are_a_call_that_n8n_never_makes(self, stage: Stage) -> None:
        """Which is why the gateway's answer to none says what came before."""
        known = stage.executions("Run job")
        assert "Call" not in stage.ended(_called_with(stage, "[]"))["data"]["resultData"]["runData"]
        assert stage.executions("Run job") == known
        assert "`items` is empty: nothing came from the step before" in _refusal(stage, f"{{ items: [], callback_url: {BACK} }}")


def _called_with(stage: Stage, items: str) -> str:
    """`Run job` is called with the items of this JavaScript; the execution's id."""
    call = node("Call", "executeWorkflow", 1.3, 720, options={"waitForSubWorkflow": True},
                workflowInputs={"mappingMode": "defineBelow", "schema": [], "matchingColumns": [],
                                "value": {"job": "={{ $json.job }}", "params": "={{ $json.params }}"}},
                workflowId={"__rl": True, "mode": "id", "value": stage.id_of("Run job")})  # fmt: skip
    listed = node("Items", "set", 3.4, 240, mode="raw", jsonOutput=f"={{{{ JSON.stringify({{ items: {items} }}) }}}}", options={})
    return stage.run(
        made(stage, "Many", [by_hand(), listed, node("Each", "splitOut", 1, 480, fieldToSplitOut="items", options={}), call])
    )


def _refusal(stage: Stage, body: str, key: str = KEY) -> str:
    """What the canvas shows of a request that the gateway refuses."""
    execution = stage.run(made(stage, "Refused", [by_hand(), start(stage, body, key=key)]))

    def failed() -> str | None:
        found = stage.execution(execution)
        error = found.get("data", {}).get("resultData", {}).get("error")
        return json.dumps(error) if found["status"] == "error" else None

    return until("it is refused", failed)


def test_after_a_reset_of_its_database_n8n_needs_a_fresh_token(
    stage: Stage, counter: Counter, held: Path, tmp_path: Path
) -> None:
    """The last of this file: it leaves an n8n without workflows."""
    key, fine = "n8n/wf/1/start/0", "{ job: 'command', params: { entries: ['fine'] } }"
    before = _batch(stage, fine, key)
    _, lost = waiting_for(stage, counter, "slow")
    stage.n8n.reset_database()
    held.touch()
    row = until("it was tried", lambda: tried(stage, lost))
    assert row["detail"].partition(": ")[2] == "n8n does not know the execution: deleted, pruned, or of another database"
    old = stage.n8n.add_credential(GATEWAY, "Authorization", stage.api.headers["Authorization"])
    assert _batch(stage, fine, key) == before, "the same body under an old key is the old batch, whoever asks"
    other = _refusal(stage, "{ job: 'command', params: { entries: ['hello'] } }", key)
    assert "give it a fresh token (`nightshift n8n build --token`)" in other
    assert "was used at" in other
    assert "was used at" in _refusal(stage, asked("fine"), key), "another Wait is another body: it would never be resumed"
    out = tmp_path / "first-boot"
    stage.instance.cli("n8n", "build", str(stage.folder), str(out), "--token")
    stage.n8n.api("DELETE", f"/credentials/{old}")
    stage.n8n.add_credential(GATEWAY, "Authorization", (out / "secrets" / "nightshift_gateway").read_text().strip())
    assert _batch(stage, fine, key) != before
    assert counter.posts == []


def _batch(stage: Stage, body: str, key: str) -> str:
    (answer,) = stage.out(stage.run(made(stage, "Asks", [by_hand(), start(stage, body, key=key)])), "Start")
    return str(answer["batch"]["id"])
