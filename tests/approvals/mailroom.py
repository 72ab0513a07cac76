"""The relay of messages over a ward, with routes that may change, and what arrived on a real mail server."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

from sqlalchemy import select

from notifications.config import RoutesConfig
from tests.approvals.ward import Ward
from tests.support.mail import MailServer
from worker.ledger import outbox, telling
from worker.ledger.tables import METADATA
from worker.records import DeliveryRow, Topic
from worker.relay import MessageRelay

CONSOLE = "http://127.0.0.1:8080"
TEAM = "team@example.org"


def mail_table(server: MailServer) -> dict[str, Any]:
    mail = {"kind": "email", "host": "127.0.0.1", "port": server.port, "security": "none", "sender": "night@example.org"}
    return {**mail, "recipients": [TEAM]}


def routes(server: MailServer, *ways: dict[str, Any], channels: dict[str, Any] | None = None, **members: Any) -> RoutesConfig:
    """One mail channel, which gets everything unless the test says otherwise."""
    tables = {"mail": mail_table(server), **(channels or {})}
    return RoutesConfig.model_validate({"channels": tables, "routes": ways or [{"channels": ["mail"]}], **members})


@dataclass
class Mailroom:
    """Findings are not told: only what is asked, and how it goes on."""

    ward: Ward
    server: MailServer
    config: RoutesConfig
    relay: MessageRelay = field(init=False)

    def __post_init__(self) -> None:
        self.relay = MessageRelay(self.ward.rig.shift, lambda: self.config, lambda: CONSOLE)

    def after(self, *pauses: timedelta) -> list[EmailMessage]:
        """Mails on requests and repairs that arrived in one step now, and one after each pause."""
        before = len(self.server.mails)
        self.relay.step()
        for pause in pauses:
            self.ward.rig.clock.advance(pause)
            self.relay.step()
        return [mail for mail in self.server.mails[before:] if "approval-" in str(mail["References"])]

    def deliveries(self, approval_id: str) -> list[DeliveryRow]:
        with self.ward.rig.ledger.read() as connection:
            return telling.deliveries(connection, subject=approval_id)[::-1]

    def left(self) -> int:
        with self.ward.rig.ledger.read() as connection:
            return outbox.depth(connection).get(Topic.MESSAGE, (0, None))[0]

    def ledger(self) -> str:
        """Every row of every table, as text."""
        with self.ward.rig.ledger.read() as connection:
            return "\n".join(repr(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(select(table)))


def to(mails: Sequence[EmailMessage], person: str) -> list[EmailMessage]:
    return [mail for mail in mails if mail["To"] == f"{person}@example.com"]


def to_team(mails: Sequence[EmailMessage]) -> list[EmailMessage]:
    return [mail for mail in mails if mail["To"] == TEAM]


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def tokens_in(text: str) -> list[str]:
    return re.findall(r"/a/([A-Za-z0-9_-]+)", text)
