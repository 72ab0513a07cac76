"""TLS servers on free loopback ports under a throw-away CA: the estate of the demo, one trouble each."""

import contextlib
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from worker.demo.reload import served_file
from worker.demo.renew import LIFETIME, ca_file, ca_key_file, certificate_file, write_private

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0

Answer = Callable[[socket.socket], None]


class TlsServer:
    """One listening socket; `answer` is given every connection in a thread of its own. Closed by `close`."""

    def __init__(self, answer: Answer, host: str = _HOST) -> None:
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=256)
        self._answer = answer
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self.place = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._thread = threading.Thread(target=self._accept, name=f"tls {self.place}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept on Linux; elsewhere the close does
        self._listener.close()
        self._thread.join(_PATIENCE_SECONDS)
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_PATIENCE_SECONDS)
            self._answer(connection)
        self._open.discard(connection)


def shake_hands(context: ssl.SSLContext) -> Answer:
    """A TLS server that greets, waits for the client to leave, and has nothing to say."""

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)

    return answer


def serve_file(path: Path) -> Answer:
    """A TLS server that presents what lies in `path`, key first, at the time of the call."""

    def answer(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        shake_hands(context)(connection)

    return answer


def hang(connection: socket.socket) -> None:
    """Takes the connection and never answers; leaves when the client does."""
    while connection.recv(4096):
        pass


@dataclass(frozen=True, slots=True)
class Stall:
    """One entry of the demo's estate, and the certificates behind its addresses (None: a server that hangs)."""

    name: str
    server_name: str
    validities: Sequence[tuple[datetime, datetime] | None]
    issued_for: str
    mended: bool = False
    """Whether the estate says how to renew it."""


def stalls(now: datetime) -> list[Stall]:
    fresh = (now - timedelta(days=3), now - timedelta(days=3) + LIFETIME)
    old = (now + timedelta(days=4) - LIFETIME, now + timedelta(days=4))
    dead = (now - timedelta(days=2) - LIFETIME, now - timedelta(days=2))
    return [
        Stall("healthy", "healthy.demo.example", [fresh], "healthy.demo.example"),
        Stall("nearly-expired", "nearly-expired.demo.example", [old], "nearly-expired.demo.example", mended=True),
        Stall("expired", "expired.demo.example", [dead], "expired.demo.example"),
        Stall("half-renewed", "half-renewed.demo.example", [fresh, old], "half-renewed.demo.example", mended=True),
        Stall("wrong-name", "wrong-name.demo.example", [fresh], "somebody-else.demo.example"),
        Stall("hangs", "hangs.demo.example", [None], "hangs.demo.example"),
    ]


@dataclass(frozen=True, slots=True)
class Farm:
    """What is open: the CA file, and the entries for the estate file."""

    ca_file: Path
    estate_toml: str


@contextmanager
def open_farm(folder: Path, now: datetime | None = None) -> Iterator[Farm]:
    """Servers that live as long as the block. `folder` must exist; the CA and all certificates are written into it."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(ca_file(folder))
    write_private(ca_key_file(folder), ca.private_key_pem.bytes())
    with ExitStack() as servers:
        entries = [_entry(stall, _places(stall, ca, folder, servers), folder) for stall in stalls(now or datetime.now(UTC))]
        yield Farm(ca_file=ca_file(folder), estate_toml="\n".join(entries))


def _places(stall: Stall, ca: trustme.CA, folder: Path, servers: ExitStack) -> list[str]:
    places = []
    for number, validity in enumerate(stall.validities):
        served = served_file(folder, stall.name, number)
        if validity is not None:
            leaf = ca.issue_cert(stall.issued_for, not_before=validity[0], not_after=validity[1])
            # The file is the last server's own: the renewal that half of them have seen did not come this far.
            for path in (served, certificate_file(folder, stall.name)):
                write_private(path, leaf.private_key_and_cert_chain_pem.bytes())
        server = TlsServer(hang if validity is None else serve_file(served))
        servers.callback(server.close)
        places.append(server.place)
    return places


def _entry(stall: Stall, places: Sequence[str], folder: Path) -> str:
    """JSON and TOML write strings, and lists of them, alike."""
    table: dict[str, object] = {
        "name": stall.name,
        "host": stall.server_name,
        "addresses": list(places),
        "ca_file": str(ca_file(folder)),
        "environment": "demo",
        "owner": "demo",
        "timeout_seconds": 2.0,
    }
    if stall.mended:
        program = [sys.executable, "-m"]
        table["renew_command"] = [*program, "worker.demo.renew", str(folder), stall.name, stall.server_name]
        table["reload_command"] = [*program, "worker.demo.reload", str(folder), stall.name]
        table["certificate_file"] = str(certificate_file(folder, stall.name))
    return "\n".join(["[[certificates]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""])
