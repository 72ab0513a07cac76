"""What answers like n8n's API on loopback, and says what a test wants: n8n of another time, or in other hands."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.listening import Asked, listening

Say = Callable[[Mapping[str, list[str]]], Any]
"""From the query to a JSON value, or to bytes as they are."""


def _nothing(_: Mapping[str, list[str]]) -> Any:
    return {"data": [], "nextCursor": None}


@contextmanager
def odd_n8n(**said: Say) -> Iterator[str]:
    """Its address. By the last part of a path: `workflows`, `credentials`, `tags`; empty lists where nothing is said."""

    def answer(asked: Asked, _: bytes) -> None:
        parts = urlsplit(asked.path)
        found = said.get(parts.path.rpartition("/")[2], _nothing)(parse_qs(parts.query))
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        asked.give(200, {"content-type": "application/json"}, content)

    with listening(answer) as port:
        yield f"http://127.0.0.1:{port}"
