"""Who may decide and has no PIN is told so, and shown no form that would refuse them."""

from tests.approvals.kit import Hall, page_of, text_of
from tests.approvals.ward import person


def test_the_page_says_that_a_pin_is_lacking_instead_of_asking_for_it(hall_here: Hall) -> None:
    ward = hall_here.ward
    approval = ward.ask()
    ward.change(people=(*ward.rig.estate[-1].people, person("ida", pin=False)))
    page = page_of(hall_here.signed_in("ida"), approval)
    assert "You have no PIN yet, and every decision asks for it: ask for `nightshift people pin ida`." in text_of(page)
    assert f'action="/approvals/{approval.id}/decide"' not in page
    assert f'action="/approvals/{approval.id}/decide"' in page_of(hall_here.signed_in("bo"), approval)
