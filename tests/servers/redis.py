"""A Redis that keeps what it was told, on a TCP port and on a private socket."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import redis

from tests.servers.process import Missing, Server, find, free_port


class RedisServer(Server):
    """`redis-server`, else `valkey-server`: append-only file, no eviction."""

    name = "redis"

    def __init__(self) -> None:
        self.program = find("valkey-server") if not shutil.which("redis-server") and shutil.which("valkey-server") else _redis()
        super().__init__()
        self.port = free_port()
        self.socket = self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """As kombu spells it; redis-py says `unix://`."""
        return f"redis+socket://{self.socket}"

    def argv(self) -> Sequence[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [str(self.program), *(word for key, value in settings.items() for word in (f"--{key}", value))]

    def ready(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return False

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))

    def wipe(self) -> None:
        """Lose every message: FLUSHALL."""
        with self.client() as client:
            client.flushall()

    def forget(self) -> None:
        """Take away what it had kept, while it is down: it comes back empty."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)


def _redis() -> Path:
    try:
        return find("redis-server")
    except Missing:
        raise Missing("neither redis-server nor valkey-server is on PATH") from None
