"""`nightshift up` and the processes of a team, as their users start them."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Cli, Instance, descendants, gone
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.cli.serving import open_instance
from worker.doorbell import hold_home
from worker.settings import Settings
from worker.wiring import House

pytestmark = pytest.mark.slow
Launch = Callable[..., Instance]
NOBODY = "redis://127.0.0.1:1"


@pytest.mark.parametrize("doorbell", ["redis", "filesystem"])
def test_up_is_ready_runs_a_job_and_drains(
    doorbell: str, cli: Cli, launch: Launch, request: pytest.FixtureRequest, path_without_redis: str
) -> None:
    if doorbell == "redis":
        request.getfixturevalue("redis_server")  # skips where there is none
    else:
        cli = cli.with_environ(PATH=path_without_redis)
    instance = launch(cli)
    assert set(instance.facts) == {"url", "pid", "ledger", "broker", "token_file"}
    assert instance.facts["pid"] == instance.process.pid
    assert instance.facts["broker"].startswith(doorbell)
    token_file = Path(instance.facts["token_file"])
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    headers = {"Authorization": f"Bearer {token_file.read_text().strip()}"}
    answer = httpx.get(f"{instance.facts['url']}/v1/runs", headers=headers, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200
    assert [run["state"] for run in cli.json("run", "command", "--entries", "fine")["runs"]] == ["succeeded"]
    children = instance.children()
    assert instance.end() == 0
    until("nothing of it is left", lambda: all(map(gone, children)))


def test_a_link_signs_in_once_and_up_writes_none_into_a_log(cli: Cli, launch: Launch) -> None:
    instance = launch(cli)
    until("it tells how to sign in", lambda: "Sign in: nightshift login" in instance.log.read_text())
    assert "/login/" not in instance.log.read_text()
    link = cli("login").strip()
    with httpx.Client(follow_redirects=True, timeout=PATIENCE_SECONDS) as browser:
        browser.get(link)
        assert browser.get(instance.facts["url"]).status_code == 200
    assert httpx.get(link, timeout=PATIENCE_SECONDS).cookies.get("nightshift_session") is None


def test_on_a_terminal_up_shows_a_link(cli: Cli) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        cli.argv("up", "--port", "0", "--no-worker"), env=cli.environ, stdout=theirs, stderr=subprocess.DEVNULL
    )
    try:
        os.close(theirs)
        said = b""
        while b"/login/" not in said:
            said += os.read(ours, 4096)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        os.close(ours)


def test_a_command_waits_for_an_up_that_has_only_begun(cli: Cli) -> None:
    house = House(Settings(home=cli.home))
    with hold_home(cli.home), closing(house.ledger):
        asking = subprocess.Popen(cli.argv("run", "command", "--no-wait"), env=cli.environ, stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            asking.wait(3)
        open_instance(house)
        assert asking.wait(PATIENCE_SECONDS) == 0
    assert cli.json("config", "show")["applied_by"] == "cli:up"


def test_a_second_up_on_the_same_home_is_refused(cli: Cli, launch: Launch) -> None:
    instance = launch(cli)
    assert f"pid {instance.process.pid}" in cli("up", "--port", "0", code=2)


def test_a_port_that_is_taken_is_refused_with_the_way_out(cli: Cli, launch: Launch, tmp_path: Path) -> None:
    port = launch(cli).facts["url"].rpartition(":")[2]
    other = Cli(tmp_path, {**cli.environ, "NIGHTSHIFT_HOME": str(tmp_path / "other")})
    assert "--port 0 takes a free one" in other("up", "--port", port, code=2)


def test_a_worker_that_was_killed_is_started_again_and_runs_go_on(cli: Cli, launch: Launch) -> None:
    instance = launch(cli)
    worker = next(pid for pid in instance.children() if b"celery" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(worker, signal.SIGKILL)
    assert [run["state"] for run in cli.json("run", "command", "--entries", "fine")["runs"]] == ["succeeded"]


def test_up_on_the_filesystem_doorbell_works_on_after_all_its_idle_children_were_killed(
    cli: Cli, launch: Launch, path_without_redis: str
) -> None:
    cli = cli.with_environ(PATH=path_without_redis)
    instance = launch(cli)
    worker = next(pid for pid in instance.children() if b"celery" in Path(f"/proc/{pid}/cmdline").read_bytes())
    assert [run["state"] for run in cli.json("run", "command", "--entries", "fine")["runs"]] == ["succeeded"]
    idle = descendants(worker)
    assert idle
    for pid in idle:
        os.kill(pid, signal.SIGKILL)
    assert [run["state"] for run in cli.json("run", "command", "--entries", "fine")["runs"]] == ["succeeded"]
    assert not gone(worker)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_PDEATHSIG")
def test_nothing_outlives_an_up_that_was_killed(cli: Cli, launch: Launch) -> None:
    instance = launch(cli)
    children = instance.children()
    assert children
    instance.process.kill()
    instance.process.wait()
    until("nothing of it is left", lambda: all(map(gone, children)))


def test_a_changed_file_is_applied_and_a_wrong_one_is_not(cli: Cli, launch: Launch) -> None:
    instance = launch(cli)
    estate = cli.home / "estate.toml"
    good = estate.read_text() + '\n[[command]]\nname = "more"\nargv = ["true"]\n'
    estate.write_text(good)
    until(
        "it is applied", lambda: '"configuration_applied"' in instance.log.read_text() and cli.json("config", "show")["id"] == 2
    )
    estate.write_text(good + "\n[[comand]]\n")
    until("it is refused", lambda: '"configuration_refused"' in instance.log.read_text())
    assert cli.json("config", "show")["id"] == 2


def test_a_wrong_file_at_first_start_is_told_with_its_line(cli: Cli) -> None:
    (cli.home / "estate.toml").write_text('[[command]]\nname = "x"\nrun = ["true"]\n')
    # Not by what `cli` gives back: the worker that was started meanwhile may have greeted on standard output, or not.
    done = subprocess.run(
        cli.argv("up", "--port", "0"), env=cli.environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (done.returncode, "estate.toml:3" in done.stderr) == (1, True), done.stderr


def test_up_without_a_worker_leaves_runs_queued(cli: Cli, launch: Launch) -> None:
    launch(cli, "--no-worker")
    assert [run["state"] for run in cli.json("run", "command", "--no-wait")["runs"]] == ["queued", "queued"]


@pytest.mark.parametrize("command", ["up", "gateway", "worker", "scheduler", "relay", "runs"])
def test_a_ledger_that_is_down_is_told_with_how_to_start_it(command: str, cli: Cli) -> None:
    away = cli.with_environ(NIGHTSHIFT_LEDGER_URL="postgresql://night:s3cr3t-pw@127.0.0.1:1/ledger", NIGHTSHIFT_PORT="0")
    # `up` may have started a worker meanwhile, which greets on standard output.
    done = subprocess.run(
        away.argv(command), env=away.environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 2, told
    assert "does not answer" in told
    assert "NIGHTSHIFT_LEDGER_URL" in told
    assert "s3cr3t-pw" not in told


@pytest.mark.parametrize("command", ["worker", "relay"])
def test_a_broker_that_is_down_is_told_with_how_to_start_it(command: str, ledger_cli: Cli) -> None:
    assert "NIGHTSHIFT_BROKER_URL" in ledger_cli.with_environ(NIGHTSHIFT_BROKER_URL=NOBODY)(command, code=2)
    assert "nightshift up" in ledger_cli(command, code=2)


def test_a_ledger_that_was_never_made_is_told_with_how_to_make_it(cli: Cli) -> None:
    assert "nightshift migrate" in cli("runs", code=2)
    assert "no queue is called 'nightly'" in cli("worker", "--queues", "nightly", code=2)


@pytest.mark.parametrize("command", ["gateway", "scheduler", "worker", "relay"])
def test_a_process_that_runs_singly_ends_by_sigterm(command: str, ledger_cli: Cli, redis_server: object) -> None:
    url = getattr(redis_server, "url", None)
    cli = ledger_cli.with_environ(NIGHTSHIFT_BROKER_URL=str(url), NIGHTSHIFT_PORT="0")
    log = cli.home / "single.log"
    said = {
        "gateway": "Application startup complete",
        "worker": " ready.",
        "scheduler": "loops_running",
        "relay": "loops_running",
    }
    with log.open("wb") as file:
        process = subprocess.Popen(cli.argv(command), env=cli.environ, stdout=file, stderr=file)
    try:
        until("it runs", lambda: said[command] in log.read_text() or process.poll() is not None, more=log.read_text)
        assert process.poll() is None, log.read_text()
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
