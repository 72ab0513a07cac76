"""What to do when a repair needs a person, by reason code: every message links here, so nobody has to sign in to read it."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from worker.api.console.render import render
from worker.flow.runbooks import RUNBOOKS

router = APIRouter()


@router.get("/runbooks", response_class=HTMLResponse)
def runbooks_page() -> HTMLResponse:
    return HTMLResponse(render("runbooks.html", runbooks=list(RUNBOOKS.values())))
