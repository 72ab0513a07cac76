"""`nightshift demo`: what it must have found, and that nothing of it stays."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, descendants, gone, wait_for
from worker.demo.files import write_files
from worker.demo.night import demo_environ
from worker.demo.report import EXPECTED, missing


@pytest.mark.slow
@pytest.mark.parametrize("redis", [True, False])
def test_the_scripted_demo_prints_every_reason_and_leaves_nothing(
    *, redis: bool, cli: Cli, path_without_redis: str, tmp_path: Path
) -> None:
    environ = {"TMPDIR": str(tmp_path)} | ({} if redis else {"PATH": path_without_redis})
    told = cli.with_environ(**environ)("demo", "--scripted")
    for reason in frozenset().union(*EXPECTED.values()):
        assert reason in told
    assert "Digest:" in told
    assert list(tmp_path.glob("nightshift-demo-*")) == []


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_and_all_that_it_started(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    with log.open("wb") as file:
        demo = subprocess.Popen(
            cli.argv("demo"), env={**cli.environ, "TMPDIR": str(tmp_path)}, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for(lambda: "Ctrl-C" in log.read_text() or demo.poll() is not None)
        started = descendants(demo.pid)
        assert started
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        wait_for(lambda: all(map(gone, started)))
    finally:
        demo.kill()
        demo.wait()


def test_a_folder_that_is_no_demos_is_refused(cli: Cli) -> None:
    assert "no demo's" in cli("demo", "--scripted", "--home", str(cli.home), code=2)


def test_the_demo_never_sees_a_setting_of_a_real_instance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGHTSHIFT_LEDGER_URL", "postgresql://the-real-one")
    names = {name for name in demo_environ(tmp_path) if name.startswith("NIGHTSHIFT_")}
    assert names == {"NIGHTSHIFT_HOME", "NIGHTSHIFT_DRAIN_SECONDS"}
    assert os.environ["NIGHTSHIFT_LEDGER_URL"]


def test_a_night_that_found_nothing_is_not_as_expected() -> None:
    assert "expired: expected expired, found nothing" in missing([])
    assert not [line for line in missing([]) if line.startswith("healthy")]


def test_hosts_of_ones_own_are_entries_whatever_they_are_called(cli: Cli) -> None:
    write_files(cli.home, "", 25, ["example.com", "example.com:8443", "[::1]:443"])
    assert cli.json("config", "check")["entries"] == {"certificates": 3}
