"""Our own HTTP servers on a free port of loopback, each in a thread that ends with its block."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Asked(BaseHTTPRequestHandler):
    """One request, and the way to answer it; says nothing on standard error."""

    def give(self, status: int, headers: Mapping[str, str], content: bytes = b"", *, owed: int = 0) -> None:
        """`owed`: so many bytes more are promised, and never come."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content) + owed))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def listening(answer: Callable[[Asked, bytes], None]) -> Iterator[int]:
    """Its port. `answer` gets each request with its body; the block is left once all have been answered."""

    def take(asked: Asked) -> None:
        answer(asked, asked.rfile.read(int(asked.headers.get("content-length", 0))))

    handler = type("Handler", (Asked,), {"do_GET": take, "do_POST": take})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
