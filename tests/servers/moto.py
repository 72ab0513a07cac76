"""An AWS by moto, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer


@contextmanager
def aws() -> Iterator[str]:
    """The address of an empty one; what it kept is gone after the block."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        httpx.post(f"http://{host}:{port}/moto-api/reset")  # its memory is this process's, not the server's
        server.stop()
