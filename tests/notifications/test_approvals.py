from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifications import render
from notifications.approvals import (
    ApprovalFacts,
    ApprovalKind,
    Mended,
    Said,
    approval_message,
    for_person,
    with_link,
)
from notifications.message import Message, MessageKind, Recipient
from tests.notifications.values import CONSOLE, NOW

HOUR = timedelta(hours=1)
SAID = Said(person="ana", choice="approve", at=NOW + HOUR, via="link", reason="before the weekend")
REQUEST = ApprovalFacts(
    id="a1",
    title="renew the certificate of www.example.org with certbot, then reload nginx",
    job="certificates",
    entry="www",
    subject="www.example.org:443",
    cause="expires_soon",
    environment="production",
    owner="web",
    labels={"tier": "front"},
    risk="medium",
    risk_reasons=["renew (run certbot) can be made again, under a new identity (R2)"],
    irreversible=["The old key is gone."],
    simulation="~ certbot renew --cert-name www\n- notAfter: 2026-11-24\n+ notAfter: 2027-02-22",
    rule="certificates",
    deciders=["ana", "bo"],
    asked_at=NOW,
    expires_at=datetime(2026, 11, 23, 16, 0, tzinfo=UTC),
    zone=ZoneInfo("Europe/Zurich"),
    findings=["high: www.example.org ends in 3 days"],
    digest="d" * 64,
    run_id="r1",
)
REQUESTED: ApprovalKind = MessageKind.APPROVAL_REQUESTED
HOSTILE = "\"<'&" * 1_000


def said(kind: ApprovalKind, **changes: Any) -> Message:
    return approval_message(kind, replace(REQUEST, **changes), CONSOLE, message_id="m1", now=NOW)


def test_text_and_html_say_what_where_why_how_risky_what_stays_who_and_until_when() -> None:
    message = said(REQUESTED)
    for text in (render.text(message), render.html(message)):
        for fact in (
            REQUEST.title,
            "www.example.org:443 in production",
            "expires_soon",
            "certbot renew --cert-name www",
            "+ notAfter: 2027-02-22",
            "under a new identity (R2)",
            "The old key is gone.",
            "ana, bo",
            "Mon 23 Nov 2026 17:00 CET (16:00 UTC)",
            "high: www.example.org ends in 3 days",
            "tier=front",
            f"{CONSOLE}/approvals/a1",
        ):
            assert fact in text, fact


def test_whatever_stands_in_a_plan_the_html_stays_under_30_kb() -> None:
    long = dict.fromkeys(
        ("title", "entry", "subject", "cause", "environment", "owner", "rule", "digest", "ended_reason"), HOSTILE
    )
    lists = {name: [HOSTILE] * 500 for name in ("risk_reasons", "irreversible", "deciders", "findings", "moved")}
    decisions = [replace(SAID, reason=HOSTILE)] * 5
    changes: dict[str, Any] = {**long, **lists, "simulation": HOSTILE * 100, "labels": {HOSTILE: HOSTILE}, "said": decisions}
    kinds: tuple[ApprovalKind, ...] = (REQUESTED, MessageKind.APPROVAL_DECIDED, MessageKind.APPROVAL_CLOSED)
    for kind in kinds:
        message = with_link(said(kind, **changes), f"{CONSOLE}/a/{'t' * 43}")
        assert len(render.html(message).encode()) < 30_000
        assert f'href="{CONSOLE}/a/{"t" * 43}"' in render.html(message)


def test_a_long_simulation_says_how_much_is_left_out() -> None:
    text = "\n".join(f"+ line {n}" for n in range(5_000))
    kept = render.shortened(text, 9_000, "see the page").splitlines()
    assert kept[-1] == f"… and {5_000 - len(kept) + 1} more lines: see the page"
    assert kept[:-1] == text.splitlines()[: len(kept) - 1]
    assert render.shortened("x" * 50_000, 100, "see the page").endswith("the rest of this line and 0 more: see the page")
    assert render.shortened("+ a\n- b\n", 100, "see the page") == "+ a\n- b"


def test_an_instant_is_told_in_both_zones_and_with_the_other_day_if_it_is_one() -> None:
    at = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    assert render.when(at, UTC) == "Mon 23 Nov 2026 16:00 UTC"
    assert render.when(at, ZoneInfo("Asia/Tokyo")) == "Tue 24 Nov 2026 01:00 JST (Mon 16:00 UTC)"


@pytest.mark.parametrize(
    ("kind", "changes", "title", "body"),
    [
        (REQUESTED, {}, "Approve? {} (production, medium risk)", "Nothing is done without a yes."),
        (REQUESTED, {"nights": 3}, "Approve? {} (production, medium risk)", "Open for 3 nights."),
        (REQUESTED, {"mode": "propose"}, "Proposed: {}", "Nothing will be done"),
        (MessageKind.APPROVAL_REMINDER, {}, "Still to decide: {} (production, medium risk)", "Nobody has decided yet."),
        (MessageKind.APPROVAL_DECIDED, {"quorum": 2, "said": [SAID]}, "1 of 2 agreed: {}", "1 more must agree."),
        (MessageKind.APPROVAL_DECIDED, {"state": "approved", "said": [SAID]}, "Approved by ana: {}", "before the weekend"),
        (
            MessageKind.APPROVAL_DECIDED,
            {"state": "approved", "said": [SAID, replace(SAID, person="bo")]},
            "Approved by ana and bo: {}",
            "Approved by bo on Sat 21 Nov 2026 04:14 CET (03:14 UTC), by link",
        ),
        (
            MessageKind.APPROVAL_DECIDED,
            {"state": "denied", "said": [replace(SAID, choice="deny")]},
            "Denied by ana: {}",
            "Nothing was done.",
        ),
        (MessageKind.APPROVAL_CLOSED, {"state": "expired"}, "Expired: {}", "that is a no. Nothing was done."),
        (
            MessageKind.APPROVAL_CLOSED,
            {"state": "superseded", "ended_by": "run:r2", "ended_reason": "asked anew as a2"},
            "Superseded: {}",
            "asked anew as a2",
        ),
        (MessageKind.APPROVAL_CLOSED, {"state": "revoked", "ended_by": "person:bo"}, "Withdrawn: {}", "Withdrawn by person:bo"),
        (
            MessageKind.APPROVAL_CLOSED,
            {"state": "revoked", "ended_by": "run:r9", "ended_reason": "the world moved"},
            "Not carried out: {}",
            "the world moved",
        ),
        (
            MessageKind.REMEDIATION_ENDED,
            {"mended": Mended(run_id="r9", verdict="verified", summary="2 of 2 addresses serve it")},
            "Verified: {}",
            "2 of 2 addresses serve it",
        ),
        (MessageKind.REMEDIATION_ENDED, {"mended": Mended(run_id="r9", verdict="rolled_back")}, "Rolled back: {}", ""),
    ],
)
def test_every_kind_says_how_it_stands(kind: ApprovalKind, changes: dict[str, Any], title: str, body: str) -> None:
    message = said(kind, **changes)
    assert message.title == title.format(REQUEST.title)
    assert body in message.body
    assert message.thread == "approval-a1"


def test_only_what_is_verified_is_green() -> None:
    verdicts = {
        verdict: said(MessageKind.REMEDIATION_ENDED, mended=Mended(run_id="r9", verdict=verdict)).severity
        for verdict in ("verified", "rolled_back", "ended")
    }
    assert verdicts == {"verified": "ok", "rolled_back": "high", "ended": "high"}


def test_an_end_with_a_reason_code_links_its_runbook() -> None:
    closed = said(MessageKind.APPROVAL_CLOSED, state="revoked", code="world_moved")
    assert closed.buttons[-1].url == f"{CONSOLE}/runbooks#world_moved"
    assert [button.label for button in said(REQUESTED, code="expired").buttons] == ["Look and decide"]


def test_the_mail_of_one_person_has_an_id_and_a_link_of_its_own_and_changes_nobody_elses() -> None:
    everybody = said(REQUESTED)
    to = Recipient("bo", "bo@example.org")
    own = for_person(everybody, to)
    linked = with_link(own, f"{CONSOLE}/a/token")
    assert (own.id, own.to) == ("m1-bo", to)
    assert [button.url for button in linked.buttons] == [f"{CONSOLE}/a/token"]
    assert [button.url for button in own.buttons] == [button.url for button in everybody.buttons] == [f"{CONSOLE}/approvals/a1"]
    assert "yours alone" in linked.body


def test_machines_get_the_same_facts() -> None:
    message = said(MessageKind.APPROVAL_DECIDED, state="approved", said=[SAID])
    told = message.data
    assert (told["id"], told["state"], told["risk"], told["deciders"]) == ("a1", "approved", "medium", ["ana", "bo"])
    assert told["decisions"] == [
        {"person": "ana", "choice": "approve", "at": "2026-11-21T03:14:00+00:00", "via": "link", "reason": "before the weekend"}
    ]
    assert told["url"] == f"{CONSOLE}/approvals/a1"
