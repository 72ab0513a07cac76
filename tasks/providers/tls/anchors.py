"""Trust: which anchors, and a context that records what is wrong with a chain instead of hanging up."""

import contextlib
import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from OpenSSL import SSL, crypto

from tasks.errors import ProviderError

Fault = tuple[int, int]
"""OpenSSL's X509_V_ERR number, and the depth in the path at which it was met."""

# The worst servers are the ones worth looking at, so the client refuses nothing: the job judges keys and protocol itself.
_EVERYTHING = b"ALL:!aNULL:!eNULL:@SECLEVEL=0"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_FILE_LIMIT_BYTES = 8 * 1024 * 1024

_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED = 9, 10
TIME_CODES = frozenset({_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED})

# pyOpenSSL has no public X509_verify_cert_error_string; numbers from OpenSSL's x509_vfy.h.
_TEXTS = {
    7: "a signature in the chain is wrong",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in the chain",
    20: "issuer is neither sent nor trusted",
    21: "the first certificate cannot be verified",
    22: "chain is too long",
    23: "certificate is revoked",
    25: "a CA's path length is exceeded",
    26: "certificate is not meant for a TLS server",
    34: "unhandled critical extension",
    47: "a CA's name constraints forbid the name",
    48: "a CA's name constraints forbid the name",
    79: "a certificate that is no CA signs another",
}


def fault_text(code: int) -> str:
    return _TEXTS.get(code, f"OpenSSL verify error {code}")


def gravest(faults: list[Fault]) -> Fault:
    """The first that is not about time, else the first; (0, 0) if there is none."""
    timeless = [fault for fault in faults if fault[0] not in TIME_CODES]
    return next(iter(timeless or faults), (0, 0))


def read_anchors(path: Path) -> str:
    what = f"trust anchors {path}"
    blocks = _read_blocks(path, what, "anchors")
    for number, block in enumerate(blocks, start=1):
        _load(block, f"{what}, certificate {number}")
    return "\n".join(blocks) + "\n"


def read_certificates(path: Path) -> Sequence[bytes]:
    """What stands in the file besides certificates, such as a key, is passed over."""
    blocks = _read_blocks(path, f"certificate file {path}", "certificate_file")
    try:
        return [ssl.PEM_cert_to_DER_cert(block) for block in blocks]
    except ValueError:
        message = f"certificate file {path}: a certificate in it is no base64"
        raise ProviderError(message, stage="certificate_file") from None


def _read_blocks(path: Path, what: str, stage: str) -> list[str]:
    try:
        if not path.is_file():
            # Of a device or a pipe there is no end.
            raise ProviderError(f"{what} cannot be read: no such file", stage=stage)
        with path.open("rb") as file:
            content = file.read(_FILE_LIMIT_BYTES).decode("ascii", "replace")
    except OSError as error:
        message = f"{what} cannot be read: {error.strerror}"
        raise ProviderError(message, stage=stage) from None
    blocks: list[str] = _PEM.findall(content)
    if not blocks:
        message = f"{what}: no PEM certificate in it; expected one or more BEGIN CERTIFICATE blocks"
        raise ProviderError(message, stage=stage)
    return blocks


def client_context(anchors_pem: str | None, record: Callable[[SSL.Connection, Fault], None]) -> SSL.Context:
    """A context that trusts the given anchors (None: the system's) and tells `record` every fault of a chain."""

    def note(connection: SSL.Connection, _certificate: crypto.X509, code: int, depth: int, _ok: int) -> bool:
        if code:
            record(connection, (code, depth))
        return True

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(_EVERYTHING)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER, note)
    if anchors_pem is None:
        _trust_system(context)
    else:
        _trust_only(context, anchors_pem)
    return context


def _trust_only(context: SSL.Context, anchors_pem: str) -> None:
    store = context.get_cert_store()
    if store is None:
        message = "OpenSSL gave a context without a certificate store"
        raise RuntimeError(message)
    # Who names an intermediate as the anchor means it; without the flag OpenSSL insists on a self-signed root.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for block in _PEM.findall(anchors_pem):
        store.add_cert(_load(block, "trust anchors"))


def _trust_system(context: SSL.Context) -> None:
    """The platform's own store as the standard library finds it (SSL_CERT_FILE and SSL_CERT_DIR count); else certifi's."""
    paths = ssl.get_default_verify_paths()
    folder = paths.capath if paths.capath and any(Path(paths.capath).iterdir()) else None
    if paths.cafile or folder:
        context.load_verify_locations(paths.cafile, folder)
        return
    with contextlib.suppress(ImportError):
        import certifi  # noqa: PLC0415 - only where the platform has no store, and only if it happens to be there

        context.load_verify_locations(certifi.where())


def _load(block: str, what: str) -> crypto.X509:
    try:
        return crypto.load_certificate(crypto.FILETYPE_PEM, block.encode("ascii", "replace"))
    except crypto.Error:
        message = f"{what} is not a certificate that OpenSSL can read"
        raise ProviderError(message, stage="anchors") from None
