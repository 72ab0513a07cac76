"""Which Pulumi CLI is used, and its version: asked once and remembered by the file's size and time, also by other processes."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import StackError

TESTED = "3.259.0"
OLDEST = (3, 181, 0)
"""Of an older one we never saw an event log."""
_CACHE = Path("~/.cache/nightshift")
_INSTALLER = Path("~/.pulumi/bin")
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+\S*)")
_HOW_TO = "install it from https://www.pulumi.com/docs/install/, or name it in the settings (pulumi)"


@dataclass(frozen=True, slots=True)
class Cli:
    """One Pulumi CLI."""

    path: Path
    version: str

    @property
    def tested(self) -> bool:
        """Whether our tests ran with this very version."""
        return self.version == TESTED


def find_cli(named: Path | None, cache: Path) -> Cli:
    """`named`, else the one on PATH, the installer's own place, or the one our tests put into the user's cache.

    Raises `StackError`: `pulumi_missing`; `pulumi_untested` for one that is older than any we know to work.
    """
    path = _find(named)
    version = _version(path, cache)
    if tuple(int(part) for part in version.split("-")[0].split("+")[0].split(".")[:3]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        message = f"pulumi {version} at {path} is too old: {oldest} or newer is needed, {TESTED} was tested"
        raise StackError(message, reason="pulumi_untested", stage="start", recheck=f"{path} version")
    return Cli(path, version)


def _find(named: Path | None) -> Path:
    if named is not None:
        if os.access(named, os.X_OK):
            return named
        message = f"there is no pulumi at {named}, as the settings say; {_HOW_TO}"
        raise StackError(message, reason="pulumi_missing", stage="start", recheck=f"{named} version")
    places = [shutil.which("pulumi"), shutil.which(_INSTALLER.expanduser() / "pulumi")]
    places += sorted(map(str, _CACHE.expanduser().glob("pulumi-*/bin/pulumi")), reverse=True)
    for place in places:
        if place and os.access(place, os.X_OK):
            return Path(place)
    message = f"pulumi is not on PATH, nor in {_INSTALLER} or {_CACHE}; {_HOW_TO}"
    raise StackError(message, reason="pulumi_missing", stage="start", recheck="pulumi version")


def _version(path: Path, cache: Path) -> str:
    found = path.resolve().stat()
    facts = [str(path), found.st_size, found.st_mtime_ns]
    note = cache / "cli.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(note.read_text())
        if said["facts"] == facts:
            return str(said["version"])
    version = _ask(path)
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = note.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps({"facts": facts, "version": version}))
        new.replace(note)
    return version


def _ask(path: Path) -> str:
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run([path, "version"], capture_output=True, env=environment, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{path} version: {type(error).__name__}; {_HOW_TO}"
        raise StackError(message, reason="pulumi_missing", stage="start", recheck=f"{path} version") from None
    said = _VERSION.match(done.stdout.decode(errors="replace").strip())
    if said is None:
        message = f"{path} does not say which version it is; {_HOW_TO}"
        raise StackError(message, reason="pulumi_untested", stage="start", recheck=f"{path} version")
    return said[1]
