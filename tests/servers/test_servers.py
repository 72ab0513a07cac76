"""The servers keep what they promise, and the door to the outside is shut."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from kombu import Connection

from tests.servers import PostgresServer, RabbitServer, RedisServer
from tests.servers.loopback import LoopbackOnly, OutsideWorld
from tests.support.chaos_worker import gone
from tests.support.waiting import until


def test_redis_keeps_its_messages_over_kill_9_and_loses_them_when_wiped(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("appendfsync", "always")
        client.lpush("bells", "one", "two")
    redis_server.kill9()
    redis_server.start()
    with redis_server.client() as client:
        assert client.llen("bells") == 2
        redis_server.wipe()
        assert client.llen("bells") == 0


def test_redis_answers_on_its_socket_as_on_its_port_also_after_a_restart(redis_server: RedisServer) -> None:
    redis_server.restart()
    with Connection(redis_server.socket_url) as connection, connection.SimpleQueue("bells") as queue:
        queue.put({"run": 1})
    with Connection(redis_server.url) as connection, connection.SimpleQueue("bells") as queue:
        assert queue.get(timeout=60).payload == {"run": 1}


def test_postgresql_keeps_what_was_committed_over_a_crash(postgres_server: PostgresServer) -> None:
    name = postgres_server.create_database()
    with psycopg.connect(postgres_server.conninfo(name)) as connection:
        connection.execute("CREATE TABLE runs (id int)")
        connection.execute("INSERT INTO runs VALUES (1)")
    postgres_server.crash()
    postgres_server.start()
    with psycopg.connect(postgres_server.conninfo(name)) as connection:
        assert connection.execute("SELECT id FROM runs").fetchall() == [(1,)]
    postgres_server.wipe(name)
    with psycopg.connect(postgres_server.conninfo(name)) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT id FROM runs")
    postgres_server.drop_database(name)


@pytest.mark.slow
def test_rabbitmq_keeps_persistent_messages_over_kill_9(rabbit_server: RabbitServer) -> None:
    confirmed = {"confirm_publish": True}
    with Connection(rabbit_server.url, transport_options=confirmed) as connection, connection.SimpleQueue("bells") as queue:
        queue.put({"run": 1})
    rabbit_server.kill9()
    rabbit_server.start()
    with Connection(rabbit_server.url) as connection, connection.SimpleQueue("bells") as queue:
        assert queue.get(timeout=60).payload == {"run": 1}


def test_a_server_dies_with_the_process_that_started_it(redis_server: RedisServer) -> None:
    del redis_server  # only to skip where there is none
    script = (
        "import os, signal; from tests.servers import RedisServer; server = RedisServer(); server.start();"
        "print(server.pid, server.folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    owner = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    pid, folder = owner.stdout.split()
    until("it ends with its owner", lambda: gone(int(pid)))
    shutil.rmtree(folder)


def test_redis_can_be_hidden_without_hiding_anything_else(path_without_redis: str) -> None:
    assert shutil.which("redis-server", path=path_without_redis) is None
    assert shutil.which("sh", path=path_without_redis) is not None


@pytest.mark.parametrize(
    ("event", "args", "refused"),
    [
        ("socket.connect", (None, ("192.0.2.1", 443)), "connect to 192.0.2.1:443"),
        ("socket.connect", (None, ("2001:db8::1", 443, 0, 0)), "connect to 2001:db8::1:443"),
        ("socket.sendto", (None, ("198.51.100.1", 53)), "connect to 198.51.100.1:53"),
        ("socket.getaddrinfo", ("example.com", 443, 0, 0, 0), "resolve example.com"),
    ],
)
def test_the_outside_world_is_refused_and_the_refusal_is_remembered(event: str, args: tuple[object, ...], refused: str) -> None:
    guard = LoopbackOnly()
    with pytest.raises(OutsideWorld, match=refused):
        guard(event, args)
    assert guard.refused == [refused]


def test_a_name_that_cannot_exist_is_unknown_without_a_name_server() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nobody.invalid", 443)


def test_the_guard_is_in_place_for_every_test(loopback_only: LoopbackOnly) -> None:
    with socket.socket() as client, pytest.raises(OutsideWorld):
        client.connect(("192.0.2.1", 443))
    assert loopback_only.refused == ["connect to 192.0.2.1:443"]
    # As meant; the next line of every other test would now fail it.
    loopback_only.refused.clear()
