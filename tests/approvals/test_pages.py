"""The page on which a person decides, from the link of their mail to what came of it."""

from tests.approvals.kit import Hall, decide_on, page_of
from worker.records import ApprovalState


def test_a_link_leads_to_the_page_and_the_page_to_a_decision(hall: Hall) -> None:
    approval = hall.ward.ask()
    client = hall.client()
    answer = client.get(f"/a/{hall.link(approval)}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approvals/{approval.id}")
    assert decide_on(client, approval).status_code == 303
    assert hall.ward.approval(approval.id).state is ApprovalState.APPROVED
    assert "approved" in page_of(client, approval)
