"""Who looks at one approval: a signed-in person, or whoever opened a link that was sent to one."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response

from worker.api.auth import check_csrf, over_tls, refuse_machines
from worker.api.console.page import Visitor, brakes_now, visitor_of
from worker.api.console.render import render
from worker.api.console.returning import sign_in_first
from worker.api.gateway import Gateway, Here
from worker.api.problems import ProblemError
from worker.flow.errors import Refused
from worker.flow.linking import read_link
from worker.flow.shift import Estate
from worker.records import LedgerState, LinkPurpose, Via
from worker.tokens import LinkPass

OF_LINK = "nightshift_link_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A person as this request proves them. A link of their own counts before a session."""

    here: Gateway
    brakes: LedgerState
    estate: Estate
    """Of the configuration in force as the request came."""
    approval_id: str
    visitor: Visitor | None
    held: LinkPass | None
    """By a link of this very approval; a spent one lets look, and no more."""

    @property
    def person(self) -> str:
        if self.held is not None:
            return self.held.person
        assert self.visitor is not None
        return self.visitor.name

    @property
    def via(self) -> Via:
        return Via.PAGE if self.held is None else Via.LINK

    @property
    def csrf(self) -> str:
        """For the forms about this approval."""
        if self.held is not None:
            return self.here.link_cookies.csrf_token(self.held)
        assert self.visitor is not None
        return self.visitor.csrf

    def may_speak(self, purpose: LinkPurpose) -> bool:
        """Whether this proof is one for that: a session is for everything, a link for what it was sent for, once."""
        return self.held is None or (self.held.purpose is purpose and not self.held.spent)

    def check_csrf(self, token: str) -> None:
        """Raise a problem unless `token` came from this viewer's own page."""
        if self.held is None:
            assert self.visitor is not None
            check_csrf(self.here, self.visitor.caller, token)
        elif not self.here.link_cookies.csrf_matches(self.held, token):
            raise ProblemError(403, "csrf", "this form was not of the page that your link opened; open the link again")

    def page(self, template: str, **members: object) -> str:
        """The template in the console's frame, as HTML."""
        frame = {"visitor": self.visitor, "viewer": self, "brakes": self.brakes}
        return render(template, **{**frame, "zone": self.here.settings.timezone, **members})


def _viewer(request: Request, here: Here, approval_id: str) -> Viewer:
    refuse_machines(request, here)
    visitor = visitor_of(request, here)
    held = here.link_cookies.read(approval_id, request.cookies.get(cookie_name(approval_id), ""))
    brakes = brakes_now(here)
    estate = here.shift.estate(brakes.revision)
    try:
        _still_holds(here, estate, held)
    except Refused as error:
        if visitor is None:
            raise link_over(error) from error
        held = None
    if visitor is None and held is None:
        raise sign_in_first(request)
    return Viewer(here=here, brakes=brakes, estate=estate, approval_id=approval_id, visitor=visitor, held=held)


Views = Annotated[Viewer, Depends(_viewer)]


def link_over(error: Refused) -> ProblemError:
    """Which it was, and whom to ask; nothing of what the link was about."""
    return ProblemError(404 if error.code == "link_unknown" else 410, error.code, str(error))


def _still_holds(here: Gateway, estate: Estate, held: LinkPass | None) -> None:
    """Raise what the ledger says against the link. The one that was spent in this browser is good for looking."""
    if held is not None and not held.spent:
        read_link(here.shift, held.link_sha256)
    if held is not None and estate.person(held.person) is None:
        raise Refused(f"this link was for {held.person}, who is in the configuration no more", code="link_revoked")


def cookie_name(approval_id: str) -> str:
    """Of its own for each approval: a browser keeps many."""
    return f"{OF_LINK}{approval_id}"


def set_link_cookie(request: Request, here: Gateway, response: Response, held: LinkPass) -> None:
    """Lax, not strict: the click comes from a mail, so the redirect that follows must carry it. It says nothing elsewhere."""
    left = held.expires_at - here.shift.clock()
    response.set_cookie(
        cookie_name(held.approval_id),
        here.link_cookies.cookie(held),
        max_age=max(0, int(left.total_seconds())),
        path=f"/approvals/{held.approval_id}",
        httponly=True,
        samesite="lax",
        secure=over_tls(request, here),
    )
