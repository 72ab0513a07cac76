"""A form that decides something, read strictly: what a page of ours would not send is refused."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Annotated

from fastapi import Depends, Request

from worker.api.problems import ProblemError

FORM = "application/x-www-form-urlencoded"
LONGEST: Mapping[str, int] = MappingProxyType(
    {"csrf": 200, "choice": 20, "digest": 64, "reason": 500, "pin": 100, "resolution": 20, "process_ended": 4}
)
"""Members that such forms have, and how many characters each may hold."""


async def _members(request: Request) -> Mapping[str, str]:
    """What the form holds, each member once. It is never told back: one of the members is a PIN."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise ProblemError(415, "not_a_form", f"send the page's form, as {FORM}")
    if request.url.query:
        raise ProblemError(422, "query", "a decision is sent as a form, and nothing of it in the address")
    # A browser says where a form came from; an old one says nothing, and has the CSRF token alone.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ProblemError(403, "csrf", "this form came from another site; open the page itself")
    found = [(name, text) for name, text in (await request.form()).multi_items() if isinstance(text, str)]
    _refuse_odd(found)
    return dict(found)


def _refuse_odd(found: Collection[tuple[str, str]]) -> None:
    names = [name for name, _ in found]
    for name, text in found:
        if name not in LONGEST:
            raise ProblemError(422, "invalid", "the form holds a member that no page of ours sends", accepted=sorted(LONGEST))
        if names.count(name) > 1:
            raise ProblemError(422, "invalid", f"`{name}` is there {names.count(name)} times", field=name)
        if len(text) > LONGEST[name]:
            raise ProblemError(422, "invalid", f"`{name}` is longer than {LONGEST[name]} characters", field=name)
        if "\0" in text:
            raise ProblemError(422, "unkeepable", f"`{name}` holds a NUL character, which no ledger keeps", field=name)


Members = Annotated[Mapping[str, str], Depends(_members)]
"""The members of the form that was sent."""
