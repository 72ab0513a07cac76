"""n8n's editor in a headless Chromium, as a person has it: open, download by the menu, drag, run, and look."""

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers import N8nServer
from tests.servers.n8n import OWNER
from tests.support.browser import Page
from tests.support.waiting import until

_NODES = "[...document.querySelectorAll('[data-test-id=\"canvas-node\"]')]"
_BOXES = (
    f"JSON.stringify({_NODES}.map((each) => {{ const box = each.getBoundingClientRect(); return [box.x, box.y, box.width]; }}))"
)
# What covers the canvas without being drawn on it (hints, notices, buttons), and what differs each time (ids).
_PLAIN = """document.head.insertAdjacentHTML('beforeend', `<style>
  .el-notification, .el-message, .el-popper, .tab-bar-container, [data-test-id="suggested-actions"],
  [data-test-id="canvas-controls"], [data-test-id="canvas-minimap"], [data-test-id="canvas-plus-button"],
  [data-test-id="node-creator-plus-button"], [data-test-id="command-bar-button"], [data-test-id="add-sticky-button"],
  [data-test-id="toggle-focus-panel-button"], [data-test-id="execute-workflow-button"], [data-test-id="stop-execution-button"],
  .vue-flow__controls, .vue-flow__minimap, .vue-flow__panel, [class*="_subtitle_"] { visibility: hidden !important }
  *, *::before, *::after { animation: none !important; transition: none !important; caret-color: transparent !important }
</style>`)"""


@dataclass(frozen=True, slots=True)
class Editor:
    """Signed in as the owner."""

    page: Page
    n8n: N8nServer

    def sign_in(self) -> None:
        self.page.open(f"{self.n8n.url}/signin")
        until("the page to sign in", lambda: self._there("input[type=password]"))
        body = json.dumps({"emailOrLdapLoginId": OWNER["email"], "password": OWNER["password"]})
        headers = "{'content-type': 'application/json', 'browser-id': localStorage.getItem('n8n-browserId') || ''}"
        call = f"fetch('/rest/login', {{method: 'POST', headers: {headers}, body: {json.dumps(body)}}})"
        status = self.page.run(f"{call}.then((answer) => answer.status)")
        assert status == 200, status

    def show(self, workflow_id: str) -> None:
        """The canvas of a workflow, all of it in sight."""
        self.page.open(f"{self.n8n.url}/workflow/{workflow_id}")
        until("the canvas", lambda: self._there('[data-test-id="canvas-node"]'))
        self.steady()
        self._click('[data-test-id="zoom-to-fit"]')
        self.steady()

    def steady(self) -> None:
        """Until no node moves any more."""
        seen = [""]

        def same() -> bool:
            time.sleep(0.4)  # between two looks; how long it takes decides nothing
            seen.append(str(self.page.run(_BOXES)))
            return seen[-1] == seen[-2] != "[]"

        until("a canvas at rest", same)

    def download(self, folder: Path) -> Path:
        """By the menu; the file, once it is whole."""
        context = self.page.ask("Target.getTargetInfo")["targetInfo"]["browserContextId"]
        self.page.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), browserContextId=context)
        self._click('[data-test-id="workflow-menu"]')
        self._click('[data-test-id="workflow-menu-item-download"]')
        until("the download", lambda: bool(list(folder.glob("*.json"))))
        (found,) = folder.glob("*.json")
        return found

    def drag(self, node: str, across: int, down: int) -> None:
        """With the mouse, by so many points of the screen; the editor saves by itself."""
        found = f"{_NODES}.find((each) => each.innerText.includes({json.dumps(node)})).getBoundingClientRect()"
        box = json.loads(self.page.run(f"JSON.stringify({found})"))
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
        self._mouse("mousePressed", x, y)
        for part in range(1, 11):
            self._mouse("mouseMoved", x + across * part / 10, y + down * part / 10)
        self._mouse("mouseReleased", x + across, y + down)

    def execute(self) -> None:
        """The button below the canvas."""
        self._click('[data-test-id="execute-workflow-button"]')

    def picture(self, place: Path) -> None:
        """The canvas alone, as PNG."""
        self.page.run(_PLAIN)
        self.steady()
        box = json.loads(self.page.run("JSON.stringify(document.querySelector('.vue-flow').getBoundingClientRect())"))
        clip = {name: box[name] for name in ("x", "y", "width", "height")} | {"scale": 1}
        shot = self.page.ask("Page.captureScreenshot", format="png", clip=clip, optimizeForSpeed=False)
        place.write_bytes(base64.b64decode(shot["data"]))

    def _mouse(self, kind: str, x: float, y: float) -> None:
        self.page.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        self.page.run("new Promise((done) => requestAnimationFrame(() => done(1)))")

    def _click(self, selector: str) -> None:
        until(selector, lambda: self._there(selector))
        self.page.run(f"document.querySelector({json.dumps(selector)}).click()")

    def _there(self, selector: str) -> bool:
        return bool(self.page.run(f"!!document.querySelector({json.dumps(selector)})"))
