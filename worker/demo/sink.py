"""The demo's mail server: takes every mail on loopback and keeps it as an `.eml` file, which any mail program opens."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class _Keeper:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 - aiosmtpd's
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        number = sum(1 for _ in self._folder.glob("*.eml")) + 1
        name = f"{number:03}-{hashlib.sha256(content).hexdigest()[:8]}.eml"
        (self._folder / name).write_bytes(content)
        return "250 kept"


class FreePort(Controller):  # type: ignore[misc]  # aiosmtpd ships no types
    """A controller that may be given port 0: it asks for any free one and knows which it got."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_sink(folder: Path) -> Iterator[int]:
    """Keep mails in `folder`, which is made if need be; gives the port on 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True)
    sink = FreePort(_Keeper(folder), hostname="127.0.0.1", port=0)
    sink.start()
    try:
        yield sink.port
    finally:
        sink.stop()
