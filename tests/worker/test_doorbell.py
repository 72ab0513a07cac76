"""The embedded doorbells: found by other processes, private, taken over from a dead instance, refused to a second one."""

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from tests.support.chaos_worker import gone
from tests.support.waiting import until
from worker.doorbell import (
    Doorbell,
    DoorbellError,
    FolderDoorbell,
    HomeTaken,
    RedisDoorbell,
    broker_of,
    choose,
    hold_home,
    transport_options,
)
from worker.doorbell.filesystem import remove_older
from worker.settings import Settings

NOW = threading.Event()
NOW.set()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with hold_home(tmp_path / "home"):
        yield tmp_path / "home"


@pytest.fixture(params=["redis", "filesystem"])
def doorbell(request: pytest.FixtureRequest, home: Path) -> Iterator[Doorbell]:
    if request.param == "redis":
        request.getfixturevalue("redis_server")  # skips where there is none
        bell: Doorbell = choose(home)
        assert isinstance(bell, RedisDoorbell)
    else:
        bell = FolderDoorbell(home)
    bell.start()
    yield bell
    bell.stop(0, NOW)


def send_and_take(doorbell: Doorbell, home: Path) -> object:
    url = doorbell.broker.url
    with Connection(url, transport_options=dict(transport_options(url, home))) as connection:
        queue = connection.SimpleQueue("checks")
        queue.put({"run": "0190"})
        message = queue.get(timeout=60)
        message.ack()
        queue.close()
        return message.payload


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_message_goes_through(doorbell: Doorbell, home: Path) -> None:
    assert send_and_take(doorbell, home) == {"run": "0190"}
    assert doorbell.alive()


def test_other_processes_of_the_home_find_it_as_long_as_it_runs(doorbell: Doorbell, home: Path) -> None:
    assert broker_of(Settings(home=home)) == doorbell.broker
    doorbell.stop(0, NOW)
    assert broker_of(Settings(home=home)) is None


def test_a_broker_by_url_is_preferred(doorbell: Doorbell, home: Path) -> None:
    found = broker_of(Settings(home=home, broker_url="redis://elsewhere"))
    assert found is not None
    assert (found.url, found.kind) == ("redis://elsewhere", "url")


def test_only_we_can_enter_where_the_doorbell_is(doorbell: Doorbell, home: Path) -> None:
    assert mode_of(home / "run") == 0o700
    for folder in transport_options(doorbell.broker.url, home).values():
        if isinstance(folder, str):
            assert mode_of(Path(folder)) == 0o700


def test_messages_on_the_filesystem_never_pass_the_shared_temp_folder(home: Path) -> None:
    options = transport_options("filesystem://", home)
    assert options["store_processed"] is True
    assert str(options["processed_folder"]).startswith(str(home))


def test_what_a_dead_instance_left_in_the_folder_is_thrown_away(home: Path) -> None:
    FolderDoorbell(home).start()
    stale = home / "run/doorbell/messages/1_old.checks.msg"
    stale.write_text("{}")
    FolderDoorbell(home).start()
    assert not stale.exists()


def test_old_files_are_removed_and_new_ones_stay(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    remove_older(tmp_path, 60)
    assert list(tmp_path.iterdir()) == [new]


def test_a_redis_of_our_own_listens_on_no_port_and_only_we_may_open_its_socket(redis_server: object, home: Path) -> None:
    bell = choose(home)
    assert isinstance(bell, RedisDoorbell)
    bell.start()
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(home / "run/redis.sock"))
            client.sendall(b"CONFIG GET port\r\n")
            assert b"\r\n0\r\n" in client.recv(200)
        assert mode_of(home / "run/redis.sock") == 0o700
    finally:
        bell.stop(0, NOW)


def test_a_stale_socket_is_taken_over(redis_server: object, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "run/redis.sock"))
    bell = choose(home)
    bell.start()
    try:
        assert send_and_take(bell, home) == {"run": "0190"}
    finally:
        bell.stop(0, NOW)


def test_a_home_with_a_long_or_odd_path_gets_its_socket_elsewhere_and_it_is_removed(redis_server: object, tmp_path: Path) -> None:
    with hold_home(tmp_path / ("long" * 30) / "a b%20ü"):
        home = tmp_path / ("long" * 30) / "a b%20ü"
        bell = choose(home)
        bell.start()
        elsewhere = (home / "run/socket-folder").readlink()
        try:
            assert mode_of(elsewhere) == 0o700
            assert send_and_take(bell, home) == {"run": "0190"}
        finally:
            bell.stop(0, NOW)
        assert not elsewhere.exists()


def test_an_odd_path_that_is_short_enough_works_too(redis_server: object, tmp_path: Path) -> None:
    home = tmp_path / "a b%20"
    with hold_home(home):
        bell = choose(home)
        bell.start()
        try:
            assert send_and_take(bell, home) == {"run": "0190"}
        finally:
            bell.stop(0, NOW)


def test_a_server_that_does_not_start_is_an_error_that_names_the_way_out(home: Path) -> None:
    with pytest.raises(DoorbellError, match=r"did not start .* NIGHTSHIFT_BROKER_URL"):
        RedisDoorbell(home, "/bin/false").start()


def test_without_redis_the_folder_is_chosen(home: Path, path_without_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path_without_redis)
    assert isinstance(choose(home), FolderDoorbell)


def test_a_second_instance_on_one_home_is_refused_and_told_by_whom(home: Path) -> None:
    with pytest.raises(HomeTaken, match=f"in use.*pid {os.getpid()}"), hold_home(home):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_PDEATHSIG")
def test_redis_and_the_lock_go_when_their_instance_is_killed(redis_server: object, tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from worker.doorbell import choose, hold_home
        from worker.supervisor import Supervisor
        home = Path({str(tmp_path)!r})
        with hold_home(home):
            bell = choose(home)
            Supervisor().start(bell)
            print(bell.pid, flush=True)
            time.sleep(600)
    """)
    instance = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert instance.stdout
    redis = int(instance.stdout.readline())
    instance.send_signal(signal.SIGKILL)
    instance.communicate()
    until("Redis ends with its instance", lambda: gone(redis))
    with hold_home(tmp_path):
        bell = choose(tmp_path)
        bell.start()
        bell.stop(0, NOW)
