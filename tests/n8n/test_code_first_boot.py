"""From files to a running n8n without its API; and n8n's own node types and command line against ours."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.providers.n8n.lint import lint_folder
from tasks.providers.n8n.node_types import NodeTypes, load_node_types
from tests.n8n.bench import Bench, node_of, texts
from tests.servers import N8nServer
from tests.servers.n8n import exported
from tests.servers.n8n_install import INSTALLED
from worker.ledger import Ledger, people

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
READ_YAML = "console.log(JSON.stringify(require(process.argv[1]).load(require('fs').readFileSync(process.argv[2], 'utf8'))))"


@pytest.fixture(scope="session")
def node_types(_n8n: N8nServer) -> Path:
    """What the tested n8n has, exported as a user would."""
    place = _n8n.folder / "nodes.json"
    _n8n.command("export:nodes", f"--output={place}")
    return place


@pytest.fixture
def fresh(bench: Bench) -> Iterator[N8nServer]:
    """An n8n that was never started."""
    server = N8nServer(fresh=True)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def compose(_n8n: N8nServer) -> dict[str, Any]:
    """The services of docker-compose.yml."""
    argv = [str(_n8n.node), "-e", READ_YAML, str(INSTALLED / "node_modules/js-yaml"), str(COMPOSE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout)["services"])


def first_boot(server: N8nServer, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = f"{server.argv()[0]} {server.argv()[1]}"
    environ = {"HOME": str(server.folder), **server.environment(), "N8N": command}
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=250)


def tokens(bench: Bench) -> list[Any]:
    with closing(Ledger(f"sqlite:///{bench.cli.environ['NIGHTSHIFT_HOME']}/ledger.db")) as ledger, ledger.read() as connection:
        return list(people.tokens(connection))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_first_boot_gives_published_workflows_without_a_click(bench: Bench, fresh: N8nServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bench.cli("migrate")
    told = bench.cli.with_environ(NIGHTSHIFT_N8N_GATEWAY_URL="http://127.0.0.1:7007").json(
        "n8n", "build", str(bench.folder), str(out), "--token"
    )
    assert told == {"workflows": 3, "secrets_missing": [], "to_fill_in_n8n": []}
    secret = (out / "secrets/nightshift_webhook").read_text().strip()
    assert secret not in "".join(path.read_text() for path in out.rglob("*.json"))
    done = first_boot(fresh, [str(out / "first-boot.sh")])
    assert done.returncode == 0, done.stdout + done.stderr
    fresh.start()
    fresh.set_up_owner()
    raws = {raw["name"]: raw for raw in fresh.api("GET", "/workflows")["data"]}
    assert [name for name, raw in raws.items() if raw["activeVersionId"] is None] == []
    caller = node_of(raws["Example / Nightly TLS"], "Look at certificates")
    assert caller["parameters"]["workflowId"]["value"] == raws["Example / Run job"]["id"]
    url = node_of(raws["Example / Run job"], "Start run")["parameters"]["url"]
    assert url == "http://127.0.0.1:7007/v1/runs"
    hook = f"{fresh.url}/webhook/nightshift/nightly-tls"
    assert httpx.post(hook, json={}, timeout=60, trust_env=False).status_code == httpx.codes.FORBIDDEN
    answer = httpx.post(hook, json={}, headers={"X-Nightshift-Webhook": secret}, timeout=60, trust_env=False)
    assert answer.status_code == httpx.codes.OK, answer.text
    there = {
        "NIGHTSHIFT_N8N_URL": fresh.url,
        "OPERATORS_KEY": fresh.api_key,
        "NIGHTSHIFT_N8N_GATEWAY_URL": "http://127.0.0.1:7007",
    }
    states = bench.cli.with_environ(**there).json("n8n", "check", str(bench.folder))["workflows"]
    assert {state["state"] for state in states.values()} == {"in sync"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_compose_runs_before_n8n_publishes_the_workflows_once(
    bench: Bench, compose: dict[str, Any], fresh: N8nServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    places = {"/workflows": str(bench.folder), "/var/lib/n8n-first-boot": str(out)}
    build = [places.get(word, word) for word in compose["n8n-files"]["command"]]
    boot = [word.replace("/first-boot/", f"{out}/") for word in compose["n8n-first-boot"]["entrypoint"]]
    bench.cli("migrate")
    bench.cli(*build)
    done = first_boot(fresh, boot)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(exported(fresh, tmp_path / "held")) == 3
    assert [raw["name"] for raw in exported(fresh, tmp_path / "held") if raw["activeVersionId"] is None] == []
    # Each `docker compose up` runs both again.
    assert "nothing was changed" in bench.cli(*build)
    again = first_boot(fresh, boot)
    assert (again.returncode, again.stdout) == (0, "")
    assert len(tokens(bench)) == 1
    shutil.rmtree(fresh.home)
    fresh.home.mkdir(mode=0o700)
    refused = first_boot(fresh, boot)
    assert refused.returncode == 1
    assert "its token has served another database of n8n" in refused.stderr


def test_compose_starts_n8n_after_its_first_boot_on_the_same_volume(compose: dict[str, Any]) -> None:
    files, boot, n8n = (compose[name] for name in ("n8n-files", "n8n-first-boot", "n8n"))
    completed = {"condition": "service_completed_successfully"}
    assert (boot["depends_on"], n8n["depends_on"]) == ({"n8n-files": completed}, {"n8n-first-boot": completed})
    assert (boot["image"], boot["environment"]) == (n8n["image"], n8n["environment"])
    assert set(n8n["volumes"]) < set(boot["volumes"])
    assert {each["restart"] for each in (files, boot)} == {"no"}
    assert {tuple(each["profiles"]) for each in (files, boot, n8n)} == {("n8n",)}


def test_a_folder_of_a_group_lets_that_group_read_the_secrets(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o2770)
    bench.cli("n8n", "build", str(bench.folder), str(out))
    modes = [stat.S_IMODE((out / name).stat().st_mode) for name in ("secrets", "secrets/nightshift_webhook")]
    assert [oct(mode) for mode in modes] == ["0o2750", "0o640"]


def test_each_build_with_a_token_starts_a_new_family_of_idempotency_keys(bench: Bench, tmp_path: Path) -> None:
    bench.cli("migrate")
    for number in range(2):
        bench.cli("n8n", "build", str(bench.folder), str(tmp_path / str(number)), "--token")
    assert len({token.family for token in tokens(bench)}) == 2
    texts_of = [(tmp_path / name / "secrets/nightshift_gateway").read_text() for name in "01"]
    assert texts_of[0] != texts_of[1]
    assert [oct((tmp_path / name / "secrets/nightshift_gateway").stat().st_mode & 0o777) for name in "01"] == ["0o600", "0o600"]


def test_two_builds_give_the_same_files(bench: Bench, tmp_path: Path) -> None:
    for name in ("one", "two"):
        bench.cli("n8n", "build", str(bench.folder), str(tmp_path / name))
    assert texts(tmp_path / "one/workflows") == texts(tmp_path / "two/workflows")
    assert (tmp_path / "one/credentials.json").read_text() == (tmp_path / "two/credentials.json").read_text()


def test_without_the_gateways_secret_the_script_names_the_file_and_imports_nothing(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "secrets/nightshift_gateway" in bench.cli("n8n", "build", str(bench.folder), str(out))
    done = subprocess.run(
        [str(out / "first-boot.sh")],
        env={"PATH": f"{bench.n8n.node.parent}{os.pathsep}{os.environ['PATH']}", "N8N": "echo n8n"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "secrets/nightshift_gateway: write the value of the credential 'Nightshift gateway'" in done.stderr
    assert "import:workflow" not in done.stdout


def test_a_build_needs_everything_that_its_workflows_need(bench: Bench, tmp_path: Path) -> None:
    (bench.folder / "example_run_job.json").unlink()
    said = bench.cli("n8n", "build", str(bench.folder), str(tmp_path / "out"), code=1)
    assert "example_nightly_tls: needs example_run_job, which has no file here" in said
    assert not (tmp_path / "out").exists()


def test_the_nodes_of_the_tested_n8n_know_ours(bench: Bench, node_types: Path) -> None:
    types = load_node_types(node_types)
    assert len(types) > 400
    assert lint_folder(bench.folder, types) == []


def test_a_typing_mistake_is_found_with_the_users_own_node_types(bench: Bench, node_types: Path) -> None:
    path = bench.folder / "example_run_job.json"
    raw = json.loads(path.read_text())
    node_of(raw, "Start run")["parameters"]["uri"] = node_of(raw, "Start run")["parameters"].pop("url")
    node_of(raw, "Wait for result")["typeVersion"] = 3
    path.write_text(json.dumps(raw))
    remarks = bench.cli.json("n8n", "lint", str(bench.folder), "--nodes", str(node_types), code=1)
    assert {(each["where"], each["code"]) for each in remarks if each["code"] not in ("normal-form", "no-idempotency-key")} == {
        ("Start run", "unknown-parameter"),
        ("Start run", "missing-parameter"),
        ("Wait for result", "unknown-node-version"),
    }


def test_what_the_editor_drops_is_dropped_with_the_users_own_node_types(node_types: Path) -> None:
    types: NodeTypes = load_node_types(node_types)
    kind = types.find("n8n-nodes-base.executeWorkflow", 1.3)
    assert kind is not None
    kept = kind.without_defaults({"mode": "once", "source": "database", "workflowId": {"__rl": True, "mode": "id", "value": "x"}})
    assert list(kept) == ["workflowId"]
