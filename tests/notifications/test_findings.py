from datetime import timedelta

from notifications import render
from notifications.findings import finding_message
from notifications.message import Button, MessageKind
from tests.notifications.values import CONSOLE, FINDING, HOUR, NOW, finding


def test_an_opening_says_what_where_why_and_how_to_look_again() -> None:
    said = finding_message(MessageKind.FINDING_OPENED, FINDING, CONSOLE + "/", now=NOW + HOUR)

    assert said.title == "HIGH: www.example.org expired 2 days ago"
    assert said.severity == "high"
    assert said.thread == "finding-f1"
    assert said.buttons == [Button("Open the finding", "https://night.example.org/findings/f1")]
    text = render.text(said)
    for fact in (
        FINDING.subject,
        "expired",
        "production",
        "web",
        "site=zrh, tier=front",
        "21 Nov 2026 02:14 UTC",
        str(FINDING.recheck),
    ):
        assert fact in text


def test_an_opening_and_an_end_keep_their_ids_whenever_they_are_said() -> None:
    resolved = finding(state="resolved", resolved_at=NOW + HOUR)
    for kind, facts in ((MessageKind.FINDING_OPENED, FINDING), (MessageKind.FINDING_RESOLVED, resolved)):
        first, second = (finding_message(kind, facts, CONSOLE, now=NOW + timedelta(hours=n)) for n in (1, 9))  # type: ignore[arg-type]
        assert first.id == second.id


def test_each_reminder_is_a_message_of_its_own_in_the_same_thread() -> None:
    first, second = (finding_message(MessageKind.FINDING_REMINDED, FINDING, CONSOLE, now=NOW + n * HOUR) for n in (24, 48))

    assert first.id != second.id
    assert first.thread == second.thread
    assert first.title == "STILL OPEN, HIGH: www.example.org expired 2 days ago"


def test_an_end_is_green_and_says_when() -> None:
    said = finding_message(
        MessageKind.FINDING_RESOLVED, finding(state="resolved", resolved_at=NOW + HOUR), CONSOLE, now=NOW + HOUR
    )

    assert (said.title, said.severity) == ("RESOLVED: www.example.org expired 2 days ago", "ok")
    assert "Resolved: 21 Nov 2026 03:14 UTC" in render.text(said)
    assert said.data["resolved_at"] == "2026-11-21T03:14:00+00:00"


def test_a_finding_without_owner_says_so() -> None:
    assert "Owner: nobody" in render.text(finding_message(MessageKind.FINDING_OPENED, finding(owner=""), CONSOLE, now=NOW))


def test_news_of_a_drift_shows_what_differs_and_its_end_does_not() -> None:
    change = {"name": "logs", "type": "cloud:Bucket", "path": "size", "desired": 5, "last_known": 5, "actual": 9}
    drifted = finding(evidence={"changes": [change] * 12}, resolved_at=NOW)
    told = finding_message(MessageKind.FINDING_OPENED, drifted, CONSOLE, now=NOW).output.splitlines()
    assert told[:3] == ["  logs size (cloud:Bucket)", "- desired: 5", "+ actual: 9"]
    assert told[-1] == "and 2 more"
    assert finding_message(MessageKind.FINDING_RESOLVED, drifted, CONSOLE, now=NOW).output == ""
