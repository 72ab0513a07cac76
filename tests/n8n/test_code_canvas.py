"""A person's own hands: downloaded by the editor's menu, and dragged and saved on the canvas of a headless Chromium."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.n8n.bench import Bench, texts
from tests.n8n.editor import Editor
from tests.support.browser import Browser
from tests.support.waiting import until


@pytest.fixture
def editor(bench: Bench, browser: Browser) -> Iterator[Editor]:
    with browser.page() as page:
        page.screen(1600, 1000)
        opened = Editor(page, bench.n8n)
        opened.sign_in()
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_download_is_the_same_bytes_and_a_drag_moves_one_node_alone(bench: Bench, editor: Editor, tmp_path: Path) -> None:
    bench.push()
    before = bench.raw("example_nightly_tls")["updatedAt"]
    editor.show(bench.raw("example_nightly_tls")["id"])
    (tmp_path / "downloads").mkdir()
    bench.elsewhere.mkdir()
    shutil.copy(editor.download(tmp_path / "downloads"), bench.elsewhere / "download.json")
    editor.drag("All clean", 80, 60)
    until("the editor saves", lambda: bench.raw("example_nightly_tls")["updatedAt"] != before)
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
