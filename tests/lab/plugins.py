"""Pulumi's plugin folder with both releases of the lab's provider: scripts that carry the name of their cloud."""

import shlex
import sys
from pathlib import Path

from tests.lab.resources import PACKAGE, VERSIONS

ROOT = Path(__file__).parents[2]


def lay_out(folder: Path, cloud: Path) -> None:
    """Into `folder`, as the CLI looks for plugins: `resource-<name>-v<version>/pulumi-resource-<name>`."""
    for version in VERSIONS:
        program = folder / f"resource-{PACKAGE}-v{version}" / f"pulumi-resource-{PACKAGE}"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(_script(cloud, version))
        program.chmod(0o755)


def _script(cloud: Path, version: str) -> str:
    # What the CLI was started with must not decide which cloud and which modules the provider sees.
    variables = {"FAKECLOUD": cloud, "FAKECLOUD_VERSION": version, "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": 1}
    exports = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in variables.items())
    return f'#!/bin/sh\nexec env {exports} {shlex.quote(sys.executable)} -P -m tests.lab.provider "$@"\n'
