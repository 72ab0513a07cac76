"""Pulumi's plugin folder with the lab's providers, two releases of one: scripts that carry the name of their cloud."""

import shlex
import sys
from pathlib import Path

from tests.lab import aws
from tests.lab.resources import PACKAGE, VERSIONS

ROOT = Path(__file__).parents[2]


def lay_out(folder: Path, cloud: Path) -> None:
    """Into `folder`, as the CLI looks for plugins: `resource-<name>-v<version>/pulumi-resource-<name>`."""
    for version in VERSIONS:
        fake_cloud = {"FAKECLOUD": cloud, "FAKECLOUD_VERSION": version}
        _write(folder, PACKAGE, version, _script("tests.lab.provider", **fake_cloud))
    _write(folder, aws.PACKAGE, aws.VERSION, _script("tests.lab.aws_provider"))


def _write(folder: Path, package: str, version: str, script: str) -> None:
    program = folder / f"resource-{package}-v{version}" / f"pulumi-resource-{package}"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(script)
    program.chmod(0o755)


def _script(module: str, **variables: object) -> str:
    # What the CLI was started with must not decide which cloud and which modules the provider sees.
    every = {**variables, "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": 1}
    exports = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in every.items())
    return f'#!/bin/sh\nexec env {exports} {shlex.quote(sys.executable)} -P -m {module} "$@"\n'
