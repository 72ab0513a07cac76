"""The pictures of docs/n8n-tutorial.md, of the workflows that ship in a real editor: `make docs`."""

import sys
import tempfile
from pathlib import Path

from tests.n8n.editor import Editor
from tests.n8n.stage import Stage, open_stage
from tests.servers import N8nServer
from tests.support.browser import Browser

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 620
SUBJECT = "Go on with Hello"


def make(folder: Path) -> None:
    """Hello as it is drawn, while it waits for a person, and after the yes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        N8nServer() as n8n,
        tempfile.TemporaryDirectory() as scratch,
        open_stage(n8n, Path(scratch)) as stage,
        Browser() as browser,
        browser.page() as page,
    ):
        page.screen(WIDTH, HEIGHT)
        _hello(Editor(page, n8n), stage, folder)


def _hello(editor: Editor, stage: Stage, folder: Path) -> None:
    editor.sign_in()
    editor.show(stage.id_of("Hello"))
    editor.picture(folder / "hello.png")
    editor.execute()
    stage.pending(SUBJECT)
    editor.picture(folder / "hello_waits.png")
    stage.decide(SUBJECT, "approve")
    stage.ended(stage.newest("Hello"))
    editor.picture(folder / "hello_goes_on.png")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else PICTURES)
