"""A headless Chromium, spoken to over its debugging pipe: JSON messages that end with a NUL, no port and no library."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.servers import Missing
from tests.support.waiting import until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # as root, in a container, it has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)


class Browser:
    """One process; each page has a context of its own, which shares no cookie with another."""

    def __init__(self) -> None:
        if PROGRAM is None:
            raise Missing("chromium is not on PATH")
        self._home = Path(tempfile.mkdtemp(prefix="nightshift-browser-"))
        # Chromium reads commands from descriptor 3 and answers on 4.
        its_in, self._out = os.pipe()
        self._in, its_out = os.pipe()
        plug = f'exec "$0" "$@" 3<&{its_in} 4>&{its_out}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", plug, PROGRAM, *FLAGS, f"--user-data-dir={self._home}", "about:blank"],
            pass_fds=(its_in, its_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_in)
        os.close(its_out)
        self._number = 0
        self._rest = b""

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer. Events that come meanwhile are nobody's business."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])

    @contextmanager
    def page(self) -> Iterator["Page"]:
        """A new window without any cookie."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        yield Page(self, session)
        self.ask("Target.disposeBrowserContext", browserContextId=context)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._in, 1 << 16)
            assert more, "Chromium ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._out)
        os.close(self._in)
        self._process.terminate()
        self._process.wait(timeout=30)
        shutil.rmtree(self._home, ignore_errors=True)


class Page:
    """One window."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.ask(method, self._session, **params)

    def open(self, url: str) -> None:
        """Go there, and wait until everything has loaded."""
        self.run("window.left = true")
        self.ask("Page.navigate", url=url)
        self.settle()

    def settle(self) -> None:
        """Until a page is there that nobody has left, and its scripts have run."""
        loaded = "!window.left && document.readyState === 'complete' && location.href !== 'about:blank'"
        until("the page loads", lambda: self.run(loaded))

    def run(self, script: str) -> Any:
        """What the expression gives; None while one page takes the place of another."""
        try:
            answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        except AssertionError:
            return None
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screen(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """The size of a phone, say."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=features)
