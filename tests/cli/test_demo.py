"""`nightshift demo`: what it must have found, and that nothing of it stays."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, descendants, gone
from tests.servers.hiding import path_without
from tests.servers.pulumi_install import Programs
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.cli.refusals import Unavailable
from worker.demo import reload, renew
from worker.demo.browser import approve, link_in
from worker.demo.farm import TlsServer, open_farm
from worker.demo.files import write_files
from worker.demo.mending import MENDED, mend
from worker.demo.night import demo_environ
from worker.demo.report import EXPECTED, missing
from worker.ledger import Ledger
from worker.ledger.schema import migrate
from worker.tokens import hash_pin

LEFT_OUT = (
    "Left out: the Pulumi stacks. pulumi is not on PATH, nor in ~/.pulumi/bin or ~/.cache/nightshift: "
    "`make demo PULUMI=1` installs it, which needs Go."
)


@pytest.fixture
def with_pulumi(pulumi: Programs) -> dict[str, str]:
    """Whatever else of it there may be on this machine."""
    return {"PATH": os.pathsep.join([pulumi.path, os.environ["PATH"]])}


@pytest.fixture
def with_little(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Neither Redis nor Pulumi, on PATH or in the user's home."""
    with path_without("redis-", "valkey-", "pulumi") as path:
        yield {"PATH": path, "HOME": str(tmp_path / "nobody")}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", ["with_pulumi", "with_little"])
def test_the_scripted_demo_prints_every_reason_and_leaves_nothing(
    machine: str, cli: Cli, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environ = {"TMPDIR": str(tmp_path), **request.getfixturevalue(machine)}
    told = cli.with_environ(**environ)("demo", "--scripted", seconds=240)
    if machine == "with_pulumi":
        assert re.search(r"high +network +drift +network/demo: edge \(Firewall\): cidr 10.0.0.0/8 → 0.0.0.0/0", told)
        assert re.search(r"Plan: +.*\n(?:.*\n)+?Proposed: +shown only", told)
        assert "Left out" not in told
    else:
        assert re.findall("Left out: .*", told) == [LEFT_OUT]
        assert "network" not in told
    for reason in frozenset().union(*EXPECTED.values()):
        assert reason in told
    assert "Digest:" in told
    proposed = told.count("Proposed:")
    assert proposed == (machine == "with_pulumi")
    for word in ("Finding:", "Plan:", "Simulation:", "Request:"):
        assert told.count(word) == len(MENDED) + proposed
    for word in ("Decision:  approve by demo", "Receipt:   renew applied"):
        assert told.count(word) == len(MENDED)
    assert told.count("Outcome:   verified") == len(MENDED)
    assert re.search(r"127\.0\.0\.1:\d+ is fine: .*\n.*127\.0\.0\.1:\d+ is renewed:", told), (
        "both addresses of the half-renewed name"
    )
    assert f"{', '.join(MENDED)}: succeeded, 2 ok" in told
    assert "entries in the chain, 0 troubles" in told
    assert list(tmp_path.glob("nightshift-demo-*")) == []


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_and_all_that_it_started(cli: Cli, tmp_path: Path, with_little: dict[str, str]) -> None:
    log = tmp_path / "demo.log"
    with log.open("wb") as file:
        demo = subprocess.Popen(
            cli.argv("demo"),
            env={**cli.environ, **with_little, "TMPDIR": str(tmp_path)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        until("it waits for a yes", lambda: "Ctrl-C" in log.read_text() or demo.poll() is not None)
        by_hand = log.read_text().partition("wait for your yes")[2]
        assert re.search(r"your PIN is \d{6}", by_hand)
        assert [link_in(Path(path)) for path in re.findall(r"\S+\.eml", by_hand)].count(None) == 0
        assert by_hand.count(".eml") == len(MENDED)
        started = descendants(demo.pid)
        assert started
        demo.send_signal(signal.SIGINT)
        assert demo.wait(PATIENCE_SECONDS) == 0
        until("nothing of it is left", lambda: all(map(gone, started)))
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


def test_a_night_that_asked_for_nothing_is_not_as_expected(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    migrate(ledger)
    assert mend(ledger, tmp_path, "482915") == [f"{entry}: its renewal was not asked for" for entry in MENDED]
    ledger.close()


def test_a_page_that_takes_no_decision_is_not_as_expected() -> None:
    def page(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\nused already")

    server = TlsServer(page)
    try:
        with pytest.raises(Unavailable, match="no form for a decision: 410"):
            approve(f"http://{server.place}/a/token", "482915", "yes")
    finally:
        server.close()


def test_a_renewal_writes_a_key_that_nobody_else_reads(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        renew.main(tmp_path, "half-renewed", "half-renewed.demo.example")
        written = renew.certificate_file(tmp_path, "half-renewed")
        assert (written.stat().st_mode & 0o777, renew.ca_key_file(tmp_path).stat().st_mode & 0o777) == (0o600, 0o600)
        assert reload.served_file(tmp_path, "half-renewed", 0).read_bytes() != written.read_bytes()
        reload.main(tmp_path, "half-renewed")
        for number in range(2):
            assert reload.served_file(tmp_path, "half-renewed", number).read_bytes() == written.read_bytes()
        assert farm.estate_toml.count("renew_command") == len(MENDED)


def test_hosts_of_ones_own_are_entries_whatever_they_are_called(cli: Cli) -> None:
    write_files(cli.home, "", 25, ["example.com", "example.com:8443", "[::1]:443"], hash_pin("482915"))
    assert cli.json("config", "check")["entries"] == {"certificates": 3}
