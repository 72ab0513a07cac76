from typing import Any

import pytest

from notifications import render
from notifications.digest import NightApproval, NightRun, NightUnknown, digest_message
from notifications.message import Field, Line, Message
from tests.notifications.values import CONSOLE, HOUR, NIGHT, NOW, finding, night

UNKNOWN = NightUnknown(subject="db:443", reason="connect_timeout", detail="no answer after 5.0 s", run_id="r7")
RUN = NightRun(id="r8", job="command", why="ended by a time-out")


def lines(message: Message, heading: str) -> list[Line]:
    return list(next(section.lines for section in message.sections if section.heading.startswith(heading)))


def test_a_night_that_looked_at_everything_and_found_nothing_is_green() -> None:
    digest = digest_message(NIGHT)

    assert digest.title == "Night of 20 Nov: all 98 ok"
    assert digest.severity == "ok"
    assert digest.body == "Everything was looked at (98 entries) and nothing was found."
    assert digest.sections == []


def test_title_counts_what_is_new_and_what_nobody_could_tell() -> None:
    digest = digest_message(night(expected=101, looked_at=101, new=[finding(id="a"), finding(id="b")], cannot_tell=[UNKNOWN]))

    assert digest.title == "Night of 20 Nov: 2 new findings, 1 could not tell, 98 ok"
    assert digest.severity == "high"
    assert lines(digest, "Could not tell") == [
        Line("db:443 [connect_timeout]: no answer after 5.0 s", f"{CONSOLE}/runs/r7", "cannot_tell")
    ]


def test_an_incomplete_night_says_so_and_why() -> None:
    digest = digest_message(
        night(expected=500, looked_at=480, ok=480, incomplete=["20 entries: the worker was stopped at 03:10"])
    )

    assert digest.title == "Night of 20 Nov, incomplete (480 of 500 looked at): 480 ok"
    assert digest.body.startswith("Night incomplete: 480 of 500 looked at.\n20 entries: the worker")
    assert digest.severity == "cannot_tell"


@pytest.mark.parametrize(
    "change",
    [
        {"looked_at": 97},
        {"incomplete": ["a schedule did not fire"]},
        {"new": [finding()]},
        {"still_open": [finding()]},
        {"cannot_tell": [UNKNOWN]},
        {"needs_attention": [RUN]},
        {"failed": [RUN]},
        {"skipped": [RUN]},
        {"ok": 97},
        {"ok": 97, "muted": 1},
        {"expected": 0, "looked_at": 0, "ok": 0},
    ],
)
def test_anything_less_than_everything_in_order_is_not_green(change: dict[str, Any]) -> None:
    digest = digest_message(night(**change))

    assert digest.severity != "ok"
    assert "all" not in digest.title
    assert "nothing was found" not in digest.body
    assert digest.data["green"] is False


def test_an_empty_night_says_that_nothing_was_looked_at() -> None:
    digest = digest_message(night(expected=0, looked_at=0, ok=0))

    assert digest.title == "Night of 20 Nov: nothing was looked at"
    assert digest.severity == "cannot_tell"


def test_long_lists_end_in_how_many_more_and_where() -> None:
    digest = digest_message(night(new=[finding(id=f"f{n:02}") for n in range(52)]))

    new = lines(digest, "New (52)")
    assert len(new) == 16
    assert new[-1] == Line("and 37 more", f"{CONSOLE}/findings")


def test_findings_are_listed_worst_first_with_their_pages() -> None:
    digest = digest_message(night(still_open=[finding(id="a", severity="low"), finding(id="b", severity="critical")]))

    assert [line.url for line in lines(digest, "Still open")] == [f"{CONSOLE}/findings/b", f"{CONSOLE}/findings/a"]
    assert lines(digest, "Still open")[0].text == "critical: www.example.org expired 2 days ago [expired] (production, web)"


def test_an_acknowledged_finding_says_by_whom() -> None:
    digest = digest_message(night(ok=97, still_open=[finding(state="acknowledged", state_by="person:ana")]))

    assert [line.text for line in lines(digest, "Still open")] == [
        "high: www.example.org expired 2 days ago [expired] (production, web), acknowledged by person:ana"
    ]


def test_entries_that_no_schedule_watches_are_one_field_of_at_most_fifteen_names() -> None:
    few = digest_message(night(unscheduled=["command/backups"]))
    many = digest_message(night(unscheduled=[f"hosts/h{n:02}" for n in range(20)]))

    assert [field.value for field in few.fields if field.label == "Watched by no schedule"] == ["command/backups"]
    assert next(field.value for field in many.fields if field.label.startswith("Watched")).endswith("hosts/h14 and 5 more")
    assert all(field.label != "Watched by no schedule" for field in digest_message(NIGHT).fields)


def test_a_night_that_found_only_what_is_muted_says_so_and_is_no_alarm() -> None:
    digest = digest_message(night(ok=97, muted=1))

    assert (digest.title, digest.severity) == ("Night of 20 Nov: 1 muted, 97 ok", "info")


def test_an_approval_says_for_whom_it_waits_and_until_when() -> None:
    approval = NightApproval(id="p1", title="Renew www", waits_for=["Ana", "web"], expires_at=NOW + 14 * HOUR)

    digest = digest_message(night(approvals=[approval]))

    assert [line.text for line in lines(digest, "Waiting")] == ["Renew www (waits for Ana, web, until 21 Nov 17:14 CET)"]


def test_runs_that_somebody_must_see_lead_to_their_pages() -> None:
    digest = digest_message(night(needs_attention=[RUN], failed=[RUN, RUN], skipped=[RUN]))

    assert digest.title == "Night of 20 Nov: 1 run needing attention, 2 failed runs, 1 skipped run, 98 ok"
    for heading in ("Needs attention", "Failed", "Skipped"):
        assert lines(digest, heading)[0] == Line("command: ended by a time-out", f"{CONSOLE}/runs/r8")


def test_the_same_night_has_the_same_id_and_says_itself_in_text_and_html() -> None:
    full = night(new=[finding()], cannot_tell=[UNKNOWN], resolved=[finding(id="z", state="resolved")])

    assert digest_message(full) == digest_message(full)
    for said in (render.text(digest_message(full)), render.html(digest_message(full))):
        assert "98 of 98 entries" in said
        assert "no answer after 5.0 s" in said
        assert f"{CONSOLE}/findings/z" in said


def test_a_fleet_is_told_in_a_line_of_its_own() -> None:
    told = "looked at 500 of 500, 7 drifted, 2 cannot tell"
    digest = digest_message(night(fleets=[("nightly-drift", told)]))
    assert Field("nightly-drift", told) in digest.fields
    assert digest.data["fleets"] == {"nightly-drift": told}
