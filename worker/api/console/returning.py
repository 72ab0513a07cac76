"""Where to go after signing in: the page that was asked for, if it is one of ours."""

from urllib.parse import quote

from fastapi import Request

from worker.api.auth import SAFE_METHODS
from worker.api.problems import ProblemError

NEXT = "nightshift_next"
"""A cookie, for the sign-in link is opened apart from the page that asked for it."""
KEPT_SECONDS = 1800
_LONGEST = 500
_DOORS = ("/login", "/logout", "/a/")


def sign_in_first(request: Request) -> ProblemError:
    """To the door, which remembers the page. A form, or a part that a script asked for, is no page to come back to."""
    asked = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    is_page = request.method in SAFE_METHODS and request.headers.get("sec-fetch-dest", "document") == "document"
    path = own_path(asked) if is_page and not request.url.path.endswith("/live") else None
    door = f"/login?next={quote(path, safe='/')}" if path not in (None, "/") else "/login"
    return ProblemError(303, "signed_out", "sign in first", headers={"Location": door})


def own_path(text: str) -> str | None:
    r"""`text` if it names a page of this very console and nothing else, wherever a browser would take it; or None.

    Browsers take `//host`, `/\host` and `/<tab>/host` for another host, so nothing but plain characters passes.
    """
    plain = all("!" <= letter <= "~" and letter not in "\\<>\"'" for letter in text)
    ours = text.startswith("/") and not text.startswith(("//", *_DOORS)) and text != "/a"
    return text if plain and ours and len(text) <= _LONGEST and "//" not in text.partition("?")[0] else None
