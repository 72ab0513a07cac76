"""One probe on its way: connect, handshake, and what became of it."""

import errno
import os
import selectors
import socket
from contextlib import suppress
from datetime import timedelta
from time import monotonic

from OpenSSL import SSL, crypto

from tasks.context import Handshake, Probe, ProbeFailure
from tasks.providers.tls.anchors import Fault, fault_text, gravest

_UNREACHABLE = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN, errno.EHOSTDOWN}
)
# How OpenSSL words a first record that is no TLS: a banner, an HTTP answer, noise.
_NOT_TLS = ("wrong version number", "http request", "https proxy request", "packet length too long", "record layer failure")
_UNREADABLE = ("asn1", "bad certificate", "x509", "no certificates returned")


class Attempt:
    """`advance` says what to wait for (a selector's event mask), or how it ended."""

    def __init__(self, probe: Probe, context: SSL.Context, started: float) -> None:
        self.probe = probe
        self.deadline = started + probe.timeout.total_seconds()
        self._context = context
        self._started = started
        self._faults: list[Fault] = []
        self._tls: SSL.Connection | None = None
        self.socket: socket.socket

    def connect(self) -> ProbeFailure | None:
        family = socket.AF_INET6 if ":" in self.probe.address else socket.AF_INET
        try:
            self.socket = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            return self._not_connected(error.errno or 0)
        self.socket.settimeout(0)
        try:
            code = self.socket.connect_ex((self.probe.address, self.probe.port))
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code in (0, errno.EINPROGRESS):
            return None
        self.socket.close()
        return self._not_connected(code)

    def advance(self) -> int | Handshake | ProbeFailure:
        if self._tls is None:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                return self._not_connected(code)
            self._tls = self._hello()
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return selectors.EVENT_READ
        except SSL.WantWriteError:
            return selectors.EVENT_WRITE
        except SSL.Error as error:
            return self._not_shaken(error)
        return self._seen(self._tls)

    def timed_out(self) -> ProbeFailure:
        if self._tls is None:
            return self._failure("connect", "connect_timeout", "no answer to the connect")
        return self._failure("handshake", "handshake_timeout", "no answer to the TLS hello")

    def close(self) -> None:
        if self._tls is not None:
            with suppress(SSL.Error):
                self._tls.shutdown()
            self._tls.set_app_data(None)
        self.socket.close()

    def _hello(self) -> SSL.Connection:
        tls = SSL.Connection(self._context, self.socket)
        tls.set_app_data(self._faults)
        if self.probe.server_name is not None:
            tls.set_tlsext_host_name(self.probe.server_name.encode("ascii"))
        tls.set_connect_state()
        return tls

    def _seen(self, tls: SSL.Connection) -> Handshake | ProbeFailure:
        chain = tls.get_peer_cert_chain() or []
        if not chain:
            return self._failure("handshake", "no_certificate", "the server sent no certificate")
        code, depth = gravest(self._faults)
        return Handshake(
            chain_der=tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in chain),
            protocol=tls.get_protocol_version_name(),
            cipher=tls.get_cipher_name() or "",
            trust_error=fault_text(code) if code else None,
            trust_code=code,
            trust_depth=depth,
            elapsed=self._elapsed(),
        )

    def _not_connected(self, code: int) -> ProbeFailure:
        return self._failure("connect", connect_reason(code), os.strerror(code).lower())

    def _not_shaken(self, error: SSL.Error) -> ProbeFailure:
        if isinstance(error, (SSL.SysCallError, SSL.ZeroReturnError)):
            how = "reset" if error.args[:1] == (errno.ECONNRESET,) else "closed"
            return self._failure("handshake", "connection_closed", f"the server {how} the connection in the TLS handshake")
        words = _words(error)
        if any(phrase in words for phrase in _NOT_TLS):
            return self._failure("handshake", "not_tls", f"what answers is not TLS ({words})")
        if any(phrase in words for phrase in _UNREADABLE) and "alert" not in words:
            return self._failure("handshake", "unparseable_certificate", f"OpenSSL cannot read the certificate ({words})")
        return self._failure("handshake", "handshake_failed", f"TLS handshake failed ({words})")

    def _failure(self, stage: str, reason: str, what: str) -> ProbeFailure:
        elapsed = self._elapsed()
        where = f"[{self.probe.address}]" if ":" in self.probe.address else self.probe.address
        detail = f"{where}:{self.probe.port}: {what}, after {elapsed.total_seconds():.1f} s"
        return ProbeFailure(stage="connect" if stage == "connect" else "handshake", reason=reason, detail=detail, elapsed=elapsed)

    def _elapsed(self) -> timedelta:
        return timedelta(seconds=monotonic() - self._started)


def connect_reason(code: int) -> str:
    """The reason code for an errno of connect."""
    if code == errno.ECONNREFUSED:
        return "connect_refused"
    if code == errno.ETIMEDOUT:
        return "connect_timeout"
    return "unreachable" if code in _UNREACHABLE else "connect_failed"


def _words(error: SSL.Error) -> str:
    """OpenSSL's queue as one line: `('SSL routines', '', 'wrong version number')` says it in the last member."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in entries) or "no reason given"
