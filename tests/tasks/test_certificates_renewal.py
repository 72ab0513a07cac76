"""The remedy `renew`, on real TLS servers with real renewal programs: what is planned, done and seen."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.certificates import JOB, CertificatesParams
from tasks.errors import ProviderError, StepFailed
from tasks.model import VerificationVerdict
from tasks.testing import FakeCommands, finished, read_only
from tests.support.tls_farm import EXPIRED, FRESH, NEARLY_EXPIRED, NOW, closed_port
from tests.tasks.renewals import NAME, Shop

RENEWED = (NOW - timedelta(minutes=5), NOW + timedelta(days=90))
CANARY = 'canary-"9b1d"-é/äß'


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as servers:
        yield Shop(tmp_path, servers)


@pytest.fixture
def due(shop: Shop) -> Shop:
    """One address, nearly expired; `new.pem` is what a renewal would bring."""
    shop.serve(NEARLY_EXPIRED)
    shop.issue(shop.folder / "new.pem", RENEWED)
    return shop


@pytest.fixture
def half(shop: Shop) -> Shop:
    """Two addresses: the first was renewed a day ago, the second was not."""
    shop.serve(FRESH, NEARLY_EXPIRED)
    shop.issue(shop.folder / "new.pem", RENEWED)
    return shop


def test_a_renewal_that_is_taken_by_the_server_is_verified(due: Shop) -> None:
    verification = due.carry_out(due.entry("cp new.pem live.pem"))
    assert verification.verdict is VerificationVerdict.VERIFIED
    assert f"{due.addresses[0]} is renewed" in verification.detail


def test_the_job_has_the_remedy() -> None:
    assert type(JOB.remedy).__name__ == "Renewal"


def test_the_plan_pins_what_every_address_serves_and_names_no_value_of_the_environment(half: Shop) -> None:
    entry = half.entry("true", renew_env={"TOKEN": "env:DNS_TOKEN", "ZONE": "zone-in-clear"})
    plan, _ = half.plan(entry)
    renew, reload = plan.steps
    before = renew.before
    assert isinstance(before, dict)
    assert list(before["addresses"]) == sorted(half.addresses)
    assert before["due"] == [half.addresses[1]]
    assert renew.arguments["environment"] == {"TOKEN": "env:DNS_TOKEN"}
    assert "zone-in-clear" not in json.dumps([asdict(step) for step in plan.steps])
    assert (renew.target, renew.action, reload.action, reload.depends_on) == (f"{NAME}:443", "renew", "reload", ("renew",))


def test_however_many_reasons_and_addresses_a_name_has_one_plan_mends_them(shop: Shop) -> None:
    shop.serve(NEARLY_EXPIRED, EXPIRED)
    entry = shop.entry("true")
    findings = shop.findings(entry)
    assert {finding.reason for finding in findings} == {"expires_soon", "expired"}
    plan, _ = shop.plan(entry, findings)
    assert plan.finding_keys == tuple(sorted(finding.key for finding in findings))
    before = plan.steps[0].before
    assert isinstance(before, dict)
    assert before["due"] == sorted(shop.addresses)


def test_the_same_world_gives_the_same_plan_byte_for_byte_and_a_moved_one_another(half: Shop) -> None:
    entry = half.entry("true")
    findings = half.findings(entry)
    first, again = (json.dumps(asdict(half.plan(entry, findings)[0])) for _ in range(2))
    assert first == again
    half.issue(half.served[0], RENEWED)
    assert json.dumps(asdict(half.plan(entry, findings)[0])) != first


def test_a_value_in_clear_that_moves_makes_another_plan(due: Shop) -> None:
    plans = [due.plan(due.entry("true", renew_env={"ZONE": zone}))[0] for zone in ("a", "b")]
    assert plans[0] != plans[1]


def test_the_simulation_shows_command_target_and_both_validities(half: Shop) -> None:
    _, simulation = half.plan(half.entry("cp new.pem live.pem", renew_env={"TOKEN": "env:DNS_TOKEN"}))
    until = f"{NEARLY_EXPIRED[1]:%Y-%m-%d}"
    for words in (
        "cp new.pem live.pem",
        f"renew {NAME}:443",
        *half.addresses,
        until,
        "90 days",
        "TOKEN (from env:DNS_TOKEN)",
        "300 s",
    ):
        assert words in simulation.text
    assert any("cannot be taken back" in sentence for sentence in simulation.irreversible)


def test_without_a_renewal_command_there_is_no_remedy(due: Shop) -> None:
    assert due.maybe_plan(due.entry("true", None, renew_command=[])) is None


def test_a_finding_that_no_renewal_mends_gets_no_plan(due: Shop) -> None:
    entry = due.entry("true")
    [finding] = due.findings(entry)
    assert due.maybe_plan(entry, [replace(finding, reason="name_mismatch")]) is None


def test_what_was_renewed_meanwhile_gets_no_plan(due: Shop) -> None:
    entry = due.entry("true")
    findings = due.findings(entry)
    due.issue(due.served[0], RENEWED)
    assert due.maybe_plan(entry, findings) is None


def test_an_address_that_cannot_be_looked_at_makes_no_plan(due: Shop) -> None:
    entry = due.entry("true", addresses=[*due.addresses, f"127.0.0.1:{closed_port()}"])
    with pytest.raises(ProviderError, match="no plan without a look at every address"):
        due.plan(entry)


def test_a_file_that_is_newer_than_what_is_served_only_needs_the_reload(half: Shop) -> None:
    half.issue(half.live, RENEWED)
    entry = half.entry("exit 9")
    plan, simulation = half.plan(entry)
    assert [step.action for step in plan.steps] == ["reload"]
    assert "lies in the file already" in simulation.text
    assert half.carry_out(entry).verdict is VerificationVerdict.VERIFIED


@pytest.mark.parametrize("name", ["expired", "wrong name"])
def test_a_file_that_is_not_in_order_is_renewed_all_the_same(due: Shop, name: str) -> None:
    validity, host = (EXPIRED, NAME) if name == "expired" else (RENEWED, "other.example.test")
    due.issue(due.live, validity, host)
    assert [step.action for step in due.plan(due.entry("true"))[0].steps] == ["renew", "reload"]


def test_plan_probe_and_verification_run_no_program_and_apply_does(due: Shop) -> None:
    entry = due.entry("true", None)
    plan, _ = due.plan(entry)
    commands = FakeCommands({entry.renew_command: finished("done")})
    findings, reading = due.findings(entry), due.context(entry, commands=commands)
    with read_only(reading):
        due.remedy.plan(reading, CertificatesParams(), findings)
        due.remedy.still(reading, plan.steps[0])
        due.remedy.probe(reading, plan.steps[0])
        due.remedy.verify(reading, plan, [])
    assert commands.ran == []
    due.apply(entry, plan.steps[0], due.apply_context(entry, commands=commands))
    assert [command.outlives for command in commands.ran] == [True]


def test_the_receipt_says_how_it_ended_and_what_the_file_holds_then(due: Shop) -> None:
    entry = due.entry("cp new.pem live.pem")
    plan, _ = due.plan(entry)
    proof = due.apply(entry, plan.steps[0]).proof
    assert proof["exit_code"] == 0
    file = proof["certificate_file"]
    assert isinstance(file, dict)
    assert str(file["not_after"]).startswith(f"{RENEWED[1]:%Y-%m-%d}")


@pytest.mark.parametrize(
    ("script", "keys", "words"),
    [
        ("echo no such zone >&2; exit 3", {}, "ended with exit code 3 .*no such zone"),
        ("exec sleep 60", {"renew_timeout_seconds": 0.3}, r"did not end within 0\.3 s"),
        ("yes", {"renew_output_limit_kb": 1}, "printed more than 1 KiB"),
        ("kill -9 $$", {}, "ended by signal 9"),
        ("x", {"renew_command": ["/no/such/program"]}, "was not started"),
    ],
)
def test_a_renewal_that_fails_says_how(due: Shop, script: str, keys: dict[str, Any], words: str) -> None:
    entry = due.entry(script, **keys)
    plan, _ = due.plan(entry)
    with pytest.raises(StepFailed, match=f"(?s){words}"):
        due.apply(entry, plan.steps[0])


def test_a_secret_is_read_for_apply_alone_and_masked_wherever_it_is_printed(due: Shop) -> None:
    entry = due.entry('echo "$TOKEN"; echo "$TOKEN" >&2; exit 1', renew_env={"TOKEN": "env:DNS_TOKEN"})
    plan, simulation = due.plan(entry)
    ctx = due.apply_context(entry, secrets={"env:DNS_TOKEN": CANARY})
    with pytest.raises(StepFailed) as caught:
        due.apply(entry, plan.steps[0], ctx)
    assert ctx.artifacts.kept.keys() == ctx.artifacts.secret == {"shop.renew.stdout.txt", "shop.renew.stderr.txt"}
    for text in (str(caught.value), repr(plan), repr(simulation), *(kept.decode() for kept in ctx.artifacts.kept.values())):
        assert CANARY not in text
    assert "***" in str(caught.value)


def test_what_a_renewal_is_passed_on_is_masked_and_its_output_kept_encrypted(due: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CF_API_TOKEN", CANARY)
    entry = due.entry("echo $CF_API_TOKEN; echo sent $CF_API_TOKEN >&2; exit 3", renew_pass_env=["CF_API_TOKEN"])
    plan, _ = due.plan(entry)
    ctx = due.apply_context(entry)
    with pytest.raises(StepFailed, match=r"sent \*\*\*$"):
        due.apply(entry, plan.steps[0], ctx)
    assert ctx.artifacts.secret == {"shop.renew.stdout.txt", "shop.renew.stderr.txt"}
    assert set(ctx.artifacts.kept.values()) == {b"***\n", b"sent ***\n"}


def test_a_secret_that_cannot_be_read_starts_nothing(due: Shop) -> None:
    entry = due.entry("cp new.pem live.pem", renew_env={"TOKEN": "env:DNS_TOKEN"})
    plan, _ = due.plan(entry)
    before = due.live.read_bytes()
    with pytest.raises(StepFailed, match="was not started: env:DNS_TOKEN"):
        due.apply(entry, plan.steps[0])
    assert due.live.read_bytes() == before


def test_another_command_than_was_approved_is_not_started(due: Shop) -> None:
    plan, _ = due.plan(due.entry("true"))
    with pytest.raises(StepFailed, match="another command than was approved"):
        due.apply(due.entry("cp new.pem live.pem"), plan.steps[0])


def test_a_server_that_moved_since_the_plan_does_not_keep_the_precondition(due: Shop) -> None:
    entry = due.entry("true")
    (renew, reload), ctx = due.plan(entry)[0].steps, due.context(entry)
    assert due.remedy.still(ctx, renew)
    written = due.live.read_bytes()
    due.issue(due.live, RENEWED)
    assert not due.remedy.still(ctx, renew)
    due.live.write_bytes(written)
    assert due.remedy.still(ctx, renew)
    due.issue(due.served[0], RENEWED)
    assert not due.remedy.still(ctx, renew)
    assert due.remedy.still(ctx, reload)
    due.servers[0].close()
    with pytest.raises(ProviderError):
        due.remedy.still(ctx, renew)


def test_the_environment_is_the_one_that_the_entry_lists(due: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIEN", "x")
    entry = due.entry("/usr/bin/env > environment", renew_env={"ZONE": "a"}, renew_pass_env=["PATH"])
    plan, _ = due.plan(entry)
    due.apply(entry, plan.steps[0])
    names = {line.partition("=")[0] for line in (due.folder / "environment").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"ZONE", "PATH"}
