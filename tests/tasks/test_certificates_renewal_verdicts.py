"""What looking again says after a renewal, and what the probes say when nobody wrote down how a step ended."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.certificates.renewal.verifying import Standing, verdict
from tasks.errors import Cancelled
from tasks.model import ProbeVerdict, Verification, VerificationVerdict
from tasks.testing import CancelSwitch
from tests.support.tls_farm import FRESH, NEARLY_EXPIRED, NOW
from tests.tasks.renewals import Shop

RENEWED = (NOW - timedelta(minutes=5), NOW + timedelta(days=90))
EARLIER = (NOW - timedelta(days=88), NOW + timedelta(days=2))
LATER_BUT_SOON = (NOW - timedelta(days=85), NOW + timedelta(days=5))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as servers:
        yield Shop(tmp_path, servers)


@pytest.fixture
def pair(shop: Shop) -> Shop:
    """Two addresses, both with the same nearly expired certificate."""
    shop.serve(NEARLY_EXPIRED, NEARLY_EXPIRED)
    shop.served[0].write_bytes(shop.live.read_bytes())
    shop.issue(shop.folder / "new.pem", RENEWED)
    return shop


@pytest.fixture
def half(shop: Shop) -> Shop:
    """Two addresses: the first was renewed a day ago, the second was not."""
    shop.serve(FRESH, NEARLY_EXPIRED)
    shop.issue(shop.folder / "new.pem", RENEWED)
    return shop


def standing(verification: Verification, address: str) -> object:
    addresses = verification.evidence["addresses"]
    assert isinstance(addresses, dict)
    return addresses[address]["standing"]


def test_a_half_renewed_name_is_verified_when_both_addresses_serve_the_new_one(half: Shop) -> None:
    verification = half.carry_out(half.entry("cp new.pem live.pem"))
    assert verification.verdict is VerificationVerdict.VERIFIED
    assert [standing(verification, address) for address in half.addresses] == ["fine", "renewed"]


def test_a_renewal_that_changes_nothing_is_unchanged_however_well_it_ended(pair: Shop) -> None:
    verification = pair.carry_out(pair.entry("exit 0"))
    assert verification.verdict is VerificationVerdict.UNCHANGED
    for address in pair.addresses:
        assert f"{address} is as it was: the same certificate, valid until {NEARLY_EXPIRED[1]:%Y-%m-%d}" in verification.detail


def test_one_address_that_was_not_reloaded_is_partial_and_named_first(pair: Shop) -> None:
    verification = pair.carry_out(pair.entry("cp new.pem live.pem", "first"))
    assert verification.verdict is VerificationVerdict.PARTIAL
    assert verification.detail.startswith(f"{pair.addresses[1]} is as it was")
    assert f"{pair.addresses[0]} is renewed" in verification.detail
    # By hand one looks where it is not as it should be, not where it is.
    (line,) = verification.rechecks
    assert f"-connect {pair.addresses[1]} " in line


def test_a_certificate_that_expires_earlier_is_worse(pair: Shop) -> None:
    pair.issue(pair.folder / "new.pem", EARLIER)
    assert pair.carry_out(pair.entry("cp new.pem live.pem")).verdict is VerificationVerdict.WORSE


def test_a_certificate_for_another_name_is_worse(pair: Shop) -> None:
    pair.issue(pair.folder / "new.pem", RENEWED, "other.example.test")
    verification = pair.carry_out(pair.entry("cp new.pem live.pem"))
    assert verification.verdict is VerificationVerdict.WORSE
    assert "(name_mismatch)" in verification.detail


def test_a_certificate_that_lasts_longer_but_still_not_long_enough_is_not_verified(pair: Shop) -> None:
    pair.issue(pair.folder / "new.pem", LATER_BUT_SOON)
    verification = pair.carry_out(pair.entry("cp new.pem live.pem"))
    assert verification.verdict is VerificationVerdict.PARTIAL
    assert "not mended" in verification.detail


def test_the_address_that_was_well_must_not_get_an_older_certificate(half: Shop) -> None:
    """Every address serves a certificate in order, and one of them a day less long than it did."""
    shorter = (FRESH[0], FRESH[1] - timedelta(days=1))
    half.issue(half.folder / "new.pem", shorter)
    verification = half.carry_out(half.entry("cp new.pem live.pem"))
    assert verification.verdict is VerificationVerdict.WORSE
    assert [standing(verification, address) for address in half.addresses] == ["worse", "renewed"]


def test_the_address_that_was_well_must_pass_the_checks(half: Shop) -> None:
    half.issue(half.folder / "wrong.pem", RENEWED, "other.example.test")
    entry = half.entry("cp new.pem live.pem", "cp live.pem served-1.pem && cp wrong.pem served-0.pem")
    verification = half.carry_out(entry)
    assert (verification.verdict, standing(verification, half.addresses[0])) == (VerificationVerdict.WORSE, "worse")


def test_an_address_that_does_not_answer_any_more_cannot_be_told(pair: Shop) -> None:
    entry = pair.entry("cp new.pem live.pem")
    plan, _ = pair.plan(entry)
    for step in plan.steps:
        pair.apply(entry, step)
    pair.servers[1].close()
    verification = pair.verify(entry, plan)
    assert verification.verdict is VerificationVerdict.CANNOT_TELL
    assert pair.addresses[1] in verification.detail


def test_an_address_that_the_estate_lost_is_looked_at_all_the_same(pair: Shop) -> None:
    plan, _ = pair.plan(pair.entry("true"))
    pair.issue(pair.served[0], RENEWED)
    fewer = pair.entry("true", addresses=pair.addresses[:1])
    assert pair.verify(fewer, plan).verdict is VerificationVerdict.PARTIAL


def test_it_is_looked_again_until_the_server_has_taken_it(pair: Shop) -> None:
    entry = pair.entry("cp new.pem live.pem", "true")
    plan, _ = pair.plan(entry)

    def taken(seconds: float) -> None:
        pair.time.sleep(seconds)
        for path in pair.served:
            path.write_bytes((pair.folder / "new.pem").read_bytes())

    patient = replace(pair.remedy, sleep=taken)
    assert patient.verify(pair.context(entry), plan, []).verdict is VerificationVerdict.VERIFIED
    assert pair.time.slept == [1.0]


def test_it_is_not_looked_again_beyond_the_time_that_the_entry_gives(pair: Shop) -> None:
    entry = pair.entry("true", verify_timeout_seconds=3)
    plan, _ = pair.plan(entry)
    assert pair.verify(entry, plan).verdict is VerificationVerdict.UNCHANGED
    assert pair.time.slept == [1.0, 1.0, 1.0]


def test_a_cancelled_verification_stops_between_two_looks(pair: Shop) -> None:
    entry = pair.entry("true")
    plan, _ = pair.plan(entry)
    with pytest.raises(Cancelled):
        pair.remedy.verify(pair.context(entry, cancelled=CancelSwitch(after=0)), plan, [])


def test_the_file_tells_whether_a_renewal_happened(pair: Shop) -> None:
    entry = pair.entry("true")
    plan, _ = pair.plan(entry)
    ctx, renew = pair.context(entry), plan.steps[0]
    assert pair.remedy.probe(ctx, renew) is ProbeVerdict.DID_NOT
    pair.issue(pair.live, RENEWED)
    assert pair.remedy.probe(ctx, renew) is ProbeVerdict.HAPPENED
    pair.issue(pair.live, EARLIER)
    assert pair.remedy.probe(ctx, renew) is ProbeVerdict.UNKNOWN
    pair.live.write_text("-----BEGIN CERTIFICATE-----\nhalf")
    assert pair.remedy.probe(ctx, renew) is ProbeVerdict.UNKNOWN
    pair.live.unlink()
    assert pair.remedy.probe(ctx, renew) is ProbeVerdict.UNKNOWN


def test_without_a_file_nobody_knows_whether_a_renewal_happened(pair: Shop) -> None:
    entry = pair.entry("true", certificate_file=None)
    plan, _ = pair.plan(entry)
    assert pair.remedy.probe(pair.context(entry), plan.steps[0]) is ProbeVerdict.UNKNOWN


def test_what_is_served_tells_whether_a_reload_happened(pair: Shop) -> None:
    entry = pair.entry("true")
    plan, _ = pair.plan(entry)
    ctx, reload = pair.context(entry), plan.steps[1]
    assert pair.remedy.probe(ctx, reload) is ProbeVerdict.DID_NOT
    pair.issue(pair.served[0], RENEWED)
    assert pair.remedy.probe(ctx, reload) is ProbeVerdict.UNKNOWN
    pair.issue(pair.served[1], RENEWED)
    assert pair.remedy.probe(ctx, reload) is ProbeVerdict.HAPPENED
    pair.servers[0].close()
    assert pair.remedy.probe(ctx, reload) is ProbeVerdict.UNKNOWN


def test_nothing_is_undone(pair: Shop) -> None:
    entry = pair.entry("true")
    plan, _ = pair.plan(entry)
    assert pair.remedy.undo(plan.steps[0], pair.apply(entry, plan.steps[0])) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], "cannot_tell"),
        ([Standing.RENEWED, Standing.FINE], "verified"),
        ([Standing.FINE, Standing.UNCHANGED], "unchanged"),
        ([Standing.RENEWED, Standing.UNCHANGED], "partial"),
        ([Standing.RENEWED, Standing.CANNOT_TELL], "cannot_tell"),
        ([Standing.UNCHANGED, Standing.CANNOT_TELL], "cannot_tell"),
        ([Standing.WORSE, Standing.CANNOT_TELL, Standing.RENEWED], "worse"),
    ],
)
def test_the_worst_standing_decides(there: list[Standing], expected: str) -> None:
    assert verdict({str(number): standing for number, standing in enumerate(there)}) == expected
