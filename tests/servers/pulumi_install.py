"""The tested Pulumi CLI and YAML language host: on PATH, else in the user's cache, where `python -m` of this file puts them.

The Go client builds them as tools of `tests/tools/pulumi/go.mod`: four minutes on two cores, 3 GB of Go's own caches, once.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import Missing

CLI, YAML = "3.259.0", "1.38.1"
MODULE = Path(__file__).parents[1] / "tools" / "pulumi"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nightshift"
INSTALLED = CACHE / f"pulumi-{CLI}"
# Set by the linker only: a CLI that does not know its version is refused by Pulumi's own SDKs.
VERSIONS = {
    "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{CLI}",
    "github.com/pulumi/pulumi-yaml/pkg/version.Version": f"v{YAML}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the two programs lie."""

    pulumi: Path
    yaml: Path

    @property
    def path(self) -> str:
        """For PATH: their folders."""
        return os.pathsep.join(dict.fromkeys([str(self.pulumi.parent), str(self.yaml.parent)]))


def programs() -> Programs:
    """Both on PATH, else both in the cache."""
    found = _on_path()
    if found:
        return found
    if not _installed():
        raise Missing(f"Pulumi {CLI} is neither on PATH (with pulumi-language-yaml) nor under {INSTALLED}")
    return Programs(pulumi=INSTALLED / "bin" / "pulumi", yaml=INSTALLED / "bin" / "pulumi-language-yaml")


def install() -> None:
    """Put both into the cache, unless they are on PATH or there already; of several processes one builds and the others wait."""
    if _on_path():
        return
    with _only_one():
        if not _installed():
            sys.stderr.write(f"Building Pulumi {CLI} into {INSTALLED} (once: about four minutes) …\n")
            _build()


def _on_path() -> Programs | None:
    pulumi, yaml = shutil.which("pulumi"), shutil.which("pulumi-language-yaml")
    return Programs(pulumi=Path(pulumi), yaml=Path(yaml)) if pulumi and yaml else None


def _installed() -> bool:
    return all((INSTALLED / "bin" / name).exists() for name in ("pulumi", "pulumi-language-yaml"))


@contextmanager
def _only_one() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "pulumi-install.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build() -> None:
    go = shutil.which("go")
    if go is None:
        raise Missing(f"Pulumi {CLI} is not on PATH, and neither is Go, which would build it")
    partial = INSTALLED.with_name(f"{INSTALLED.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    flags = "-s -w " + " ".join(f"-X {name}={version}" for name, version in VERSIONS.items())
    argv = [go, "install", "-mod=readonly", "-trimpath", f"-ldflags={flags}", "tool"]
    environ = {**os.environ, "GOBIN": str(partial / "bin"), "CGO_ENABLED": "0"}
    done = subprocess.run(argv, cwd=MODULE, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"Pulumi {CLI} could not be built: go says: {done.stderr[-1500:]}")
    shutil.rmtree(INSTALLED, ignore_errors=True)
    partial.rename(INSTALLED)


if __name__ == "__main__":
    try:
        install()
    except Missing as missing:
        sys.exit(str(missing))
