"""What answers like n8n's API on loopback, and says what a test wants: n8n of another time, or in other hands."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Say = Callable[[Mapping[str, list[str]]], Any]
"""From the query to a JSON value, or to bytes as they are."""


def _nothing(_: Mapping[str, list[str]]) -> Any:
    return {"data": [], "nextCursor": None}


@contextmanager
def odd_n8n(**said: Say) -> Iterator[str]:
    """Its address. By the last part of a path: `workflows`, `credentials`, `tags`; empty lists where nothing is said."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            say = said.get(parts.path.rpartition("/")[2], _nothing)
            found = say(parse_qs(parts.query))
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()
