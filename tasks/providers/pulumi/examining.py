"""What `doctor` says about Pulumi: which CLI is used, whether it was tested, and what is missing beside it."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.errors import StackError
from tasks.providers.pulumi.cli import TESTED, Cli, find_cli

_HOST = "pulumi-language-"
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Remark:
    """One line: how it is, what was found, what to do."""

    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def examine(program: Path | None, cache: Path, plugins: Path, *, needed: bool) -> Iterator[Remark]:
    """`needed`: there are stacks to look at. Never raises, changes nothing but the note of the CLI's version."""
    try:
        cli = find_cli(program, cache)
    except StackError as error:
        found, _, advice = str(error).partition("; ")
        yield Remark("fail", found, advice) if needed else Remark("ok", f"{found}; no stack needs it yet")
        return
    untested = f"{TESTED} is what was tested; read the changes between the two if a look surprises you"
    yield Remark("ok" if cli.tested else "warn", f"pulumi {cli.version} at {cli.path}", "" if cli.tested else untested)
    hosts = _language_hosts(cli)
    shown = ", ".join(hosts) or "none"
    advice = "" if hosts else "stacks are compared with the cloud all the same, but no program can be run"
    yield Remark("ok" if hosts else "warn", f"language hosts: {shown}", advice)
    yield _plugins(plugins.expanduser(), needed=needed)
    if shutil.which("git") is None:
        yield Remark("warn" if needed else "ok", "git is not on PATH", "programs in git repositories cannot be had without it")


def _language_hosts(cli: Cli) -> list[str]:
    """Beside the CLI and on PATH, by language."""
    folders = [str(cli.path.resolve().parent), str(cli.path.parent), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    names = (path.name.removeprefix(_HOST) for folder in folders for path in Path(folder).glob(f"{_HOST}*"))
    return sorted({name.removesuffix(".exe") for name in names if not name.endswith("-exec")})


def _plugins(folder: Path, *, needed: bool) -> Remark:
    found = sorted(path.name.removeprefix("resource-") for path in folder.glob("resource-*") if path.is_dir())
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return Remark("ok", f"provider plugins in {folder}: {', '.join(found[:_NAMED])}{more}")
    advice = "install those of your stacks with `pulumi plugin install`: a look downloads nothing"
    return Remark("warn" if needed else "ok", f"no provider plugins in {folder}", advice if needed else "")
