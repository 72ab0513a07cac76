"""`check` and `diff` tell what n8n holds and runs, `adopt` makes commits of it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.n8n.bench import Bench, node_of, texts


def git(folder: Path, *words: str) -> str:
    names = ["-c", "user.name=Operator", "-c", "user.email=operator@example.test"]
    return subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def states(bench: Bench, code: int) -> dict[str, str]:
    found = bench.cli.json("n8n", "check", str(bench.folder), code=code)["workflows"]
    return {slug: state["state"] for slug, state in found.items()}


def test_draft_and_published_are_told_apart_with_who_and_when(bench: Bench) -> None:
    bench.push()
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(disabled=True))
    found = bench.cli.json("n8n", "check", str(bench.folder), code=1)["workflows"]
    state = found["example_run_job"]
    assert (state["state"], state["author"], state["published"]) == ("draft differs", "Olga Owner", True)
    assert [change["where"] for change in state["draft"]] == ["node Result.disabled"]
    assert state["published_changes"] == []
    assert state["updated_at"] > found["example_error_handler"]["updated_at"]
    bench.n8n.api("POST", f"/workflows/{bench.raw('example_run_job')['id']}/activate", {})
    assert states(bench, 1)["example_run_job"] == "both differ"


def test_a_draft_that_nobody_published_has_its_author(bench: Bench) -> None:
    path = bench.folder / "example_error_handler.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"active": False}))
    for other in ("example_run_job", "example_nightly_tls"):
        (bench.folder / f"{other}.json").unlink()
    bench.push()
    state = bench.cli.json("n8n", "check", str(bench.folder))["workflows"]["example_error_handler"]
    assert (state["state"], state["author"], state["published"]) == ("in sync", "Olga Owner", False)


def test_missing_extra_and_unpublished_are_states(bench: Bench) -> None:
    bench.push()
    bench.n8n.api("POST", f"/workflows/{bench.raw('example_nightly_tls')['id']}/deactivate")
    (bench.folder / "example_run_job.json").rename(bench.folder.parent / "away.json")
    assert states(bench, 1) == {
        "example_error_handler": "in sync",
        "example_nightly_tls": "not published",
        "example_run_job": "extra",
    }
    bench.n8n.wipe()
    assert states(bench, 1) == {"example_error_handler": "missing", "example_nightly_tls": "missing"}


def test_an_extra_workflow_counts_only_where_a_tag_says_which_are_ours(bench: Bench) -> None:
    bench.push()
    (bench.folder / "example_nightly_tls.json").unlink()
    bench.cli("n8n", "check", str(bench.folder))
    bench.cli("n8n", "check", str(bench.folder), "--tag", "nightly", code=1)


def test_a_deleted_credential_and_an_unpublished_callee_are_troubles(bench: Bench) -> None:
    bench.push()
    for row in bench.n8n.api("GET", "/credentials")["data"]:
        bench.n8n.api("DELETE", f"/credentials/{row['id']}")
    for slug in ("example_run_job", "example_error_handler"):
        bench.n8n.api("POST", f"/workflows/{bench.raw(slug)['id']}/deactivate")
    troubles = "\n".join(
        bench.cli.json("n8n", "check", str(bench.folder), code=1)["workflows"]["example_nightly_tls"]["troubles"]
    )
    assert "node Keep the run is not linked to the credential 'Nightshift gateway'" in troubles
    assert "node Look at certificates calls example_run_job" in troubles
    assert "error workflow example_error_handler is not in n8n, or not published" in troubles


def test_a_secret_typed_on_the_canvas_is_masked_in_the_diff(bench: Bench) -> None:
    bench.push()
    bench.save_in_editor(
        "example_run_job", lambda raw: node_of(raw, "Result")["parameters"].update(jsonOutput="Bearer abcdefghijklmnop0123456")
    )
    for words in (("diff",), ("check",), ("diff", "--json")):
        said = bench.cli("n8n", words[0], str(bench.folder), *words[1:], code=1)
        assert "Result: parameters.jsonOutput" in said
        assert "ijklmnop" not in said


def test_a_lone_export_knows_its_neighbours_by_what_was_pushed_from_its_folder(bench: Bench) -> None:
    bench.push()
    place = bench.folder / "example_nightly_tls.json"
    before = place.read_text()
    export = bench.folder / "Example _ Nightly TLS.json"
    export.write_text(json.dumps(bench.raw("example_nightly_tls")))
    assert "are both the workflow example_nightly_tls" in bench.cli("n8n", "fmt", str(bench.folder), code=2)
    assert "is there already: delete one of them" in bench.cli("n8n", "fmt", str(export), code=2)
    place.unlink()
    bench.cli("n8n", "fmt", str(export))
    assert place.read_text() == before
    assert not export.exists()


def test_two_files_are_compared_without_an_n8n(bench: Bench, tmp_path: Path) -> None:
    raw = json.loads((bench.folder / "example_run_job.json").read_text())
    node_of(raw, "Result")["position"] = [2000, 0]
    (tmp_path / "other.json").write_text(json.dumps(raw))
    offline = bench.cli.with_environ(NIGHTSHIFT_N8N_URL="", NIGHTSHIFT_N8N_API_KEY="")
    said = offline("n8n", "diff", str(bench.folder / "example_run_job.json"), str(tmp_path / "other.json"), code=1)
    assert "→ node Result: [720, 0] → [2000, 0] (no run can tell)" in said
    assert "no difference" in offline("n8n", "diff", str(bench.folder), str(bench.folder))
    assert "which n8n?" in offline("n8n", "diff", str(bench.folder), code=2)
    assert "no such file or folder" in offline("n8n", "diff", str(tmp_path / "nowhere"), str(bench.folder), code=2)


@pytest.fixture
def repository(bench: Bench) -> Path:
    """The folder in a git repository, everything committed, and pushed to n8n."""
    git(bench.folder, "init", "-q", "-b", "main")
    git(bench.folder, "config", "user.name", "Operator")
    git(bench.folder, "config", "user.email", "operator@example.test")
    git(bench.folder, "add", ".")
    git(bench.folder, "commit", "-q", "-m", "three workflows")
    bench.push()
    return bench.folder


def test_a_canvas_edit_becomes_a_branch_and_a_commit_by_its_author(bench: Bench, repository: Path) -> None:
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(disabled=True))
    (repository / "example_error_handler.json").write_text("being edited")
    bench_before = texts(repository)
    git(repository, "stash", "-q")
    said = bench.cli("n8n", "adopt", str(repository), "--branch", "from-canvas")
    git(repository, "stash", "pop", "-q")
    assert "branch from-canvas: 1 commits" in said
    assert texts(repository) == bench_before
    assert git(repository, "branch", "--show-current").strip() == "main"
    assert git(repository, "log", "-1", "--format=%an <%ae>|%cn|%s", "from-canvas").strip() == (
        "Olga Owner <owner@example.test>|Operator|Example / Run job: as edited in n8n"
    )
    assert "+ node Result.disabled: true" in git(repository, "log", "-1", "--format=%b", "from-canvas")
    assert git(repository, "diff", "--stat", "main", "from-canvas").strip().startswith("example_run_job.json | 1 +")


def test_the_adopted_branch_merged_is_in_sync_and_the_next_push_writes_nothing(bench: Bench, repository: Path) -> None:
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(notes="by hand"))
    bench.n8n.api("POST", f"/workflows/{bench.raw('example_run_job')['id']}/activate", {})
    bench.cli("n8n", "adopt", str(repository), "--branch", "from-canvas")
    git(repository, "merge", "-q", "from-canvas")
    bench.cli("n8n", "check", str(repository))
    assert bench.cli.json("n8n", "push", str(repository), "--yes")["written"] == {}


def test_a_secret_typed_on_the_canvas_is_not_committed(bench: Bench, repository: Path) -> None:
    typed = {"jsonOutput": '{"token": "ghp_abcdefghijklmnop0123456789"}'}
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result")["parameters"].update(typed))
    said = bench.cli("n8n", "adopt", str(repository), "--branch", "from-canvas", code=1)
    assert "example_run_job: a node holds what looks like a secret (ghp_ab…): git keeps it for ever" in said
    assert "klmnop" not in said
    assert git(repository, "branch", "--list", "from-canvas") == ""


def test_adopt_says_what_stands_in_its_way(bench: Bench, repository: Path) -> None:
    assert "n8n holds nothing that the files do not" in bench.cli("n8n", "adopt", str(repository))
    bench.save_in_editor("example_run_job", lambda raw: node_of(raw, "Result").update(notes="by hand"))
    assert "there is a branch main already" in bench.cli("n8n", "adopt", str(repository), "--branch", "main", code=2)
    assert "git check-ref-format" in bench.cli("n8n", "adopt", str(repository), "--branch", "a b", code=2)
    (repository / ".git").rename(repository.parent / "away")
    assert "git rev-parse" in bench.cli("n8n", "adopt", str(repository), code=2)
