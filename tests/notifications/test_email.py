import ssl
from collections.abc import Iterator
from datetime import UTC
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from notifications.channel import ChannelError
from notifications.email import EmailChannel
from notifications.message import Recipient
from tests.notifications.values import MESSAGE, NOW, message
from tests.support.mail import MailServer, mail_server

PASSWORD = "canary-7d3f-password"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("mail") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return ca, file


@pytest.fixture
def server_tls(authority: tuple[trustme.CA, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    return context


def channel(server: MailServer, **options: Any) -> EmailChannel:
    given = {"security": "none", "sender": "Nightshift <night@example.org>", "recipients": ("ana@example.org",)} | options
    return EmailChannel(host="127.0.0.1", port=server.port, **given)


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_headers_say_what_a_mail_program_needs(server: MailServer) -> None:
    channel(server).deliver(MESSAGE)

    mail = server.mails[0]
    assert mail["From"] == "Nightshift <night@example.org>"
    assert mail["To"] == "ana@example.org"
    assert mail["Subject"] == MESSAGE.title
    assert mail["Message-ID"] == f"<{MESSAGE.id}@example.org>"
    assert mail["In-Reply-To"] == mail["References"] == "<finding-f1@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Id"] == "Nightshift <nightshift.example.org>"
    assert parsedate_to_datetime(mail["Date"]).astimezone(UTC) == NOW


def test_text_and_html_say_the_same(server: MailServer) -> None:
    channel(server).deliver(MESSAGE)

    assert server.mails[0].get_content_type() == "multipart/alternative"
    for kind in ("plain", "html"):
        assert MESSAGE.body in part(server.mails[0], kind)


def test_a_title_with_line_breaks_injects_no_header(server: MailServer) -> None:
    channel(server).deliver(
        message(title="Hello\r\nBcc: eve@example.org\r\n\r\nbody", id="a\r\nX-Evil: 1", thread="b\nX-Evil: 2")
    )

    mail = server.mails[0]
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert mail["Subject"] == "Hello Bcc: eve@example.org body"
    assert server.envelopes == [["ana@example.org"]]


def test_any_script_and_any_length_arrive_whole(server: MailServer) -> None:
    body = "Übergrösse 証明書 " + "y" * 5000

    channel(server).deliver(message(title="証明書が切れた " + "sehr " * 200, body=body))

    mail = server.mails[0]
    assert body in part(mail, "plain")
    assert body in part(mail, "html")
    assert mail["Subject"].startswith("証明書が切れた sehr")
    assert max(len(line) for line in server.raw[0].split(b"\r\n")) <= 998


@pytest.mark.parametrize("domain", ["example.org", "a-rather-long-name." * 5 + "example.org"])
def test_long_ids_are_never_encoded_so_that_threads_hold(server: MailServer, domain: str) -> None:
    channel(server, sender=f"night@{domain}").deliver(message(id="i" * 64, thread="t" * 64))

    for header in (b"Message-ID", b"In-Reply-To", b"References"):
        line = next(line for line in server.raw[0].split(b"\r\n") if line.startswith(header + b":"))
        assert line.endswith(b">")
        assert b"=?" not in line


def test_some_refused_recipients_are_told_in_the_delivery(server: MailServer) -> None:
    server.recipient_answers = {"bob@example.org": "550 no such user"}

    delivery = channel(server, recipients=("ana@example.org", "Bob <bob@example.org>")).deliver(MESSAGE)

    assert delivery.detail == "accepted for 1 of 2 recipients; refused: bob@example.org (550 no such user)"
    assert server.envelopes == [["ana@example.org"]]


@pytest.mark.parametrize(("answer", "permanent"), [("550 no such user", True), ("450 mailbox busy", False)])
def test_all_recipients_refused_is_an_error(server: MailServer, answer: str, *, permanent: bool) -> None:
    server.recipient_answers = {"ana@example.org": answer}

    with pytest.raises(ChannelError, match=f"refused every recipient: ana@example.org \\({answer}\\)") as refused:
        channel(server).deliver(MESSAGE)

    assert refused.value.permanent is permanent


def test_starttls_with_a_password_is_accepted(server_tls: ssl.SSLContext, authority: tuple[trustme.CA, Path]) -> None:
    with mail_server(starttls=server_tls, login=("night", PASSWORD)) as server:
        options = {"username": "night", "password": SecretStr(PASSWORD), "ca_file": str(authority[1])}
        channel(server, security="starttls", **options).deliver(MESSAGE)

    assert len(server.mails) == 1


def test_tls_from_the_first_byte_is_accepted(server_tls: ssl.SSLContext, authority: tuple[trustme.CA, Path]) -> None:
    with mail_server(tls=server_tls) as server:
        channel(server, security="tls", ca_file=str(authority[1])).deliver(MESSAGE)

    assert len(server.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_trusted_gets_no_mail(server_tls: ssl.SSLContext, security: str) -> None:
    starttls, tls = (server_tls, None) if security == "starttls" else (None, server_tls)
    with mail_server(starttls=starttls, tls=tls) as server, pytest.raises(ChannelError, match="certificate verify failed"):
        channel(server, security=security).deliver(MESSAGE)

    assert server.mails == []


def test_a_server_without_starttls_gets_no_mail_until_it_has_it(server: MailServer) -> None:
    with pytest.raises(ChannelError, match="STARTTLS") as refused:
        channel(server, security="starttls").deliver(MESSAGE)

    assert refused.value.permanent is False
    assert server.mails == []


@pytest.mark.parametrize("answer", ["535 never with {password}", "454 not now, {password}"])
def test_a_refused_login_is_tried_again_and_never_repeats_the_password(
    server_tls: ssl.SSLContext, authority: tuple[trustme.CA, Path], answer: str
) -> None:
    with mail_server(starttls=server_tls, login=("night", "another")) as server:
        server.login_answer = answer
        options = {"username": "night", "password": SecretStr(PASSWORD), "ca_file": str(authority[1])}
        with pytest.raises(ChannelError, match=answer.replace("{password}", r"\[password\]")) as refused:
            channel(server, security="starttls", **options).deliver(MESSAGE)

    assert refused.value.permanent is False
    assert PASSWORD not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_a_password_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="over TLS only"):
        EmailChannel(
            host="mail.example.org",
            security="none",
            sender="night@example.org",
            recipients=("ana@example.org",),
            username="night",
            password=SecretStr(PASSWORD),
        )


def test_a_mail_for_one_person_goes_to_them_alone(server: MailServer) -> None:
    own = message(to=Recipient("bo", "bo@example.org"))
    assert channel(server).deliver(own).detail == "accepted for 1 of 1 recipients"
    assert server.envelopes == [["bo@example.org"]]
    assert server.mails[0]["To"] == "bo@example.org"


@pytest.mark.parametrize("email", [None, "no address", "a@b\r\nBcc: eve@example.org"])
def test_a_person_without_a_good_address_gets_nothing_and_nobody_else_does(server: MailServer, email: str | None) -> None:
    with pytest.raises(ChannelError, match="the address of bo is not a mail address") as refused:
        channel(server).deliver(message(to=Recipient("bo", email)))
    assert refused.value.permanent
    assert server.mails == []


def test_only_who_has_an_address_is_reached(server: MailServer) -> None:
    assert channel(server).reaches(Recipient("bo", "bo@example.org"))
    assert not channel(server).reaches(Recipient("bo", None, {"slack": "U1"}))


@pytest.mark.parametrize("reference", ["<m1@example.org>", f"<{'m' * 64}@{'a-long-name.' * 6}example.org>"])
def test_a_follow_up_answers_the_mail_that_it_follows(server: MailServer, reference: str) -> None:
    channel(server).deliver(message(reply_to=reference))
    assert server.mails[0]["In-Reply-To"] == reference
    assert str(server.mails[0]["References"]).split() == ["<finding-f1@example.org>", reference]
    assert b"=?" not in server.raw[0].partition(b"\r\n\r\n")[0]
