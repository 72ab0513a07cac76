import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.certificates import JOB, CertificateEntry, CertificatesParams
from tasks.context import Entry, Handshake, ProbeFailure, Tls
from tasks.errors import Cancelled
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tasks.providers.tls import OpenSslTls
from tasks.testing import CancelSwitch, FakeClock, FakeContext, FakeTls, run_check
from tests.support.tls_farm import EXPIRED, NEARLY_EXPIRED, NOT_YET_VALID, TlsFarm, closed_port, has_ipv6, tls_farm
from worker.demo.farm import TlsServer

NAME = "www.example.test"


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[TlsFarm]:
    with tls_farm(tmp_path) as farm:
        yield farm


def entry_at(farm: TlsFarm, *places: str | TlsServer, **keys: object) -> CertificateEntry:
    addresses = [place if isinstance(place, str) else place.place for place in places]
    table = {"name": "web", "host": NAME, "addresses": addresses, "ca_file": str(farm.ca_file), "timeout_seconds": 20}
    return CertificateEntry.model_validate(table | keys)


def context(*entries: Entry, tls: Tls | None = None, cancelled: CancelSwitch | None = None) -> FakeContext:
    return FakeContext(
        job="certificates",
        selected=entries,
        clock=FakeClock(datetime.now(UTC)),
        tls=tls or OpenSslTls(),
        cancelled=cancelled or CancelSwitch(),
    )


def answers(*entries: Entry, **params: float) -> list[Answer]:
    return list(run_check(JOB, context(*entries), CertificatesParams.model_validate(params)))


def findings(*entries: Entry) -> dict[str, Severity]:
    found = [answer for answer in answers(*entries) if isinstance(answer, Finding)]
    assert len({finding.key for finding in found}) == len(found)
    return {finding.reason: finding.severity for finding in found}


def test_a_healthy_server_is_ok_at_its_address(farm: TlsFarm) -> None:
    server = farm.presents(NAME)
    [answer] = answers(entry_at(farm, server))
    assert isinstance(answer, Ok)
    assert (answer.entry, answer.subject) == ("web", f"{NAME}:443 at {server.place}")


def test_each_trouble_has_its_reason(farm: TlsFarm) -> None:
    assert findings(entry_at(farm, farm.presents(NAME, NEARLY_EXPIRED))) == {"expires_soon": Severity.CRITICAL}
    assert findings(entry_at(farm, farm.presents(NAME, EXPIRED))) == {"expired": Severity.CRITICAL}
    assert findings(entry_at(farm, farm.presents(NAME, NOT_YET_VALID))) == {"not_yet_valid": Severity.CRITICAL}
    assert findings(entry_at(farm, farm.presents("other.test"))) == {"name_mismatch": Severity.HIGH}
    assert findings(entry_at(farm, farm.sends_stranger_root(NAME))) == {"untrusted_root": Severity.HIGH}
    assert set(findings(entry_at(farm, farm.self_signed(NAME)))) == {"self_signed", "name_mismatch"}
    assert findings(entry_at(farm, farm.speaks_only_tls_1_0(NAME))) == {"old_protocol": Severity.MEDIUM}
    leaf_alone = farm.chain_of(NAME, lambda leaf, _, __: [leaf])
    assert findings(entry_at(farm, leaf_alone)) == {"missing_intermediate": Severity.HIGH}
    shuffled = farm.chain_of(NAME, lambda leaf, middle, root: [leaf, root, middle])
    assert findings(entry_at(farm, shuffled)) == {"chain_order": Severity.LOW}
    assert findings(entry_at(farm, farm.huge_chain(NAME, 50))) == {}
    assert findings(entry_at(farm, farm.sends_garbage_certificate())) == {"unparseable_certificate": Severity.HIGH}


@pytest.mark.parametrize(
    ("kind", "stage", "reason"),
    [
        (TlsFarm.hangs, "handshake", "handshake_timeout"),
        (TlsFarm.hangs_in_the_handshake, "handshake", "handshake_timeout"),
        (TlsFarm.speaks_http, "handshake", "not_tls"),
        (TlsFarm.closes_at_once, "handshake", "connection_closed"),
    ],
)
def test_a_server_that_shows_no_certificate_cannot_be_told(
    farm: TlsFarm, kind: Callable[[TlsFarm], TlsServer], stage: str, reason: str
) -> None:
    server = kind(farm)
    [answer] = answers(entry_at(farm, server, timeout_seconds=0.5))
    assert isinstance(answer, CannotTell)
    assert (answer.stage, answer.reason, answer.subject) == (stage, reason, f"{NAME}:443 at {server.place}")
    assert answer.detail.startswith(f"{server.place}: ")
    assert "after 0." in answer.detail
    assert answer.recheck is not None


def test_certificates_that_openssl_cannot_read_give_one_finding_for_all_addresses(farm: TlsFarm) -> None:
    garbage = [farm.sends_garbage_certificate() for _ in range(2)]
    [finding] = answers(entry_at(farm, *garbage))
    assert finding.reason == "unparseable_certificate"
    assert finding.evidence["addresses"] == sorted(server.place for server in garbage)


def test_a_refusing_address_says_nothing_about_the_others(farm: TlsFarm) -> None:
    refusing = f"127.0.0.1:{closed_port()}"
    told = answers(entry_at(farm, farm.presents(NAME), refusing))
    assert [type(answer) for answer in told] == [Ok, CannotTell]
    assert told[1].reason == "connect_refused"


def test_three_renewed_backends_of_four_give_one_finding_that_names_the_stale_one(farm: TlsFarm) -> None:
    renewed = [farm.presents(NAME) for _ in range(3)]
    stale = farm.presents(NAME, NEARLY_EXPIRED)
    told = answers(entry_at(farm, *renewed, stale))
    [finding] = [answer for answer in told if isinstance(answer, Finding)]
    assert (finding.reason, finding.key, finding.severity) == (
        "addresses_differ",
        f"addresses_differ:{NAME}:443",
        Severity.CRITICAL,
    )
    assert finding.evidence["stale_addresses"] == [stale.place]
    assert f"not at 1 of 4 addresses ({stale.place})" in finding.title
    assert {answer.subject for answer in told if isinstance(answer, Ok)} == {
        f"{NAME}:443 at {server.place}" for server in renewed
    }


def test_a_renewal_that_reached_no_backend_is_told_once(farm: TlsFarm) -> None:
    told = answers(entry_at(farm, *(farm.presents(NAME, NEARLY_EXPIRED) for _ in range(4))))
    [finding] = told
    assert isinstance(finding, Finding)
    assert (finding.reason, finding.key) == ("expires_soon", f"expires_soon:{NAME}:443")
    assert isinstance(finding.evidence["addresses"], list)
    assert len(finding.evidence["addresses"]) == 4


def test_nodes_with_certificates_of_their_own_that_renew_days_apart_are_ok(farm: TlsFarm) -> None:
    now = datetime.now(UTC)
    apart = [(now - timedelta(days=age), now - timedelta(days=age) + timedelta(days=90)) for age in (1, 4)]
    told = answers(entry_at(farm, *(farm.presents(NAME, validity) for validity in apart)))
    assert [type(answer) for answer in told] == [Ok, Ok]


def test_a_trouble_at_some_addresses_names_them(farm: TlsFarm) -> None:
    wrong = farm.presents("other.test")
    told = answers(entry_at(farm, farm.presents(NAME), wrong))
    [finding] = [answer for answer in told if isinstance(answer, Finding)]
    assert finding.title.endswith(f"(at {wrong.place})")
    assert finding.evidence["addresses"] == [wrong.place]


def test_the_key_outlives_a_renewal_and_a_move(farm: TlsFarm) -> None:
    first, second = (answers(entry_at(farm, farm.presents(NAME, EXPIRED)))[0] for _ in range(2))
    assert isinstance(first, Finding)
    assert isinstance(second, Finding)
    assert first.evidence["sha256"] != second.evidence["sha256"]
    assert first.key == second.key


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
def test_ipv4_and_ipv6_are_both_looked_at(farm: TlsFarm) -> None:
    told = answers(entry_at(farm, farm.presents(NAME), farm.presents(NAME, EXPIRED, host="::1")))
    assert sorted(answer.reason for answer in told) == ["addresses_differ", "ok"]


def test_a_server_name_other_than_the_host_is_asked_for_and_expected(farm: TlsFarm) -> None:
    server = farm.by_server_name([NAME], otherwise="default.test")
    assert findings(entry_at(farm, server)) == {}
    assert findings(entry_at(farm, server, server_name="default.test")) == {}
    assert set(findings(entry_at(farm, server, server_name="third.test"))) == {"name_mismatch"}


def test_thresholds_of_the_entry_go_before_those_of_the_run(farm: TlsFarm) -> None:
    server = farm.presents(NAME)
    [own] = answers(entry_at(farm, server, warn_below=0.999), warn_below=0.5)
    [told] = answers(entry_at(farm, server), warn_below=0.999)
    [quiet] = answers(entry_at(farm, server), warn_below=0.5)
    assert (own.reason, told.reason, quiet.reason) == ("expires_soon", "expires_soon", "ok")
    [expiring] = answers(entry_at(farm, server, warn_below=0.5), warn_below=0.999)
    assert expiring.reason == "ok"


def test_a_ca_file_that_cannot_be_read_cannot_be_told(farm: TlsFarm) -> None:
    [answer] = answers(entry_at(farm, farm.presents(NAME), ca_file=str(farm.folder / "missing.pem")))
    assert isinstance(answer, CannotTell)
    assert (answer.stage, answer.reason) == ("anchors", "ca_unreadable")


def test_a_host_that_does_not_resolve_or_has_no_address_cannot_be_told() -> None:
    entries = [CertificateEntry.model_validate(host) for host in ("nowhere.test", "empty.test")]
    told = list(run_check(JOB, context(*entries, tls=FakeTls(addresses={"empty.test": []})), CertificatesParams()))
    assert [(answer.reason, answer.subject) for answer in told] == [
        ("resolve_failed", "nowhere.test:443"),
        ("no_addresses", "empty.test:443"),
    ]


def test_every_resolved_address_is_looked_at() -> None:
    tls = FakeTls(addresses={NAME: ["192.0.2.7", "2001:db8::7"]})
    told = list(run_check(JOB, context(CertificateEntry.model_validate(NAME), tls=tls), CertificatesParams()))
    assert [answer.subject for answer in told] == [f"{NAME}:443 at 192.0.2.7", f"{NAME}:443 at 2001:db8::7"]
    assert [(probe.address, probe.port, probe.server_name) for probe in tls.probed] == [
        ("192.0.2.7", 443, NAME),
        ("2001:db8::7", 443, NAME),
    ]


def test_two_entries_of_one_place_share_a_probe_and_both_get_an_answer(farm: TlsFarm) -> None:
    server = farm.presents(NAME)
    told = answers(entry_at(farm, server), entry_at(farm, server, name="again"))
    assert sorted(answer.entry for answer in told) == ["again", "web"]


def test_progress_counts_entries(farm: TlsFarm) -> None:
    server = farm.presents(NAME)
    ctx = context(entry_at(farm, server, server), entry_at(farm, server, name="gone", ca_file="/nowhere/ca.pem"))
    list(run_check(JOB, ctx, CertificatesParams()))
    assert [report[:2] for report in ctx.progress.reports] == [(1, 2), (2, 2)]


def test_history_keeps_the_leaf_of_every_address(farm: TlsFarm) -> None:
    server = farm.presents(NAME)
    ctx = context(entry_at(farm, server))
    [answer] = run_check(JOB, ctx, CertificatesParams())
    [(subject, name, value)] = ctx.history.recorded
    assert (subject, name) == (f"{NAME}:443 at {server.place}", "leaf")
    assert isinstance(value, dict)
    assert {key: value[key] for key in ("sha256", "not_after")} == {key: answer.evidence[key] for key in ("sha256", "not_after")}


def test_a_cancelled_run_stops_at_a_boundary(farm: TlsFarm) -> None:
    entries = [entry_at(farm, farm.presents(NAME)), entry_at(farm, farm.hangs(), name="hangs")]
    ctx = context(*entries, cancelled=CancelSwitch(after=6))
    with pytest.raises(Cancelled):
        list(run_check(JOB, ctx, CertificatesParams()))


def test_evidence_is_json_and_bounded(farm: TlsFarm) -> None:
    told = answers(entry_at(farm, farm.huge_chain(NAME, 50)), entry_at(farm, farm.presents("other.test", EXPIRED), name="b"))
    for answer in told:
        text = json.dumps(dict(answer.evidence))
        assert len(text) < 8000
    evidence = next(dict(answer.evidence) for answer in told if answer.entry == "web")
    assert evidence["chain_depth"] == 51
    assert evidence["names"] == [NAME]


def test_the_line_to_check_again_shows_the_same_certificate(farm: TlsFarm) -> None:
    [answer] = answers(entry_at(farm, farm.presents(NAME, EXPIRED)))
    assert answer.recheck is not None
    shown = subprocess.run(["bash", "-c", answer.recheck], capture_output=True, text=True, timeout=30, check=True).stdout
    assert f"DNS:{NAME}" in shown
    assert "notAfter=" in shown


def test_the_line_to_check_again_quotes_what_the_estate_says(farm: TlsFarm) -> None:
    folder = farm.folder / "a b; touch $(pwned)"
    folder.mkdir()
    moved = farm.ca_file.rename(folder / "ca.pem")
    [answer] = answers(entry_at(farm, farm.presents(NAME), ca_file=str(moved)))
    assert answer.recheck is not None
    assert str(moved) in shlex.split(answer.recheck)


def test_failures_and_handshakes_of_a_fake_are_judged_alike() -> None:
    """Ten thousand addresses would take a real farm too long; that every one is answered does not need it."""
    seconds = timedelta(seconds=1)
    failure = ProbeFailure(stage="connect", reason="connect_timeout", detail="x", elapsed=seconds)
    shown = Handshake(chain_der=(b"",), protocol="TLSv1.3", cipher="x", trust_error=None, trust_code=0, elapsed=seconds)
    addresses = [f"127.0.{number // 256}.{number % 256}" for number in range(10_000)]
    results = {(address, 443): failure if number % 2 else shown for number, address in enumerate(addresses)}
    tls = FakeTls(addresses={NAME: addresses}, results=results)
    told = list(run_check(JOB, context(CertificateEntry.model_validate(NAME), tls=tls), CertificatesParams()))
    assert [type(answer) for answer in told].count(CannotTell) == 5000
    [finding] = [answer for answer in told if isinstance(answer, Finding)]
    assert finding.reason == "unparseable_certificate"
