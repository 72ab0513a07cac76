"""`/a/<token>`: the link of a mail. Opening it writes nothing; it is exchanged for a cookie and leaves the address bar."""

from fastapi import APIRouter, Request, Response

from worker.api.auth import refuse_machines
from worker.api.console.page import back_to
from worker.api.console.viewer import link_over, set_link_cookie
from worker.api.gateway import Here
from worker.flow.errors import Refused
from worker.flow.linking import open_link

router = APIRouter()


@router.get("/a/{token}")
@router.head("/a/{token}")
def exchange(request: Request, here: Here, token: str) -> Response:
    """To the page of the approval, with proof of whose link it was."""
    refuse_machines(request, here)
    try:
        link = open_link(here.shift, token)
    except Refused as error:
        raise link_over(error) from error
    assert link.approval_id is not None
    held = here.link_cookies.issue(link)
    response = back_to(f"/approvals/{link.approval_id}")
    set_link_cookie(request, here, response, held)
    return response
