"""The three files that pages load: style, script, icon. Their address changes with their content, so browsers keep them."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from fastapi import APIRouter, Response

from worker.api.problems import ProblemError

_KINDS = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
_CONTENT = {name: (files("worker.api.console") / "static" / name).read_bytes() for name in _KINDS}

ADDRESSES: Mapping[str, str] = MappingProxyType(
    {name: f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:8]}" for name, content in _CONTENT.items()}
)

router = APIRouter()


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    if name not in _CONTENT:
        raise ProblemError(404, "not_found", f"no file {name!r}", accepted=sorted(_CONTENT))
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_CONTENT[name], media_type=_KINDS[name], headers=headers)
