"""`deliveries` and `resend`: what never arrived is listed with its reason, and only a failed result is sent again."""

from contextlib import closing
from datetime import UTC, datetime

from tests.cli.conftest import Cli
from worker.ledger import Ledger, outbox, telling
from worker.records import DeliveryState, Topic


def undelivered(cli: Cli, kind: str, subject: str) -> str:
    """One that failed."""
    now = datetime.now(UTC)
    with closing(Ledger(f"sqlite:///{cli.home}/ledger.db")) as ledger, ledger.transaction() as tx:
        row = telling.begin_delivery(tx, message_id=subject, kind=kind, channel=kind, subject=subject, at=now)
        telling.end_delivery(tx, row.id, state=DeliveryState.FAILED, detail="localhost answered 404", at=now)
    return row.id


def test_what_never_arrived_is_listed_with_its_reason(ledger_cli: Cli) -> None:
    assert ledger_cli("deliveries", "--failed").strip() == "None."
    undelivered(ledger_cli, "digest", "2026-11-21")
    (row,) = ledger_cli.json("deliveries", "--failed")
    assert (row["kind"], row["state"], row["detail"]) == ("digest", "failed", "localhost answered 404")
    assert ledger_cli.json("deliveries", "--kind", "callback") == []
    assert "localhost answered 404" in ledger_cli("deliveries")


def test_only_a_result_is_sent_again(ledger_cli: Cli) -> None:
    made = ledger_cli.json("run", "command", "--entries", "fine", "--no-wait")
    mail = undelivered(ledger_cli, "digest", "2026-11-21")
    lone = undelivered(ledger_cli, "callback", made["batch"])
    assert "only a result that did not reach a callback is sent again" in ledger_cli("resend", mail, code=1)
    assert "only a result that did not reach a callback is sent again" in ledger_cli("resend", lone, code=1)
    assert "no delivery 'nonsense'" in ledger_cli("resend", "nonsense", code=1)
    with closing(Ledger(f"sqlite:///{ledger_cli.home}/ledger.db")) as ledger, ledger.read() as connection:
        assert Topic.CALLBACK not in outbox.depth(connection)
