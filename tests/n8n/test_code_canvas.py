"""A person's own hands: downloaded by the editor's menu, and dragged and saved on the canvas of a headless Chromium."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.n8n.bench import Bench, texts
from tests.servers.n8n import OWNER

SCRIPT = Path(__file__).with_name("canvas.mjs")
PATIENCE_SECONDS = 90.0


@contextmanager
def canvas(bench: Bench, slug: str, node: str, scratch: Path) -> Iterator[Path]:
    """The folder with the download, once `node` was dragged."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not on PATH")
    downloads = scratch / "downloads"
    downloads.mkdir()
    words = [program, str(scratch / "profile"), bench.n8n.url, OWNER["email"], OWNER["password"], bench.raw(slug)["id"]]
    argv = [str(bench.n8n.node), str(SCRIPT), *words, str(downloads), node]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as browser:
        try:
            assert browser.stdout is not None
            assert browser.stderr is not None
            said = browser.stdout.readline()
            assert said == "dragged\n", said + browser.stderr.read()
            yield downloads
        finally:
            assert browser.stdin is not None
            browser.stdin.close()
            browser.wait(PATIENCE_SECONDS)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_download_is_the_same_bytes_and_a_drag_moves_one_node_alone(bench: Bench, tmp_path: Path) -> None:
    bench.push()
    before = bench.raw("example_nightly_tls")["updatedAt"]
    with canvas(bench, "example_nightly_tls", "All clean", tmp_path) as downloads:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while bench.raw("example_nightly_tls")["updatedAt"] == before:
            assert time.monotonic() < deadline, "the editor did not save"
            time.sleep(0.5)
        (download,) = downloads.glob("*.json")
        bench.elsewhere.mkdir()
        shutil.copy(download, bench.elsewhere / "download.json")
    # Beside its neighbours: the download knows them by id alone.
    for slug in ("example_run_job", "example_error_handler"):
        (bench.elsewhere / f"{slug}.json").write_text(json.dumps(bench.raw(slug)))
    bench.cli("n8n", "fmt", str(bench.elsewhere))
    assert texts(bench.elsewhere) == texts(bench.folder)
    changes = bench.cli.json("n8n", "diff", str(bench.folder), code=1)["example_nightly_tls"]
    assert [(change["kind"], change["where"]) for change in changes] == [("moved", "node All clean")]
    bench.cli("n8n", "check", str(bench.folder))
    bench.cli("n8n", "pull", str(bench.folder))
    edited = json.loads(texts(bench.folder)["example_nightly_tls.json"])
    written = json.loads(texts(bench.elsewhere)["example_nightly_tls.json"])
    for each in (edited, written):
        each["nodes"] = sorted((node | {"position": None} for node in each["nodes"]), key=lambda node: str(node["name"]))
    assert edited == written
