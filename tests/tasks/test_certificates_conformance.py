"""Other people's collections of odd and broken certificates, read where they lie; they are no part of this repository."""

import json
import os
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import crypto

from tasks.certificates.judging import Judgement, Presented, Thresholds, judge
from tasks.certificates.reading import read_certificate
from tasks.certificates.trust import Trust

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = Path(os.environ.get("NIGHTSHIFT_CONFORMANCE_DATA", ROOT.parent / "shared" / "data")) / "tls"
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
THRESHOLDS = Thresholds(warn_below=0.3, critical_below=0.1)

needs_collection = pytest.mark.skipif(
    not COLLECTION.is_dir(), reason="no conformance collection; NIGHTSHIFT_CONFORMANCE_DATA names its folder"
)


def ders(path: Path) -> Iterator[bytes]:
    for block in CERTIFICATE.findall(path.read_bytes()):
        yield ssl.PEM_cert_to_DER_cert(block.decode("ascii"))


def judged(*chain: bytes, at: datetime, name: str, trust: Trust | None = None) -> Judgement:
    return judge(Presented(chain_der=chain, trust=trust or Trust()), name=name, now=at, thresholds=THRESHOLDS)


def reasons(judgement: Judgement) -> set[str]:
    return {trouble.reason for trouble in judgement.troubles}


def zlint_leaves() -> list[tuple[str, bytes]]:
    folder = COLLECTION / "zlint" / "testdata"
    found = []
    for path in sorted(folder.rglob("*")):
        blocks = CERTIFICATE.findall(path.read_bytes()) if path.is_file() else []
        if blocks:
            try:
                found.append((str(path.relative_to(folder)), ssl.PEM_cert_to_DER_cert(blocks[0].decode("ascii"))))
            except ValueError:  # not even base64: nothing that a handshake could carry
                continue
    return found


@needs_collection
def test_every_odd_certificate_is_judged_without_a_crash() -> None:
    leaves = zlint_leaves()
    at = datetime(2026, 11, 21, tzinfo=UTC)
    seen = Counter(reason for _, der in leaves for reason in reasons(judged(der, at=at, name="www.example.com")))
    assert len(leaves) >= 870
    assert seen["unparseable_certificate"] >= 100
    assert seen["expired"] >= 590


@needs_collection
def test_what_the_parser_refuses_is_a_typed_finding() -> None:
    listed = json.loads((COLLECTION / "zlint" / "unparseable.json").read_text())
    refused = {row["file"] for row in [*listed["certificates"], *listed["later_failures"]]}
    leaves = dict(zlint_leaves())
    silent = [name for name in sorted(refused & leaves.keys()) if not read_certificate(leaves[name]).unreadable]
    # Fields that we do not read (e.g. a key whose type only fails when used), and parsers that learned since.
    assert len(silent) <= 5, silent
    assert len(refused & leaves.keys()) >= 160


@needs_collection
def test_real_chains_are_plausible_in_the_middle_of_their_life() -> None:
    chains = json.loads((COLLECTION / "badssl" / "chains.json").read_text())
    assert len(chains) >= 20
    for row in chains:
        if row["suggested_time"] is None:
            continue
        at = datetime.fromisoformat(row["suggested_time"])
        name = row["leaf_dns_names"][0].replace("*", "www") if row["leaf_dns_names"] else "x.test"
        found = reasons(judged(*ders(COLLECTION / "badssl" / row["file"]), at=at, name=name))
        assert not found & {"expired", "not_yet_valid", "unparseable_certificate", "chain_expired"}, row["file"]
        assert ("name_mismatch" in found) is not row["leaf_dns_names"], row["file"]
        if row["signed_by_next"] and set(row["signed_by_next"]) == {"ok"}:
            assert "chain_order" not in found, row["file"]


def limbo_cases() -> list[dict[str, Any]]:
    collection = json.loads((COLLECTION / "limbo" / "limbo.json").read_text())
    skipped = {"has-crl", "max-chain-depth"}
    return [
        case
        for case in collection["testcases"]
        if case["validation_kind"] == "SERVER" and not skipped & set(case["features"]) and case["expected_peer_name"]
    ]


def limbo_accepts(case: dict[str, Any]) -> bool:
    """As the provider does it: OpenSSL judges the path for a TLS server, we judge time and name."""
    at = datetime.fromisoformat(case["validation_time"]) if case["validation_time"] else datetime.now(UTC)
    blocks = [block.encode() for block in (case["peer_certificate"], *case["untrusted_intermediates"])]
    trust = _trust(case["trusted_certs"], blocks, at)
    expected = case["expected_peer_name"]
    name = str(ip_address(expected["value"])) if expected["kind"] == "IP" else expected["value"]
    chain = [ssl.PEM_cert_to_DER_cert(block.decode()) for block in blocks]
    told = {trouble.reason for trouble in judged(*chain, at=at, name=name, trust=trust).troubles}
    return not told - {"expires_soon", "chain_expires_soon", "chain_order"}


def _trust(trusted: list[str], blocks: list[bytes], at: datetime) -> Trust:
    store = crypto.X509Store()
    store.set_time(at)
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # as the provider sets it for anchors that the operator names
    try:
        for anchor in trusted:
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, anchor.encode()))
        leaf, *others = (crypto.load_certificate(crypto.FILETYPE_PEM, block) for block in blocks)
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        return Trust(code=error.errors[0], depth=error.errors[1], text=str(error), own_anchors=True)
    except crypto.Error:
        return Trust(code=-1, text="unreadable", own_anchors=True)
    return Trust(own_anchors=True)


@needs_collection
def test_path_verdicts_agree_with_limbo_as_far_as_measured() -> None:
    """OpenSSL is laxer than the web's CA rules where a browser is too (common names, identifiers, extended usages); what
    decides a night's verdict (paths, name constraints, names, validity) must not fall behind what was measured."""
    agreed: Counter[str] = Counter()
    for case in limbo_cases():
        family = "::".join(case["id"].split("::")[:-1])
        agreed[family] += limbo_accepts(case) == (case["expected_result"] == "SUCCESS")
    least = {
        "cve": 2, "pathlen": 6, "pathological": 7, "rfc5280": 13, "rfc5280::eku": 2, "rfc5280::nc": 17, "rfc5280::validity": 6,
        "webpki::nc": 3, "webpki::san": 11,
    }  # fmt: skip
    assert {family: agreed[family] for family in least if agreed[family] < least[family]} == {}
    assert agreed.total() >= 76
