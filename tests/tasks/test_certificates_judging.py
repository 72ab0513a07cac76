from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tasks.certificates.judging import Presented, Thresholds, fraction_left, judge
from tasks.certificates.reading import read_certificate
from tasks.certificates.trust import Trust
from tasks.model import Severity

START = datetime(2026, 11, 1, tzinfo=UTC)
NAME = "www.example.test"
DEFAULTS = Thresholds(warn_below=0.3, critical_below=0.1)


@cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    days: float = 90,
    *,
    names: Sequence[x509.GeneralName] = (x509.DNSName(NAME),),
    subject: str = "leaf",
    issuer: str = "middle",
    issuer_url: bool = False,
    private_key: CertificateIssuerPrivateKeyTypes | None = None,
    start: datetime = START,
) -> bytes:
    used = private_key or key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(used.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    if issuer_url:
        where = x509.UniformResourceIdentifier("http://ca.example.test/middle.der")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(used, hashes.SHA256()).public_bytes(Encoding.DER)


def middle(days: float = 1000, start: datetime = START - timedelta(days=400)) -> bytes:
    return certificate(days, names=(), subject="middle", issuer="root", start=start)


def troubles(
    *chain: bytes,
    at: datetime = START + timedelta(days=1),
    name: str = NAME,
    trust: Trust | None = None,
    protocol: str = "TLSv1.3",
) -> dict[str, Severity]:
    presented = Presented(chain_der=chain, protocol=protocol, trust=trust or Trust())
    judgement = judge(presented, name=name, now=at, thresholds=DEFAULTS)
    return {trouble.reason: trouble.severity for trouble in judgement.troubles}


def test_a_fresh_certificate_of_the_right_name_is_no_trouble() -> None:
    assert troubles(certificate(), middle()) == {}


@pytest.mark.parametrize("days", [6, 47, 90, 200, 398])
def test_every_lifetime_is_told_in_time_and_never_early(days: int) -> None:
    """Night by night, with nobody renewing: silent for the first two thirds, told, paged, expired."""
    leaf = certificate(days)
    seen = [(night, troubles(leaf, middle(), at=START + timedelta(days=night, hours=2))) for night in range(days + 2)]
    share_left = {night: (days - night - 2 / 24) / days for night, _ in seen}
    for night, found in seen:
        left = share_left[night]
        severity = Severity.CRITICAL if left < 0.1 else Severity.MEDIUM if left < 0.3 else None
        expected = {"expired": Severity.CRITICAL} if left < 0 else {"expires_soon": severity} if severity else {}
        assert found == expected, f"night {night} of {days} days"
    assert sum("expires_soon" in found for _, found in seen) >= 1


@pytest.mark.parametrize("days", [6, 47, 90, 200, 398])
def test_an_agent_that_renews_at_one_third_left_never_alarms(days: int) -> None:
    """Ten years of nights; the agent looks twice a day and renews as soon as a third is left."""
    issued, noon = START, START
    for night in range(3653):
        at = START + timedelta(days=night, hours=2)
        while noon <= at:
            if issued + timedelta(days=days) - noon <= timedelta(days=days) / 3:
                issued = noon
            noon += timedelta(hours=12)
        left = issued + timedelta(days=days) - at
        assert DEFAULTS.severity(left, timedelta(days=days)) is None, f"night {night}"


def test_a_ten_year_leaf_warns_four_months_before_and_not_three_years() -> None:
    leaf = certificate(3650)
    assert troubles(leaf, middle(9000), at=START + timedelta(days=3650 - 120)) == {}
    assert troubles(leaf, middle(9000), at=START + timedelta(days=3650 - 119)) == {"expires_soon": Severity.MEDIUM}


def test_a_certificate_from_the_future_is_not_yet_valid() -> None:
    assert troubles(certificate(), middle(), at=START - timedelta(hours=1)) == {"not_yet_valid": Severity.CRITICAL}


def test_the_second_of_expiry_is_the_last_valid_one() -> None:
    end = START + timedelta(days=90)
    assert set(troubles(certificate(), middle(), at=end)) == {"expires_soon"}
    assert set(troubles(certificate(), middle(), at=end + timedelta(seconds=1))) == {"expired"}


def test_an_intermediate_is_measured_by_the_lifetime_of_the_leaf() -> None:
    at = START + timedelta(days=1)
    three_years_with_four_months_left = middle(1095, start=at - timedelta(days=975))
    ends_in_three_weeks = middle(1095, start=at - timedelta(days=1074))
    assert troubles(certificate(), three_years_with_four_months_left, at=at) == {}
    assert troubles(certificate(), ends_in_three_weeks, at=at) == {"chain_expires_soon": Severity.MEDIUM}


def test_an_expired_intermediate_is_critical_unless_openssl_found_a_way_around_it() -> None:
    old = middle(10)
    assert troubles(certificate(), old, trust=Trust(code=10, depth=1)) == {"chain_expired": Severity.CRITICAL}
    assert troubles(certificate(), old) == {"chain_expired": Severity.LOW}


def test_an_expired_anchor_that_was_not_sent_is_an_untrusted_root() -> None:
    assert set(troubles(certificate(), middle(), trust=Trust(code=10, depth=2))) == {"untrusted_root"}


def test_trust_errors_are_told_apart() -> None:
    assert set(troubles(certificate(issuer="leaf"), trust=Trust(code=18))) == {"self_signed"}
    root = certificate(9000, names=(), subject="root", issuer="root")
    assert set(troubles(certificate(), middle(), root, trust=Trust(code=19))) == {"untrusted_root"}
    assert set(troubles(certificate(), middle(), trust=Trust(code=20))) == {"untrusted_root"}
    assert set(troubles(certificate(issuer_url=True), trust=Trust(code=20))) == {"missing_intermediate"}
    assert set(troubles(certificate(), trust=Trust(code=20, own_anchors=True))) == {"missing_intermediate"}
    assert set(troubles(certificate(), trust=Trust(code=20))) == {"untrusted_root"}
    assert set(troubles(certificate(), trust=Trust(code=7))) == {"bad_signature"}
    assert set(troubles(certificate(), trust=Trust(code=26))) == {"wrong_purpose"}
    assert set(troubles(certificate(), trust=Trust(code=47, text="x"))) == {"untrusted"}


def test_several_troubles_are_all_told() -> None:
    found = troubles(certificate(issuer="leaf"), at=START + timedelta(days=91), name="other.test", trust=Trust(code=18))
    assert set(found) == {"expired", "name_mismatch", "self_signed"}


def test_a_chain_in_the_wrong_order_is_a_small_trouble() -> None:
    root = certificate(9000, names=(), subject="root", issuer="root")
    stranger = certificate(9000, names=(), subject="stranger", issuer="stranger")
    assert troubles(certificate(), root, middle()) == {"chain_order": Severity.LOW}
    assert troubles(certificate(), middle(), root) == {}
    assert troubles(certificate(), middle(), stranger) == {}
    assert troubles(certificate(), certificate(), middle()) == {"chain_order": Severity.LOW}


@pytest.mark.parametrize(
    ("names", "asked", "matches"),
    [
        (["www.example.test"], "www.example.test", True),
        (["WWW.example.TEST"], "www.example.test", True),
        (["*.example.test"], "www.example.test", True),
        (["*.example.test"], "a.www.example.test", False),
        (["*.example.test"], "example.test", False),
        (["w*.example.test"], "www.example.test", False),
        (["www.*.test"], "www.example.test", False),
        (["*.test"], "example.test", False),
        (["*"], "test", False),
        (["*.*.test"], "www.example.test", False),
        (["example.test"], "www.example.test", False),
        (["xn--bcher-kva.example"], "xn--bcher-kva.example", True),
        (["192.0.2.7"], "192.0.2.7", False),
    ],
)
def test_names_match_as_rfc_9525_says(names: list[str], asked: str, matches: bool) -> None:  # noqa: FBT001 - a table
    leaf = certificate(names=[x509.DNSName(name) for name in names])
    assert ("name_mismatch" not in troubles(leaf, middle(), name=asked)) is matches


def test_an_address_is_matched_by_address_names_alone() -> None:
    from ipaddress import ip_address  # noqa: PLC0415 - one test's business

    leaf = certificate(names=[x509.IPAddress(ip_address("192.0.2.7")), x509.IPAddress(ip_address("2001:db8::7"))])
    assert troubles(leaf, middle(), name="192.0.2.7") == {}
    assert troubles(leaf, middle(), name="2001:0db8:0::7") == {}
    assert set(troubles(leaf, middle(), name="192.0.2.8")) == {"name_mismatch"}


def test_the_common_name_does_not_count() -> None:
    assert set(troubles(certificate(names=(), subject=NAME), middle())) == {"name_mismatch"}


def test_weak_keys_and_old_protocols_are_told() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the weak key is the point
    assert troubles(certificate(private_key=small), middle()) == {"weak_key": Severity.MEDIUM}
    assert troubles(certificate(), middle(), protocol="TLSv1.1") == {"old_protocol": Severity.MEDIUM}


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x03\x02\x01\x01", b"-----BEGIN", bytes(5000)])
def test_bytes_that_are_no_certificate_are_a_finding_and_no_crash(der: bytes) -> None:
    assert troubles(der) == {"unparseable_certificate": Severity.HIGH}


def test_a_certificate_cut_short_anywhere_is_a_finding_and_no_crash() -> None:
    whole = certificate()
    for length in range(len(whole)):
        assert "unparseable_certificate" in troubles(whole[:length])


def test_the_fraction_left_is_of_the_certificates_own_lifetime() -> None:
    leaf = read_certificate(certificate(days=100))
    assert fraction_left(leaf, START + timedelta(days=75)) == 0.25
