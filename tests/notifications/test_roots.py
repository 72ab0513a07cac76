"""One root is told once."""

from dataclasses import replace
from datetime import UTC, datetime

from notifications.digest import Night, digest_message
from notifications.findings import FindingFacts
from notifications.roots import by_root, same_in

AT = datetime(2026, 11, 21, 2, tzinfo=UTC)
CAUSE = "provider_upgrade:aws 6.2.0 → 6.3.0"
ONE = FindingFacts(
    id="f0", job="drift", entry="s0", subject="lab/s0", reason="provider_upgrade", cause=CAUSE, severity="info",
    title="lab/s0: aws 6.2.0 → 6.3.0: 3 properties that nobody wrote differ", environment="production", owner="ana", opened_at=AT,
)  # fmt: skip
FORTY = [replace(ONE, id=f"f{number}", entry=f"s{number:02}", subject=f"lab/s{number:02}") for number in range(40)]


def test_a_provider_upgrade_in_forty_stacks_is_one_line_of_the_digest() -> None:
    drift = replace(ONE, id="d", reason="drift", cause="drift", title="lab/s1: a: size 1 → 9")
    night = Night(
        since=AT, until=AT, zone=UTC, expected=40, looked_at=40, new=[*FORTY, drift], console_url="https://night.example"
    )
    message = digest_message(night)
    [new] = [section for section in message.sections if section.heading.startswith("New")]
    assert new.heading == "New (2)"
    assert [line.text for line in new.lines] == [
        "info: lab/s1: a: size 1 → 9 [drift] (production, ana)",
        "info: aws 6.2.0 → 6.3.0, the same in 40: lab/s00, lab/s01, lab/s02 and 37 more [provider_upgrade] (production, ana)",
    ]
    assert "2 new findings" in message.title


def test_a_cause_that_names_no_root_is_about_its_subject_alone() -> None:
    renewals = [replace(one, job="certificates", reason="expires_soon", cause="renewal_due") for one in FORTY]
    assert len(by_root(renewals)) == 40


def test_environments_are_not_told_together() -> None:
    assert len(by_root([ONE, replace(ONE, id="x", environment="staging")])) == 2


def test_one_alone_is_told_as_it_is() -> None:
    assert by_root([ONE]) == [[ONE]]
    assert same_in([ONE]) == "the same in 1: lab/s0"
