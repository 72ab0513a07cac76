"""E-mail over SMTP: one message to all recipients, or to one person, as text and HTML."""

import base64
import hashlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime, parseaddr
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from notifications import render
from notifications.channel import ChannelError, Delivery
from notifications.message import Message, Recipient

_PERMANENT = 500  # RFC 5321 section 4.2.1: 5yz says do not try the same again, 4yz says try later
_SUBJECT_LIMIT = 200
_LONGEST_DOMAIN = 50
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class _MessageIds(UnstructuredHeader):
    """Message-IDs as they are, one a line: the standard library takes them for prose and wraps a long one in `=?utf-8?q?`,
    which no mail program can thread by.
    """

    name: str

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {f'{policy.linesep} '.join(str(self).split())}{policy.linesep}"


_HEADERS = HeaderRegistry()
for _name in ("in-reply-to", "references"):
    _HEADERS.map_to_type(_name, _MessageIds)  # type: ignore[arg-type]  # its base is mixed in by the registry
_POLICY = SMTP.clone(header_factory=_HEADERS)


def _address(value: str) -> str:
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>.]+(\.[^@\s<>.]+)*", parseaddr(value)[1]) or not value.isprintable():
        message = "is not a mail address; accepted: `night@example.org` or `Nightshift <night@example.org>`"
        raise ValueError(message)
    return value


MailAddress = Annotated[str, AfterValidator(_address)]


@dataclass(frozen=True, kw_only=True)
class EmailChannel:
    """A mail server and who gets our mail."""

    host: str
    sender: MailAddress
    recipients: Annotated[tuple[MailAddress, ...], Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None
    """PEM file of the authority to trust instead of the system's."""
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 20.0
    """For the whole delivery."""

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            message = "username and password are given together or not at all"
            raise ValueError(message)
        if self.username and self.security == "none" and self.host not in _LOOPBACK:
            message = 'a password is sent over TLS only: set security to "starttls" or "tls"'
            raise ValueError(message)

    def reaches(self, person: Recipient) -> bool:
        return person.email is not None

    def deliver(self, message: Message) -> Delivery:
        recipients = self._recipients(message)
        mail = compose(message, self.sender, recipients)
        with self._errors_told(), self._connection() as smtp:
            if self.security == "starttls":
                smtp.starttls(context=self._tls())
            if self.username is not None and self.password is not None:
                smtp.login(self.username, self.password.get_secret_value())
            refused = smtp.send_message(mail, parseaddr(self.sender)[1], [parseaddr(to)[1] for to in recipients])
        accepted = len(recipients) - len(refused)
        detail = f"accepted for {accepted} of {len(recipients)} recipients"
        return Delivery(mail["Message-ID"], self._scrubbed(f"{detail}; refused: {_refusals(refused)}") if refused else detail)

    def _recipients(self, message: Message) -> tuple[str, ...]:
        if message.to is None:
            return self.recipients
        try:
            return (_address(message.to.email or ""),)
        except ValueError as error:
            raise ChannelError(f"the address of {message.to.name} {error}", permanent=True) from None

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    @contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        deadline = time.monotonic() + self.timeout_seconds
        smtp: _Smtp | _SmtpTls = (
            _SmtpTls(self.host, self.port, deadline, self._tls())
            if self.security == "tls"
            else _Smtp(self.host, self.port, deadline)
        )
        try:
            yield smtp
        finally:
            _say_goodbye(smtp)

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Everything smtplib raises as a `ChannelError`. Causes are cut off: a server's answer may repeat the password."""
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            permanent = all(code >= _PERMANENT for code, _ in error.recipients.values())
            raise self._error(f"refused every recipient: {_refusals(error.recipients)}", permanent=permanent) from None
        except smtplib.SMTPResponseException as error:
            # Only the mail itself can be refused for good. A password or a sender is put right some day: the mail waits for it.
            permanent = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _PERMANENT
            raise self._error(f"answered {_answer(error.smtp_code, error.smtp_error)}", permanent=permanent) from None
        except smtplib.SMTPNotSupportedError as error:
            raise self._error(f"cannot do what is configured: {error}") from None
        except TimeoutError:
            raise self._error(f"did not answer within {self.timeout_seconds:g} s") from None
        except (smtplib.SMTPException, OSError) as error:
            raise self._error(f"cannot be spoken to: {error}") from None

    def _error(self, what: str, *, permanent: bool = False) -> ChannelError:
        return ChannelError(self._scrubbed(f"mail server {self.host}:{self.port} {what}"), permanent=permanent)

    def _scrubbed(self, text: str) -> str:
        if self.password is None:
            return text
        password = self.password.get_secret_value()
        # As AUTH PLAIN and AUTH LOGIN send it (RFC 4616), which a server may quote in its refusal.
        for sent in (f"\0{self.username}\0{password}", password):
            text = text.replace(base64.b64encode(sent.encode()).decode(), "[password]").replace(sent, "[password]")
        return text


def compose(message: Message, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """The mail of `message`. The same message gives the same Message-ID, whichever attempt this is."""
    mail = EmailMessage(policy=_POLICY)
    domain = _domain(sender)
    mail["From"] = _header_address(sender)
    mail["To"] = [_header_address(to) for to in recipients]
    mail["Subject"] = render.one_line(message.title, _SUBJECT_LIMIT)
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = _message_id(message.id, domain)
    if message.thread is not None and message.thread != message.id:
        root = _message_id(message.thread, domain)
        mail["In-Reply-To"] = message.reply_to or root
        mail["References"] = " ".join(dict.fromkeys([root, message.reply_to or root]))
    mail["List-Id"] = f"Nightshift <nightshift.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office replies stay away
    mail.set_content(render.text(message), cte="quoted-printable")
    mail.add_alternative(render.html(message), subtype="html", cte="quoted-printable")
    return mail


def _header_address(value: str) -> Address:
    name, address = parseaddr(value)
    return Address(name, addr_spec=address)


def _domain(sender: str) -> str:
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return domain if domain.isascii() and len(domain) <= _LONGEST_DOMAIN else "nightshift.invalid"


def _message_id(identity: str, domain: str) -> str:
    """RFC 5322 section 3.6.4. Anything but a short plain id is hashed, so that no id can break or fold the header."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", identity):
        identity = hashlib.sha256(identity.encode()).hexdigest()[:40]
    return f"<{identity}@{domain}>"


def _answer(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {render.one_line(words, 300)}"


def _refusals(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address} ({_answer(code, text)})" for address, (code, text) in refused.items())


def _say_goodbye(smtp: smtplib.SMTP) -> None:
    """The server has answered for the mail by now: how it takes QUIT changes nothing."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


class _Smtp(smtplib.SMTP):
    """smtplib with one deadline for the whole conversation instead of a time-out for each answer."""

    def __init__(self, host: str, port: int, deadline: float) -> None:
        self._deadline = deadline
        super().__init__(host, port, local_hostname="nightshift.invalid", timeout=self._left())

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def getreply(self) -> tuple[int, bytes]:
        if self.sock is not None:
            self.sock.settimeout(self._left())
        try:
            return super().getreply()
        except smtplib.SMTPServerDisconnected:
            self._left()  # smtplib says the same of a time-out
            raise


class _SmtpTls(_Smtp):
    """The same, in TLS from the first byte (RFC 8314)."""

    def __init__(self, host: str, port: int, deadline: float, context: ssl.SSLContext) -> None:
        self._context = context
        self._server_name = host
        super().__init__(host, port, deadline)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        return self._context.wrap_socket(plain, server_hostname=self._server_name)
