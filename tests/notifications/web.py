"""A real HTTP server on a free loopback port that keeps what it gets and answers as told."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message

from tests.support.listening import Asked, listening


@dataclass
class WebServer:
    """Change `status` and `headers` at any time."""

    port: int = 0
    status: int = 202
    headers: Mapping[str, str] = field(default_factory=dict)
    said: bytes = b""
    requests: list[tuple[str, Message, bytes]] = field(default_factory=list)
    """Path, headers, body."""
    hangs: bool = False
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=bearer-canary"


@contextmanager
def web_server() -> Iterator[WebServer]:
    server = WebServer()

    def answer(asked: Asked, body: bytes) -> None:
        server.requests.append((asked.path, asked.headers, body))
        if server.hangs:
            server.released.wait()
        else:
            asked.give(server.status, server.headers, server.said)

    with listening(answer) as server.port:
        try:
            yield server
        finally:
            server.released.set()
