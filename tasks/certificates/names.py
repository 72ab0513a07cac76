"""Does a certificate speak for a name? RFC 9525: subject alternative names only, never the common name. Pure."""

from collections.abc import Iterable
from ipaddress import ip_address

from tasks.certificates.reading import Certificate

# A wildcard right above a top-level domain would speak for everybody; OpenSSL refuses it too.
_LABELS_BEHIND_WILDCARD = 2


def speaks_for(certificate: Certificate, name: str) -> bool:
    try:
        address = str(ip_address(name))
    except ValueError:
        return _any_name(certificate.dns_names, name.lower())
    return address in certificate.addresses


def _any_name(patterns: Iterable[str], name: str) -> bool:
    return any(_same(pattern.lower(), name) for pattern in patterns)


def _same(pattern: str, name: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == name
    behind = pattern.removeprefix("*.")
    first, dot, rest = name.partition(".")
    # RFC 9525 section 6.3: the star is the whole left-most label and stands for exactly one.
    return bool(first and dot) and rest == behind and "*" not in behind and len(behind.split(".")) >= _LABELS_BEHIND_WILDCARD
