import errno
import re
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.context import Handshake, Probe, ProbeFailure
from tasks.errors import ProviderError
from tasks.providers.tls import OpenSslTls
from tasks.providers.tls.anchors import gravest
from tasks.providers.tls.attempt import connect_reason
from tests.support.tls_farm import EXPIRED, TlsFarm, closed_port, has_ipv6, tls_farm
from worker.demo.farm import TlsServer

NAME = "www.example.test"
SHORT = timedelta(seconds=1)
LONG = timedelta(seconds=60)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[TlsFarm]:
    with tls_farm(tmp_path) as farm:
        yield farm


def look(
    farm: TlsFarm, port: int, *, address: str = "127.0.0.1", name: str | None = NAME, timeout: timedelta = LONG
) -> Handshake | ProbeFailure:
    anchors = OpenSslTls().read_anchors(farm.ca_file)
    probe = Probe(address=address, port=port, server_name=name, timeout=timeout, trust_anchors_pem=anchors)
    [(probed, result)] = OpenSslTls().handshakes([probe])
    assert probed is probe
    return result


def trust_code(result: Handshake | ProbeFailure) -> int:
    assert isinstance(result, Handshake), result
    return result.trust_code


def failure(result: Handshake | ProbeFailure) -> tuple[str, str]:
    assert isinstance(result, ProbeFailure), result
    return result.stage, result.reason


@pytest.mark.parametrize("path", ["/dev/zero", "/nowhere/ca.pem", "/"])
def test_trust_anchors_come_from_a_file_that_ends(path: str) -> None:
    with pytest.raises(ProviderError, match="no such file"):
        OpenSslTls().read_anchors(Path(path))


def test_certificates_are_read_from_a_file_that_holds_its_key_too(farm: TlsFarm, tmp_path: Path) -> None:
    leaf = farm.ca.issue_cert(NAME)
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "live.pem")
    [der] = OpenSslTls().read_certificates(tmp_path / "live.pem")
    assert ssl.DER_cert_to_PEM_cert(der).encode() == leaf.cert_chain_pems[0].bytes().replace(b"\r\n", b"\n")


_NO_BASE64 = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nhalf", _NO_BASE64])
def test_a_certificate_file_that_cannot_be_read_is_told_by_name(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "live.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProviderError, match=r"certificate file .*live\.pem") as caught:
        OpenSslTls().read_certificates(path)
    assert caught.value.stage == "certificate_file"


def test_a_trusted_chain_is_handed_over_as_sent(farm: TlsFarm) -> None:
    result = look(farm, farm.chain_of(NAME, lambda leaf, middle, _: [leaf, middle]).port)
    assert isinstance(result, Handshake)
    assert (result.trust_code, result.trust_error, result.protocol, len(result.chain_der)) == (0, None, "TLSv1.3", 2)


def test_trust_errors_are_told_apart(farm: TlsFarm) -> None:
    assert trust_code(look(farm, farm.self_signed(NAME).port)) == 18
    assert trust_code(look(farm, farm.sends_stranger_root(NAME).port)) == 19
    assert trust_code(look(farm, farm.presents(NAME, ca=farm.stranger).port)) == 20


def test_an_expired_leaf_does_not_hide_that_its_root_is_unknown(farm: TlsFarm) -> None:
    assert trust_code(look(farm, farm.presents(NAME, EXPIRED).port)) == 10
    assert trust_code(look(farm, farm.presents(NAME, EXPIRED, ca=farm.stranger).port)) == 20


def test_of_several_faults_the_first_that_is_not_about_time_counts() -> None:
    assert gravest([]) == (0, 0)
    assert gravest([(10, 1), (9, 0)]) == (10, 1)
    assert gravest([(10, 1), (7, 0), (26, 0)]) == (7, 0)


def test_a_named_intermediate_is_anchor_enough(farm: TlsFarm) -> None:
    server = farm.chain_of(NAME, lambda leaf, _, __: [leaf])
    farm.intermediate.cert_pem.write_to_path(farm.ca_file)
    assert trust_code(look(farm, server.port)) == 0


def test_the_systems_anchors_do_not_know_a_throw_away_root(farm: TlsFarm) -> None:
    server = farm.presents(NAME)
    probe = Probe(address="127.0.0.1", port=server.port, server_name=NAME, timeout=LONG)
    [(_, result)] = OpenSslTls().handshakes([probe])
    assert trust_code(result) == 20


def test_the_server_name_chooses_the_certificate(farm: TlsFarm) -> None:
    server = farm.by_server_name(["a.example.test", "b.example.test"], otherwise="default.example.test")
    chains = [look(farm, server.port, name=name) for name in ("a.example.test", "b.example.test", "a.example.test", None)]
    seen = [result.chain_der for result in chains if isinstance(result, Handshake)]
    assert len(seen) == 4
    assert seen[0] == seen[2]
    assert len(set(seen)) == 3


def test_a_server_that_only_knows_tls_1_0_is_seen(farm: TlsFarm) -> None:
    result = look(farm, farm.speaks_only_tls_1_0(NAME).port)
    assert isinstance(result, Handshake), result
    assert result.protocol == "TLSv1"


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
def test_a_server_on_ipv6_alone_is_seen(farm: TlsFarm) -> None:
    server = farm.presents(NAME, host="::1")
    assert trust_code(look(farm, server.port, address="::1")) == 0
    assert failure(look(farm, server.port)) == ("connect", "connect_refused")


def test_a_chain_of_fifty_certificates_is_read(farm: TlsFarm) -> None:
    result = look(farm, farm.huge_chain(NAME, 50).port)
    assert isinstance(result, Handshake), result
    assert len(result.chain_der) == 51


def test_a_chain_beyond_openssls_limit_is_a_failed_handshake(farm: TlsFarm) -> None:
    assert failure(look(farm, farm.huge_chain(NAME, 400).port)) == ("handshake", "handshake_failed")


def test_each_way_to_fail_has_its_code(farm: TlsFarm) -> None:
    assert failure(look(farm, closed_port())) == ("connect", "connect_refused")
    assert failure(look(farm, farm.speaks_http().port)) == ("handshake", "not_tls")
    assert failure(look(farm, farm.closes_at_once().port)) == ("handshake", "connection_closed")
    assert failure(look(farm, farm.hangs().port, timeout=SHORT)) == ("handshake", "handshake_timeout")
    assert failure(look(farm, farm.hangs_in_the_handshake().port, timeout=SHORT)) == ("handshake", "handshake_timeout")
    assert failure(look(farm, farm.sends_garbage_certificate().port)) == ("handshake", "unparseable_certificate")


def test_a_black_hole_is_a_connect_timeout(farm: TlsFarm) -> None:
    _, port = farm.full_backlog()
    result = look(farm, port, timeout=SHORT)
    assert failure(result) == ("connect", "connect_timeout")
    assert result.elapsed >= SHORT


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL])
def test_an_address_without_a_route_is_unreachable(code: int) -> None:
    assert connect_reason(code) == "unreachable"  # no loopback address can be made to answer this


def test_any_other_refusal_of_the_kernel_is_a_failed_connect() -> None:
    assert connect_reason(errno.EINVAL) == "connect_failed"


def test_a_failure_names_address_and_time(farm: TlsFarm) -> None:
    port = closed_port()
    result = look(farm, port)
    assert isinstance(result, ProbeFailure)
    assert re.fullmatch(rf"127\.0\.0\.1:{port}: connection refused, after \d\.\d s", result.detail)


def test_hanging_servers_do_not_hold_up_the_others(farm: TlsFarm) -> None:
    hanging, healthy = farm.hangs(), farm.presents(NAME)
    probes = [_probe(server, timeout=5 * SHORT) for server in [hanging, healthy] * 20]
    results = [result for _, result in OpenSslTls().handshakes(probes)]
    assert len(results) == 40
    assert [type(result) for result in results[:20]] == [Handshake] * 20


def test_more_probes_than_may_be_open_are_all_made(farm: TlsFarm) -> None:
    server = farm.presents(NAME)
    results = list(OpenSslTls(at_once=3).handshakes(_probe(server) for _ in range(20)))
    assert [type(result) for _, result in results] == [Handshake] * 20


def test_cancelling_ends_the_probing_early(farm: TlsFarm) -> None:
    hanging, healthy = farm.hangs(), farm.presents(NAME)
    results: list[object] = []
    for _, result in OpenSslTls().handshakes([_probe(healthy), _probe(hanging, timeout=LONG)], cancelled=lambda: bool(results)):
        results.append(result)
    assert [type(result) for result in results] == [Handshake]


def test_localhost_resolves_to_loopback() -> None:
    assert "127.0.0.1" in OpenSslTls().resolve("localhost", LONG)


@pytest.mark.parametrize("name", ["nowhere.invalid", "a..b", "x" * 64 + ".test"])
def test_a_name_that_does_not_resolve_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(ProviderError, match=name.replace(".", r"\.")) as caught:
        OpenSslTls().resolve(name, LONG)
    assert caught.value.stage == "resolve"


def test_anchors_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing here\n")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for name, words in {
        "missing.pem": "cannot be read",
        "empty.pem": "no PEM certificate",
        "broken.pem": "certificate 1",
    }.items():
        with pytest.raises(ProviderError, match=f"{name}.*{words}") as caught:
            OpenSslTls().read_anchors(tmp_path / name)
        assert caught.value.stage == "anchors"


def _probe(server: TlsServer, timeout: timedelta = LONG) -> Probe:
    return Probe(address="127.0.0.1", port=server.port, server_name=NAME, timeout=timeout)
