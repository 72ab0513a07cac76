"""TLS servers that misbehave, on loopback: one method a kind. Everything closes with the farm."""

import contextlib
import selectors
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from worker.demo.farm import TlsServer, hang, shake_hands

NOW = datetime.now(UTC)
LIFETIME = timedelta(days=90)
Validity = tuple[datetime, datetime]

FRESH: Validity = (NOW - timedelta(days=1), NOW - timedelta(days=1) + LIFETIME)
NEARLY_EXPIRED: Validity = (NOW + timedelta(days=4) - LIFETIME, NOW + timedelta(days=4))
EXPIRED: Validity = (NOW - timedelta(days=2) - LIFETIME, NOW - timedelta(days=2))
NOT_YET_VALID: Validity = (NOW + timedelta(days=2), NOW + timedelta(days=2) + LIFETIME)


def _pem(blobs: Sequence[trustme.Blob]) -> list[bytes]:
    return [blob.bytes() for blob in blobs]


def server_context(chain_pem: bytes, key_pem: bytes, folder: Path) -> ssl.SSLContext:
    """`chain_pem` is sent as it is, leaf first. The standard library loads from files only: they go through `folder`."""
    path = folder / f"{threading.get_ident()}.pem"
    path.touch(mode=0o600)
    path.write_bytes(key_pem + chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    path.unlink()
    return context


class TlsFarm:
    """Made by `tls_farm`. `ca_file` holds the one root that is trusted; every method opens a server and returns it."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.ca = trustme.CA()
        self.intermediate = self.ca.create_child_ca()
        self.stranger = trustme.CA()
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)
        self._servers = servers

    def answers(self, answer: Callable[[socket.socket], None], host: str = "127.0.0.1") -> TlsServer:
        server = TlsServer(answer, host)
        self._servers.callback(server.close)
        return server

    def context(self, name: str, validity: Validity = FRESH, ca: trustme.CA | None = None) -> ssl.SSLContext:
        leaf = self._leaf(name, validity, ca or self.ca)
        return self._context(leaf, _pem(leaf.cert_chain_pems))

    def presents(self, name: str, validity: Validity = FRESH, ca: trustme.CA | None = None, host: str = "127.0.0.1") -> TlsServer:
        return self.answers(shake_hands(self.context(name, validity, ca)), host)

    def chain_of(self, name: str, pick: Callable[[bytes, bytes, bytes], list[bytes]]) -> TlsServer:
        """`pick(leaf, intermediate, root)` says what is sent."""
        leaf = self._leaf(name, FRESH, self.intermediate)
        own, middle = _pem(leaf.cert_chain_pems)
        return self.answers(shake_hands(self._context(leaf, pick(own, middle, self.ca.cert_pem.bytes()))))

    def self_signed(self, name: str) -> TlsServer:
        """A root that serves itself: trustme signs nothing else by its own key."""
        root = trustme.CA(organization_name=name)
        context = server_context(root.cert_pem.bytes(), root.private_key_pem.bytes(), self.folder)
        return self.answers(shake_hands(context))

    def sends_stranger_root(self, name: str) -> TlsServer:
        leaf = self._leaf(name, FRESH, self.stranger)
        return self.answers(shake_hands(self._context(leaf, [*_pem(leaf.cert_chain_pems), self.stranger.cert_pem.bytes()])))

    def huge_chain(self, name: str, count: int) -> TlsServer:
        leaf = self._leaf(name, FRESH, self.ca)
        return self.answers(
            shake_hands(self._context(leaf, [*_pem(leaf.cert_chain_pems), *[self.stranger.cert_pem.bytes()] * count]))
        )

    def by_server_name(self, names: Sequence[str], otherwise: str) -> TlsServer:
        contexts = {name: self.context(name) for name in names}
        default = self.context(otherwise)

        def choose(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
            tls.context = contexts.get(name or "", default)

        default.sni_callback = choose
        return self.answers(shake_hands(default))

    def speaks_only_tls_1_0(self, name: str) -> TlsServer:
        context = self.context(name)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():  # the standard library warns of what this server is for
            warnings.simplefilter("ignore")
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
        return self.answers(shake_hands(context))

    def hangs(self) -> TlsServer:
        return self.answers(hang)

    def hangs_in_the_handshake(self) -> TlsServer:
        def answer(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"\x16\x03\x03\x00\x7a\x02")  # a handshake record of 122 bytes, of which one comes
            hang(connection)

        return self.answers(answer)

    def speaks_http(self) -> TlsServer:
        def answer(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        return self.answers(answer)

    def closes_at_once(self) -> TlsServer:
        return self.answers(lambda _connection: None)

    def sends_garbage_certificate(self) -> TlsServer:
        """Valid TLS up to a certificate that is no ASN.1 at all: the record is written by hand, for TLS 1.2."""

        def answer(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(_server_hello_1_2() + _certificate_message(b"\x30\x03\x02\x01"))
            hang(connection)

        return self.answers(answer)

    def full_backlog(self) -> tuple[str, int]:
        """A listener whose queue is full: the kernel drops the next connect, as a black hole does."""
        listener = self._servers.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        place = listener.getsockname()
        for _ in range(3):
            client = self._servers.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(place)
            with selectors.DefaultSelector() as selector:
                selector.register(client, selectors.EVENT_WRITE)
                selector.select(0.2)
        return place[0], place[1]

    def _leaf(self, name: str, validity: Validity, ca: trustme.CA) -> trustme.LeafCert:
        return ca.issue_cert(name, not_before=validity[0], not_after=validity[1])

    def _context(self, leaf: trustme.LeafCert, chain: Sequence[bytes]) -> ssl.SSLContext:
        return server_context(b"".join(chain), leaf.private_key_pem.bytes(), self.folder)


def closed_port() -> int:
    """A port that nobody listens on, a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@contextmanager
def tls_farm(folder: Path) -> Iterator[TlsFarm]:
    with ExitStack() as servers:
        yield TlsFarm(folder, servers)


def _handshake(kind: int, body: bytes) -> bytes:
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


def _server_hello_1_2() -> bytes:
    random, no_session, ecdhe_ecdsa_aes128_gcm, no_compression = b"\x11" * 32, b"\x00", b"\xc0\x2b", b"\x00"
    renegotiation_info = b"\xff\x01\x00\x01\x00"
    extensions = len(renegotiation_info).to_bytes(2, "big") + renegotiation_info
    return _handshake(2, b"\x03\x03" + random + no_session + ecdhe_ecdsa_aes128_gcm + no_compression + extensions)


def _certificate_message(der: bytes) -> bytes:
    entry = len(der).to_bytes(3, "big") + der
    return _handshake(11, len(entry).to_bytes(3, "big") + entry)
