"""The brakes: whoever operates anything may pull one; to let go takes the right to operate everything."""

import re

import httpx
import pytest

from tests.approvals.kit import Hall
from tests.approvals.ward import person
from worker.records import ActorKind
from worker.tokens import grants_of_role


def form(client: httpx.Client) -> dict[str, str]:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/brakes").text)
    assert found is not None
    return {"csrf": found[1], "reason": "smoke"}


@pytest.fixture
def hall_of_two(hall_here: Hall) -> Hall:
    """`oli` operates one environment, `adm` everything."""
    ward = hall_here.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("oli"), person("adm", "admin", environment="*")))
    return hall_here


@pytest.mark.parametrize("brake", ["freeze", "kill"])
def test_who_operates_one_environment_pulls_a_brake_by_api_and_cannot_let_it_go(hall_of_two: Hall, brake: str) -> None:
    oli, adm = hall_of_two.client(hall_of_two.token(name="oli")), hall_of_two.client(hall_of_two.token(name="adm"))
    told = oli.post(f"/v1/brakes/{brake}", json={"reason": "smoke"}).json()
    assert (told["frozen"], told["killed"], told["by"]) == (True, brake == "kill", "person:oli")
    refused = oli.post("/v1/brakes/thaw", json={"reason": "aired"})
    assert (refused.status_code, adm.get("/v1/brakes").json()["frozen"]) == (403, True)
    assert adm.post("/v1/brakes/thaw", json={"reason": "aired"}).json()["frozen"] is False


def test_who_operates_nothing_pulls_no_brake(hall_of_two: Hall) -> None:
    machine = hall_of_two.client(hall_of_two.token(ActorKind.N8N, "n8n", grants_of_role("n8n")))
    for brake in ("freeze", "kill", "thaw"):
        assert machine.post(f"/v1/brakes/{brake}", json={"reason": "smoke"}).status_code == 403
    assert machine.get("/v1/brakes").json()["frozen"] is False


def test_the_page_offers_who_operates_one_environment_to_stop_and_not_to_go_on(hall_of_two: Hall) -> None:
    oli = hall_of_two.signed_in("oli")
    assert oli.post("/brakes/freeze", data=form(oli)).status_code == 303
    page = oli.get("/brakes").text
    assert 'action="/brakes/kill"' in page
    assert 'action="/brakes/thaw"' not in page
    assert "You may stop repairs everywhere, but not let them go on" in page
    assert oli.post("/brakes/thaw", data=form(oli)).status_code == 403
    assert 'action="/brakes/thaw"' in hall_of_two.signed_in("adm").get("/brakes").text
