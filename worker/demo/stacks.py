"""Two Pulumi stacks over a cloud of the demo's own, deployed by the real CLI; then somebody edits that cloud by hand."""

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import StackError
from tasks.providers.pulumi.cli import find_cli
from worker.cli.printing import say
from worker.demo.cloud import Cloud
from worker.demo.mending import show_request
from worker.demo.renew import write_private
from worker.ledger import Ledger, approvals
from worker.records import ApprovalState

EXPECTED: Mapping[str, frozenset[str]] = {"network": frozenset({"drift"}), "storefront": frozenset()}
"""Reason codes by stack."""

_STACK = "demo"
_HOST = "pulumi-language-yaml"
_PLUGIN = ("democloud", "1.0.0")
_LIMIT_SECONDS = 120.0
_RESOURCES: Mapping[str, Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "network": {
        "edge": ("Firewall", {"cidr": "10.0.0.0/8", "label": "edge"}),
        "bastion": ("Server", {"size": "small", "label": "bastion"}),
    },
    "storefront": {
        "web": ("Server", {"size": "large", "label": "web"}),
        "assets": ("Bucket", {"public": "no", "label": "assets"}),
    },
}


class LeftOut(Exception):  # noqa: N818 - states a condition
    """Why the demo goes on without stacks, and what to do."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """What is deployed: entries for the estate file, and the settings to look at it with."""

    estate_toml: str
    settings: Mapping[str, str]


def open_stacks(home: Path) -> Stacks:
    """Deploy both below `home`, anew, and change one behind Pulumi's back. Raises `LeftOut`."""
    program = _program(home / "pulumi")
    say("Deploying two Pulumi stacks into a cloud of the demo's own, and changing one of them by hand …")
    yard = _Yard(home / "stacks", program)
    shutil.rmtree(yard.folder, ignore_errors=True)
    yard.lay_out()
    with ThreadPoolExecutor(len(_RESOURCES)) as pool:
        list(pool.map(yard.deploy, _RESOURCES))
    edge = f"network.{_STACK}.edge"
    yard.cloud.put(edge, {**(yard.cloud.get(edge) or {}), "cidr": "0.0.0.0/0"})
    settings = {"NIGHTSHIFT_PULUMI": str(program), "NIGHTSHIFT_PULUMI_PLUGINS": str(yard.plugins)}
    return Stacks("\n".join(yard.entry(name) for name in _RESOURCES), settings)


def show_proposals(ledger: Ledger) -> list[str]:
    """What could be done about the drift; returns what is not as it should be."""
    with ledger.read() as connection:
        proposed = approvals.listing(connection, states=[ApprovalState.PENDING], job="drift")
    for one in proposed:
        show_request(ledger, one)
        say("Proposed:  shown only; put the cloud back, write it into the program, or mute the finding")
    there = {one.entry for one in proposed}
    return [f"{name}: nothing was proposed" for name, reasons in EXPECTED.items() if reasons and name not in there]


def _program(cache: Path) -> Path:
    """The CLI. Raises `LeftOut` when it or its host for YAML programs is missing."""
    how = "`make demo PULUMI=1` installs it, which needs Go"
    try:
        cli = find_cli(None, cache)
    except StackError as error:
        raise LeftOut(f"{str(error).partition('; ')[0]}: {how}") from None
    if shutil.which(_HOST, path=os.pathsep.join([str(cli.path.parent), os.environ.get("PATH", os.defpath)])) is None:
        raise LeftOut(f"{_HOST} is neither beside {cli.path} nor on PATH: {how}")
    return cli.path


@dataclass(frozen=True, slots=True)
class _Yard:
    """The folder of it all."""

    folder: Path
    program: Path

    @property
    def cloud(self) -> Cloud:
        return Cloud(self.folder / "cloud")

    @property
    def plugins(self) -> Path:
        return self.folder / "home" / "plugins"

    @property
    def passphrase(self) -> Path:
        return self.folder / "passphrase"

    @property
    def backend(self) -> str:
        return f"file://{self.folder / 'states'}"

    def lay_out(self) -> None:
        """The provider where Pulumi looks for it, a place for states, a passphrase."""
        name, version = _PLUGIN
        plugin = self.plugins / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        plugin.parent.mkdir(parents=True)
        (self.folder / "states").mkdir()
        write_private(self.passphrase, secrets.token_urlsafe(16).encode())
        # What the CLI was started with must not decide which cloud and which modules the provider sees.
        variables = {"DEMOCLOUD": self.cloud.folder, "PYTHONPATH": Path(__file__).parents[2]}
        exports = " ".join(f"{key}={shlex.quote(str(value))}" for key, value in variables.items())
        plugin.write_text(f'#!/bin/sh\nexec env {exports} {shlex.quote(sys.executable)} -P -m worker.demo.cloud_provider "$@"\n')
        plugin.chmod(0o755)

    def deploy(self, project: str) -> None:
        """Write its program and bring it up."""
        place = self.folder / "programs" / project
        place.mkdir(parents=True)
        (place / "Pulumi.yaml").write_text(_yaml(project), encoding="utf-8")
        self._pulumi(place, "stack", "init", _STACK)
        self._pulumi(place, "up", "--yes", "--skip-preview", "--stack", _STACK)

    def entry(self, project: str) -> str:
        """JSON and TOML write strings alike."""
        table = {
            "name": project,
            "environment": "demo",
            "owner": "demo",
            "backend": self.backend,
            "project": project,
            "stack": _STACK,
            "path": str(self.folder / "programs" / project),
            "passphrase": f"file:{self.passphrase}",
        }
        return "\n".join(["[[drift]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""])

    def _pulumi(self, place: Path, *words: str) -> None:
        environ = {
            "PATH": os.pathsep.join([str(self.program.parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.folder),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": self.backend,
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        argv = [str(self.program), *words, "--non-interactive"]
        try:
            done = subprocess.run(
                argv, cwd=place, env=environ, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LeftOut(f"`pulumi {words[0]}` did not end well: {type(error).__name__}") from None
        if done.returncode:
            raise LeftOut(f"`pulumi {words[0]}` failed: {' '.join((done.stderr or done.stdout).split())[-300:]}")


def _yaml(project: str) -> str:
    """JSON is YAML."""
    name, version = _PLUGIN
    resources = {
        called: {"type": f"{name}:index:{kind}", "properties": dict(properties), "options": {"version": version}}
        for called, (kind, properties) in _RESOURCES[project].items()
    }
    return json.dumps({"name": project, "runtime": "yaml", "resources": resources}, indent=2)
