"""A step on a host that cannot be asked: by API and on both pages it is tried again only once somebody says it has ended."""

from collections.abc import Mapping

import httpx
import pytest
from sqlalchemy import update

from tests.approvals.kit import Hall, page_of, text_of
from tests.approvals.ward import PIN
from worker.flow.liveness import ourselves
from worker.ledger.tables import EFFECTS
from worker.records import Approval, LinkPurpose, Run, RunState

SAID = {"resolution": "retry", "reason": "I pulled its plug"}


@pytest.fixture
def approval(hall_here: Hall) -> Approval:
    """Its run's one step is done elsewhere, as far as anybody knows."""
    ward = hall_here.ward
    ward.entry(behaviour="raises", probes=False)
    asked = ward.ask()
    ward.say(asked, "cy")
    ward.carry_out()
    with ward.rig.ledger.transaction() as tx:
        tx.execute(update(EFFECTS).values(process={**ourselves(), "host": "elsewhere"}))
    return ward.approval(asked.id)


def run_of(hall: Hall) -> Run:
    (run,) = hall.ward.effect_runs()
    return run


def csrf_of(page: str) -> str:
    return page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0]


def refuses_and_then_hears(hall: Hall, client: httpx.Client, path: str, data: Mapping[str, str], answers: int) -> None:
    refused = client.post(path, data=data)
    assert (refused.status_code, "cannot be asked from here" in text_of(refused.text)) == (409, True)
    assert run_of(hall).state is RunState.NEEDS_ATTENTION
    assert client.post(path, data={**data, "process_ended": "true"}).status_code == answers
    assert run_of(hall).state is RunState.QUEUED


def test_over_the_api(hall_here: Hall, approval: Approval) -> None:
    client, path = hall_here.client(hall_here.token()), f"/v1/runs/{run_of(hall_here).id}/resolve"
    refused = client.post(path, json=SAID)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "process_unknown")
    assert client.post(path, json={**SAID, "process_ended": True}).status_code == 200
    assert run_of(hall_here).state is RunState.QUEUED


def test_on_the_page_of_the_run(hall_here: Hall, approval: Approval) -> None:
    client, path = hall_here.signed_in("bo"), f"/runs/{run_of(hall_here).id}"
    page = client.get(path).text
    assert 'type="checkbox" name="process_ended" value="true"' in page
    refuses_and_then_hears(hall_here, client, f"{path}/resolve", {**SAID, "csrf": csrf_of(page)}, 303)


def test_by_the_link_of_the_call_for_help(hall_here: Hall, approval: Approval) -> None:
    client = hall_here.client()
    client.get(f"/a/{hall_here.link(approval, purpose=LinkPurpose.RESOLVE)}")
    page = page_of(client, approval)
    assert 'type="checkbox" name="process_ended" value="true"' in page
    data = {**SAID, "csrf": csrf_of(page), "pin": PIN}
    refuses_and_then_hears(hall_here, client, f"/approvals/{approval.id}/resolve", data, 303)
