"""A real SMTP server on a free loopback port that keeps what it gets, and can refuse, hang, or insist on STARTTLS and AUTH."""

import asyncio
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import AuthResult, LoginPassword

from worker.demo.sink import FreePort


@dataclass
class MailServer:
    """What it got, and how it behaves; change it at any time."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    envelopes: list[list[str]] = field(default_factory=list)
    """The recipients of each mail, as said in RCPT TO."""
    answer: str = "250 kept"
    """To the mail itself."""
    recipient_answers: Mapping[str, str] = field(default_factory=dict)
    """To an address in RCPT TO; `250 ok` to others."""
    login_answer: str | None = None
    """Said to every login, with `{password}` filled in; None: the right password is accepted."""
    hangs: bool = False
    """Never answers to the mail itself."""
    quotes: str | None = None
    """Refuses a mail whose text matches this, and quotes the match."""
    quoted: list[str] = field(default_factory=list)
    forgets: bool = False
    """Keeps the mail and answers as if it did not, as one whose connection broke."""

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        answer = self.recipient_answers.get(address, "250 ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.hangs:
            await asyncio.sleep(3600)
        mail = message_from_bytes(envelope.content, EmailMessage, policy=default)
        body = mail.get_body(("plain",))
        if self.quotes and body is not None and (found := re.search(self.quotes, str(body.get_content()))):
            self.quoted.append(found[0])
            return f"554 this is spam: {found[0]}"
        if self.answer.startswith("250"):
            self.raw.append(envelope.content)
            self.mails.append(mail)
            self.envelopes.append(list(envelope.rcpt_tos))
        return "451 the disk is slow" if self.forgets else self.answer


@contextmanager
def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
) -> Iterator[MailServer]:
    """`starttls` and `tls` (from the first byte) insist on it; `login` insists on AUTH, and needs `starttls`."""
    server = MailServer()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
        if server.login_answer is not None:
            return AuthResult(success=False, handled=False, message=server.login_answer.format(password=given.password.decode()))
        return AuthResult(success=(given.login.decode(), given.password.decode()) == login, handled=False)

    controller = FreePort(
        server,
        hostname="127.0.0.1",
        port=0,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_required=login is not None,
        authenticator=authenticate,
        server_hostname="127.0.0.1",
    )
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()
