"""What a reader gets to see besides the verdict: bounded, JSON-ready, and the line that checks again by hand."""

import shlex
from datetime import datetime

from tasks.certificates.entry import CertificateEntry, join_place
from tasks.certificates.judging import Judgement, fraction_left
from tasks.certificates.reading import Certificate
from tasks.context import Handshake, Probe
from tasks.model import Json

_NAMES_SHOWN, _CHAIN_SHOWN = 20, 10


def subject_at(entry: CertificateEntry, probe: Probe) -> str:
    """`www.example.com:443 at 192.0.2.7`, with the port where a pinned address has another."""
    where = probe.address if probe.port == entry.port else join_place(probe.address, probe.port)
    return f"{entry.place} at {where}"


def evidence(judgement: Judgement, handshake: Handshake, now: datetime) -> dict[str, Json]:
    leaf = judgement.leaf
    return {
        "subject": leaf.subject,
        "issuer": leaf.issuer,
        "serial": leaf.serial,
        "sha256": leaf.sha256,
        "not_before": _iso(leaf.not_before),
        "not_after": _iso(leaf.not_after),
        "fraction_left": fraction_left(leaf, now),
        "names": list(leaf.names[:_NAMES_SHOWN]),
        "names_count": len(leaf.names),
        "key": leaf.key,
        "protocol": handshake.protocol,
        "cipher": handshake.cipher,
        "chain_depth": len(judgement.chain),
        "chain": [_link(certificate) for certificate in judgement.chain[:_CHAIN_SHOWN]],
        "trust_error": handshake.trust_error,
        "handshake_seconds": round(handshake.elapsed.total_seconds(), 3),
    }


def leaf_fact(leaf: Certificate) -> dict[str, Json]:
    """What history keeps, so that a later night can tell that an expected renewal did not happen."""
    return {"sha256": leaf.sha256, "not_before": _iso(leaf.not_before), "not_after": _iso(leaf.not_after), "issuer": leaf.issuer}


def recheck(entry: CertificateEntry, probe: Probe) -> str:
    connect = ["openssl", "s_client", "-connect", join_place(probe.address, probe.port)]
    name = ["-servername", probe.server_name] if probe.server_name else ["-noservername"]
    anchors = ["-CAfile", entry.ca_file] if entry.ca_file else []
    look = "openssl x509 -noout -dates -subject -issuer -ext subjectAltName"
    return f"{shlex.join([*connect, *name, *anchors, '-showcerts'])} </dev/null | {look}"


def _link(certificate: Certificate) -> dict[str, Json]:
    return {"subject": certificate.subject, "not_after": _iso(certificate.not_after), "sha256": certificate.sha256}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
