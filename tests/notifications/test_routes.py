from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifications.findings import FindingFacts
from notifications.routes import (
    Announce,
    Decision,
    InDigest,
    Match,
    Nothing,
    Route,
    Routes,
    TellNow,
    Told,
    Wait,
    announce,
    decide,
)
from tests.notifications.values import FINDING, HOUR, NOW, finding

PAGER = Route(channels=("pager",))
ROUTES = Routes((PAGER,), digest_channels=("team",))
RESOLVED = finding(state="resolved", resolved_at=NOW + HOUR)


def decided(
    routes: Routes | Route,
    facts: FindingFacts = FINDING,
    told: Told | None = None,
    *,
    quiet_until: datetime | None = None,
    now: datetime = NOW,
) -> tuple[Decision, ...]:
    all_routes = Routes((routes,), digest_channels=("team",)) if isinstance(routes, Route) else routes
    return decide(all_routes, facts, told or Told(), quiet_until=quiet_until, now=now)


def test_a_new_finding_is_told_at_once() -> None:
    assert decided(ROUTES) == (TellNow(("pager",)),)


def test_a_finding_is_told_once() -> None:
    assert decided(ROUTES, told=Told({"pager": NOW}), now=NOW + 1000 * HOUR) == (Nothing("told already"),)


def test_a_finding_is_told_again_only_after_the_time_the_route_gives() -> None:
    route = replace(PAGER, again_after=24 * HOUR)
    told = Told({"pager": NOW})

    assert decided(route, told=told, now=NOW + 23 * HOUR) == (Wait(NOW + 24 * HOUR),)
    assert decided(route, told=told, now=NOW + 24 * HOUR) == (TellNow(("pager",)),)


def test_a_finding_that_comes_back_is_told_anew() -> None:
    assert decided(ROUTES, finding(opened_at=NOW + HOUR), Told({"pager": NOW}), now=NOW + HOUR) == (TellNow(("pager",)),)


def test_an_end_is_told_once_to_those_who_were_told_of_the_beginning() -> None:
    route = Route(channels=("pager", "chat"))

    assert decided(route, RESOLVED, Told({"pager": NOW}), now=NOW + HOUR) == (TellNow(("pager",)),)
    told = Told({"pager": NOW}, {"pager": NOW + HOUR})
    assert decided(route, RESOLVED, told, now=NOW + 2 * HOUR) == (Nothing("resolved, and nobody is left to be told"),)


def test_an_end_that_no_one_was_told_the_beginning_of_is_not_told() -> None:
    assert decided(ROUTES, RESOLVED, now=NOW + HOUR) == (Nothing("resolved, and nobody is left to be told"),)


def test_a_second_end_is_told_although_the_first_was() -> None:
    again = finding(state="resolved", opened_at=NOW + 2 * HOUR, resolved_at=NOW + 3 * HOUR)
    told = Told({"pager": NOW + 2 * HOUR}, {"pager": NOW + HOUR})

    assert decided(ROUTES, again, told, now=NOW + 3 * HOUR) == (TellNow(("pager",)),)


def test_a_route_may_leave_ends_untold() -> None:
    route = replace(PAGER, resolved=False)

    assert decided(route, RESOLVED, Told({"pager": NOW}), now=NOW + HOUR) == (Nothing("resolved, and nobody is left to be told"),)


def test_quiet_hours_make_a_message_wait() -> None:
    assert decided(PAGER, quiet_until=NOW + HOUR) == (Wait(NOW + HOUR),)
    assert decided(PAGER, quiet_until=NOW) == (TellNow(("pager",)),)


def test_a_route_may_page_in_quiet_hours() -> None:
    critical = Route(channels=("pager",), match=Match(severity="critical"), quiet=False)
    routes = Routes((critical, PAGER))

    assert decided(routes, finding(severity="critical"), quiet_until=NOW + HOUR) == (TellNow(("pager",)),)
    assert decided(routes, finding(severity="high"), quiet_until=NOW + HOUR) == (Wait(NOW + HOUR),)


def test_quiet_hours_do_not_hold_back_the_digest() -> None:
    assert decided(Route(channels=("team",), when="digest"), quiet_until=NOW + HOUR) == (InDigest(("team",)),)


def test_what_no_route_matches_falls_into_the_digest() -> None:
    route = Route(channels=("pager",), match=Match(severity="critical"))

    assert decided(route) == (InDigest(("team",)),)
    assert decided(route, told=Told({"team": NOW})) == (Nothing("told already"),)


def test_without_any_channel_a_finding_still_stands_in_the_digest() -> None:
    assert decided(Routes()) == (InDigest(()),)


def test_the_first_matching_route_wins() -> None:
    assert decided(Routes((PAGER, Route(channels=("chat",))))) == (TellNow(("pager",)),)


def test_continue_lets_later_routes_match_too() -> None:
    routes = Routes((replace(PAGER, go_on=True), Route(channels=("chat", "pager")), Route(channels=("never",))))

    assert decided(routes) == (TellNow(("pager", "chat")),)


def test_one_finding_can_be_told_now_stand_in_a_digest_and_wait() -> None:
    routes = Routes(
        (
            Route(channels=("pager",), quiet=False, go_on=True),
            Route(channels=("team", "pager"), when="digest", go_on=True),
            Route(channels=("chat",)),
        )
    )

    assert decided(routes, quiet_until=NOW + HOUR) == (TellNow(("pager",)), InDigest(("team",)), Wait(NOW + HOUR))


@pytest.mark.parametrize("state", ["muted", "acknowledged"])
def test_nobody_is_told_of_what_somebody_has_taken(state: Any) -> None:
    route = replace(PAGER, again_after=timedelta(hours=1))

    assert decided(route, finding(state=state), now=NOW + 9 * HOUR) == (Nothing(state),)


@pytest.mark.parametrize(
    ("match", "accepts"),
    [
        (Match(), True),
        (Match(severity="high"), True),
        (Match(severity="critical"), False),
        (Match(environments=("production", "staging")), True),
        (Match(environments=("staging",)), False),
        (Match(owners=("web",)), True),
        (Match(owners=("data",)), False),
        (Match(labels={"tier": "front"}), True),
        (Match(labels={"tier": "back"}), False),
        (Match(labels={"tier": "front", "floor": "2"}), False),
        (Match(jobs=("certificates",)), True),
        (Match(jobs=("dns",)), False),
        (Match(reasons=("expired",)), True),
        (Match(reasons=("wrong_name",)), False),
        (Match(reasons=("expired",), jobs=("dns",)), False),
    ],
)
def test_a_match_holds_only_if_all_its_conditions_do(match: Match, *, accepts: bool) -> None:
    assert match.accepts(FINDING) is accepts


def announced(*routes: Route, quiet_until: datetime | None = None, severity: str = "medium") -> Announce:
    return announce(Routes(routes), finding(severity=severity), quiet_until=quiet_until, now=NOW)


def test_a_request_goes_to_the_first_route_that_takes_it_and_its_risk_is_the_severity() -> None:
    severe = Route(channels=("pager",), match=Match(severity="high"))
    apart = Route(channels=("chat",), approvals=False)
    rest = Route(channels=("team",))
    assert announced(severe, apart, rest) == Announce(("team",), people=True)
    assert announced(severe, apart, rest, severity="high") == Announce(("pager",), people=True)
    assert announced(replace(severe, go_on=True), apart, rest, severity="high") == Announce(("pager", "team"), people=True)


def test_a_request_that_no_route_takes_or_that_waits_for_the_digest_is_still_told_to_people() -> None:
    assert announced() == Announce((), people=True)
    assert announced(Route(channels=("team",), when="digest")) == Announce((), people=True)


def test_quiet_hours_spare_people_too_until_their_end() -> None:
    later = NOW + 3 * HOUR
    assert announced(PAGER, quiet_until=later) == Announce((), people=False, again_at=later)
    assert announced(quiet_until=later) == Announce((), people=False, again_at=later)
    assert announced(PAGER, quiet_until=NOW) == Announce(("pager",), people=True)


def test_a_route_that_minds_no_quiet_hours_wakes_people_and_only_its_own_channels() -> None:
    later = NOW + 3 * HOUR
    loud = Route(channels=("pager",), quiet=False)
    assert announced(loud, quiet_until=later) == Announce(("pager",), people=True)
    both = announced(replace(loud, go_on=True), Route(channels=("team",)), quiet_until=later)
    assert both == Announce(("pager",), people=True, again_at=later)
