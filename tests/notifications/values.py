"""Messages, findings and nights to arrange tests with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from notifications.digest import Night
from notifications.findings import FindingFacts
from notifications.message import Button, Field, Line, Message, MessageKind, Section

NOW = datetime(2026, 11, 21, 2, 14, tzinfo=UTC)
CONSOLE = "https://night.example.org"
HOUR = timedelta(hours=1)

MESSAGE = Message(
    id="f1-finding_opened-20261121T021400Z",
    kind=MessageKind.FINDING_OPENED,
    title="CRITICAL: www.example.org expired 2 days ago",
    body="Zürich reads: the certificate ended on 19 Nov.",
    severity="critical",
    fields=[Field("Reason", "expired")],
    sections=[Section("Seen at", [Line("192.0.2.7", "https://night.example.org/runs/r1")], "high")],
    buttons=[Button("Open the finding", "https://night.example.org/findings/f1")],
    at=NOW,
    thread="finding-f1",
    data={"id": "f1", "reason": "expired"},
)

FINDING = FindingFacts(
    id="f1",
    job="certificates",
    entry="www",
    subject="www.example.org:443 at 192.0.2.7",
    reason="expired",
    severity="high",
    title="www.example.org expired 2 days ago",
    detail="The certificate ended on 19 Nov.",
    environment="production",
    owner="web",
    labels={"tier": "front", "site": "zrh"},
    opened_at=NOW,
    recheck="openssl s_client -connect 192.0.2.7:443",
)

NIGHT = Night(
    since=NOW - 18 * HOUR,
    until=NOW + 6 * HOUR,
    zone=ZoneInfo("Europe/Zurich"),
    expected=98,
    looked_at=98,
    ok=98,
    console_url=CONSOLE,
)


def finding(**changes: Any) -> FindingFacts:
    return replace(FINDING, **changes)


def night(**changes: Any) -> Night:
    return replace(NIGHT, **changes)


def message(**changes: Any) -> Message:
    return replace(MESSAGE, **changes)
