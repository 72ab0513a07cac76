"""A certificate's bytes to plain facts. Never raises: what cannot be read is named and left out."""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

S = TypeVar("S")
T = TypeVar("T")
_Names = tuple[tuple[str, ...], tuple[str, ...]]
_NO_NAMES: _Names = ((), ())

# What cryptography raises on certificates that break the rules; zlint's collection was read to find them.
_BROKEN = (
    ValueError, TypeError, UnsupportedAlgorithm,
    x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType,
)  # fmt: skip

# The least that NIST SP 800-131A still allows.
_RSA_BITS, _CURVE_BITS = 2048, 224


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is known of one certificate. `unreadable` names the parts that break the rules, each with the parser's words."""

    sha256: str
    serial: str = ""
    subject: str = ""
    issuer: str = ""
    subject_der: bytes = b""
    issuer_der: bytes = b""
    not_before: datetime | None = None
    not_after: datetime | None = None
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    key: str = ""
    key_is_weak: bool = False
    signature_hash: str = ""
    names_issuer_url: bool = False
    """Its Authority Information Access says where to fetch the issuer: public CAs always do."""
    unreadable: tuple[str, ...] = ()

    @property
    def self_issued(self) -> bool:
        return bool(self.subject_der) and self.subject_der == self.issuer_der

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.dns_names, *self.addresses)


@dataclass(frozen=True, slots=True)
class _Key:
    name: str = ""
    weak: bool = False


@dataclass(frozen=True, slots=True)
class _Name:
    text: str = ""
    der: bytes = b""

    @classmethod
    def of(cls, name: x509.Name) -> "_Name":
        return cls(name.rfc4514_string(), name.public_bytes())


class _Parts:
    """Reads part after part and remembers which of them could not be read."""

    def __init__(self) -> None:
        self.unreadable: list[str] = []

    def read(self, what: str, function: Callable[[S], T], source: S, otherwise: T) -> T:
        try:
            return function(source)
        except _BROKEN as error:
            self.unreadable.append(f"{what}: {error}"[:200])
            return otherwise


@lru_cache(maxsize=128)
def read_certificate(der: bytes) -> Certificate:
    """The same bytes give the same facts; a night sees a few intermediates thousands of times."""
    sha256 = hashlib.sha256(der).hexdigest()
    parts = _Parts()
    with warnings.catch_warnings():  # cryptography warns of odd serials and over-long names; we judge, it need not
        warnings.simplefilter("ignore")
        raw = parts.read("certificate", x509.load_der_x509_certificate, der, None)
        if raw is None:
            return Certificate(sha256=sha256, unreadable=tuple(parts.unreadable))
        return _facts(raw, sha256, parts)


def _facts(raw: x509.Certificate, sha256: str, parts: _Parts) -> Certificate:
    extensions = parts.read("extensions", lambda raw: raw.extensions, raw, x509.Extensions([]))
    dns_names, addresses = parts.read("subject alternative names", _alternative_names, extensions, _NO_NAMES)
    subject = parts.read("subject", lambda raw: _Name.of(raw.subject), raw, _Name())
    issuer = parts.read("issuer", lambda raw: _Name.of(raw.issuer), raw, _Name())
    key = parts.read("public key", _key, raw, _Key())
    return Certificate(
        sha256=sha256,
        serial=f"{raw.serial_number:x}",
        subject=subject.text,
        issuer=issuer.text,
        subject_der=subject.der,
        issuer_der=issuer.der,
        not_before=parts.read("notBefore", lambda raw: raw.not_valid_before_utc, raw, None),
        not_after=parts.read("notAfter", lambda raw: raw.not_valid_after_utc, raw, None),
        dns_names=dns_names,
        addresses=addresses,
        key=key.name,
        key_is_weak=key.weak,
        signature_hash=parts.read("signature algorithm", _signature_hash, raw, ""),
        names_issuer_url=parts.read("authority information access", _names_issuer_url, extensions, otherwise=False),
        unreadable=tuple(dict.fromkeys(parts.unreadable)),
    )


def _alternative_names(extensions: x509.Extensions) -> _Names:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    addresses = tuple(str(address) for address in names.get_values_for_type(x509.IPAddress))
    return tuple(names.get_values_for_type(x509.DNSName)), addresses


def _names_issuer_url(extensions: x509.Extensions) -> bool:
    try:
        access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(description.access_method == AuthorityInformationAccessOID.CA_ISSUERS for description in access)


def _key(raw: x509.Certificate) -> _Key:
    match raw.public_key():
        case rsa.RSAPublicKey(key_size=bits):
            return _Key(f"RSA-{bits}", weak=bits < _RSA_BITS)
        case ec.EllipticCurvePublicKey(curve=curve, key_size=bits):
            return _Key(f"EC-{curve.name}", weak=bits < _CURVE_BITS)
        case dsa.DSAPublicKey(key_size=bits):
            return _Key(f"DSA-{bits}", weak=True)
        case other:
            return _Key(type(other).__name__.lstrip("_").removesuffix("PublicKey"))


def _signature_hash(raw: x509.Certificate) -> str:
    """Empty for algorithms that need none, such as Ed25519."""
    algorithm = raw.signature_hash_algorithm
    return algorithm.name if algorithm else ""
